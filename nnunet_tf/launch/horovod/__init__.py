"""Workers started by Horovod's launcher, elastic ones included, and what of their output is shown."""
