"""The training processes and what they tell each other. The only file that knows Horovod."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from nnunet_tf.training.launch import started_by_launcher


class Group(Protocol):
    """The processes that train one network together; `rank` 0 writes the files."""

    rank: int
    size: int

    def mean_gradients(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the mean of each gradient over the processes."""

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Returns the sum of `array` over the processes."""

    def broadcast(self, variables: Sequence[tf.Variable]) -> None:
        """Gives every process the values that rank 0 has."""


class Alone:
    """A group of one: nothing to tell."""

    rank = 0
    size = 1

    def mean_gradients(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the gradients as they are."""
        return list(gradients)

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Returns the array as it is."""
        return array

    def broadcast(self, variables: Sequence[tf.Variable]) -> None:
        """Does nothing."""


class HorovodGroup:
    """Processes started by Horovod's launcher; with `fp16_allreduce` gradients travel in float16."""

    def __init__(self, fp16_allreduce: bool = False) -> None:
        import horovod.tensorflow as hvd

        hvd.init()
        self._hvd = hvd
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()
        self._compression = hvd.Compression.fp16 if fp16_allreduce else hvd.Compression.none

    def mean_gradients(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the mean of each gradient over the processes, in one grouped all-reduce."""
        hvd = self._hvd
        return list(hvd.grouped_allreduce(list(gradients), op=hvd.Average, compression=self._compression))

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Returns the sum of `array` over the processes."""
        return self._hvd.allreduce(tf.constant(array), op=self._hvd.Sum).numpy()

    def broadcast(self, variables: Sequence[tf.Variable]) -> None:
        """Gives every process the values that rank 0 has."""
        self._hvd.broadcast_variables(list(variables), root_rank=0)


def join_group(fp16_allreduce: bool = False) -> Group:
    """Returns the group this process belongs to; Horovod is needed only when there are several."""
    return HorovodGroup(fp16_allreduce) if started_by_launcher() else Alone()
