"""The commands: each module has `add_options`, which imports nothing heavy, and `run`."""
