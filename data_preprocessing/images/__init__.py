"""A file becomes a volume on a known voxel grid, and a volume a file again."""
