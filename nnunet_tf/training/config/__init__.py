"""What a run was asked for: options, settings, and whether an earlier run can go on."""
