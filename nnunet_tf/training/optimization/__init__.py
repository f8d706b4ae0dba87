"""Losses, optimizers, schedules, the average of weights, and the compiled step."""
