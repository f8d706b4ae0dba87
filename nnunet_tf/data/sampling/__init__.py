"""Which volume and which place in it each patch of an epoch comes from."""
