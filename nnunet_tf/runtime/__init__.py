"""What the commands share: options, progress, device and precision."""
