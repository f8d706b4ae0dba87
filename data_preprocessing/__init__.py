"""NIfTI volumes to training shards and back: reading, geometry, cropping, normalising, resampling.

Nothing in this package imports TensorFlow, so it starts in well under a second and works in plain worker processes.
"""
