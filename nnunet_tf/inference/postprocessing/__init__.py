"""Which components of a segmentation are kept."""
