"""What augmentation draws for a patch, and how it changes intensities and positions."""
