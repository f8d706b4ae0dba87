"""The training step, losses, schedules, checkpoints, the loop, and Horovod."""
