"""Training that goes on with the workers there are, on Horovod Elastic."""

import horovod.tensorflow as hvd
import tensorflow as tf
from horovod.common.elastic import ObjectState
from horovod.common.exceptions import HorovodInternalError
from horovod.tensorflow.elastic import run as elastic_run

from data_preprocessing.common.text import counted
from nnunet_tf.training.loop.run import Run


class RunState(ObjectState):
    """What all workers of a run agree on, as of the last commit: its position, and a copy of its variables."""

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__(bcast_object=hvd.broadcast_object, get_rank=hvd.rank, position=run.position)
        self._keep()

    def save(self) -> None:
        """Keeps the run as it is now."""
        self.position = self.run.position
        super().save()
        self._keep()

    def restore(self) -> None:
        """Puts the run back to the last commit."""
        super().restore()
        self.run.position = self.position
        for variable, value in zip(self.run.model.tensors(), self._values, strict=True):
            variable.assign(value)

    def sync(self) -> None:
        """Gives every worker what rank 0 has, which is one of the longest there."""
        hvd.broadcast_variables(self.run.model.tensors(), root_rank=0)
        super().sync()
        self.run.position = self.position
        self._keep()

    def _keep(self) -> None:
        self._values = [tf.identity(variable) for variable in self.run.model.tensors()]


def train_elastically(run: Run) -> None:
    """Trains to the end; where a worker is lost the others go on from the last commit, and new ones are taken in."""

    sizes: list[int] = []  # of the groups there have been

    @elastic_run
    def go_on(state: RunState) -> None:
        size = run.group.size
        sizes.append(size)
        if run.group.rank == 0 and len(sizes) > 1:
            epoch = run.position.part.epoch + 1
            print(f"Going on with {counted(size, 'worker')} in epoch {epoch}", flush=True)
        try:
            run.go_on(commit=state.commit)
        except tf.errors.UnknownError as error:
            if "Horovod" in str(error):  # of any of its operations: its own check knows but some of them
                raise HorovodInternalError(str(error)) from None
            raise

    go_on(RunState(run))
