"""Programs that measure speed and memory, each a command such as `python -m scripts.benchmarks.step`."""
