"""How a process is asked to end."""

from data_preprocessing.common.stopping import Terminated, raise_if_stopped, stop_in_order

__all__ = ["Terminated", "raise_if_stopped", "stop_in_order"]
