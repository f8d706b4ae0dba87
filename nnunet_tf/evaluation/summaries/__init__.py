"""Scores per case to means over cases, folds and structures."""
