"""Pure functions on arrays: cropping, normalising, resampling."""
