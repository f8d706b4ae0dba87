"""From pairs of files to scores per case."""
