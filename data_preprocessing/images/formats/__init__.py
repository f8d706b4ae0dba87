"""Image formats other than NIfTI: each module reads and writes one family, `registry.py` says which file is whose."""
