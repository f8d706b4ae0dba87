"""The training processes and what they tell each other, through Horovod where there are several."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from data_preprocessing.common.errors import CommandFailed, UserError
from nnunet_tf.launch.horovod.output import GO_ON
from nnunet_tf.launch.ranks import started_by_launcher
from nnunet_tf.runtime.device import Runtime


class Group(Protocol):
    """The processes that train one network together; `rank` 0 writes the files."""

    @property
    def rank(self) -> int:
        """The number of this process among them."""

    @property
    def size(self) -> int:
        """How many they are at the moment."""

    def mean_gradients(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the mean of each gradient over the processes."""

    def sum_tensor(self, tensor: tf.Tensor) -> tf.Tensor:
        """Returns the sum of `tensor` over the processes; its gradient is the sum of theirs. For use in a step."""

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

    def sum_tensor(self, tensor: tf.Tensor) -> tf.Tensor:
        """Returns the tensor as it is."""
        return tensor

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
        self._compression = hvd.Compression.fp16 if fp16_allreduce else hvd.Compression.none

    @property
    def rank(self) -> int:
        """The number of this process among them."""
        return self._hvd.rank()

    @property
    def size(self) -> int:
        """How many they are at the moment."""
        return self._hvd.size()

    def mean_gradients(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the mean of each gradient over the processes, in one grouped all-reduce."""
        hvd = self._hvd
        return list(hvd.grouped_allreduce(list(gradients), op=hvd.Average, compression=self._compression))

    def sum_tensor(self, tensor: tf.Tensor) -> tf.Tensor:
        """Returns the sum of `tensor` over the processes, never in float16; its gradient is the sum of theirs."""
        return self._hvd.allreduce(tensor, op=self._hvd.Sum)

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Returns the sum of `array` over the processes."""
        return self._hvd.allreduce(tf.constant(array), op=self._hvd.Sum).numpy()

    def broadcast(self, variables: Sequence[tf.Variable]) -> None:
        """Gives every process the values that rank 0 has."""
        self._hvd.broadcast_variables(list(variables), root_rank=0)


def check_same_device(group: Group, gpu: bool) -> None:
    """Raises UserError in every process where some have a GPU and some have none: all would wait for the latter."""
    with_gpu = int(group.sum(np.array(float(gpu))))
    if with_gpu not in (0, group.size):
        raise UserError(
            f"{with_gpu} of {group.size} workers have a GPU; --device gpu shows which have none: leave them out"
        )


def agree_on_precision(group: Group, runtime: Runtime) -> Runtime:
    """Returns the runtime of this worker with the precision that all can compute in, set for Keras too.

    Where some have processors with bfloat16 instructions and some have not, that is float32. Every worker must call it,
    before it builds a network.
    """
    in_bfloat16 = int(group.sum(np.array(float(runtime.precision == "mixed_bfloat16"))))
    if in_bfloat16 in (0, group.size):
        return runtime
    keras.mixed_precision.set_dtype_policy("float32")
    notice = f"--amp: {in_bfloat16} of {group.size} workers have bfloat16 instructions; all compute in float32"
    return replace(runtime, precision="float32", notices=(notice,))


def join_group(fp16_allreduce: bool = False) -> Group:
    """Returns the group this process belongs to; Horovod is needed only when there are several."""
    return HorovodGroup(fp16_allreduce) if started_by_launcher() else Alone()


@contextmanager
def loss_in_one_line(rank: int) -> Iterator[None]:
    """Within it, what Horovod says of another worker that ended becomes CommandFailed, one line: why, that one says."""
    try:
        yield
    except tf.errors.UnknownError as error:
        if "Horovod" not in str(error):
            raise
        raise CommandFailed(f"worker {rank}: another worker has ended, and says why; {GO_ON}") from None
