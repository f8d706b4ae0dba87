"""Many cases at once: processes of this machine, or the workers of a Dask cluster."""
