"""Trained models on disk: folders, folds, packages."""
