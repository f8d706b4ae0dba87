"""Epoch after epoch, fold after fold, with workers that may come and go."""
