"""How fast a training or prediction step is, and how fast it could be on this machine."""
