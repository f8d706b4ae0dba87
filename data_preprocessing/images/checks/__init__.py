"""Checks of a data set before any work is done on it.

A check is a small function that is given what it looks at (a header, an affine, voxels) and returns its findings. The
reading functions refuse a file by the same checks that the report of a whole data set is made of, so that what is
reported as an error is refused, in the same words.
"""
