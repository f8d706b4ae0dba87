"""Defaults that the command line needs to know before anything heavy is imported."""

FOLDS = 5  # of the cross-validation, as nnU-Net and NVIDIA's have them
