"""Image formats other than NIfTI: each module reads and writes one family, `table.py` says which file is whose."""
