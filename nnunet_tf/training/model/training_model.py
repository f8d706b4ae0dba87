"""The network in training, the one that is scored and saved, and the files of both."""

from pathlib import Path

import keras
import tensorflow as tf

from data_preprocessing.common.files import write_model, writing
from data_preprocessing.planning.plan import PLAN_NAME
from nnunet_tf.answers.flags import write_ranges
from nnunet_tf.answers.training_ranges import ranges_of_shards
from nnunet_tf.inference.models.folder import LAST_WEIGHTS_NAME, NETWORK_NAME, RANGES_NAME, WEIGHTS_NAME
from nnunet_tf.inference.models.manifest import replacing_model
from nnunet_tf.inference.models.trained_cases import write_trained_cases
from nnunet_tf.networks.build import build_network, full_resolution
from nnunet_tf.training.config.loss_and_optimizer import rate_factor
from nnunet_tf.training.config.settings import Job, write_settings
from nnunet_tf.training.distributed import Alone, Group
from nnunet_tf.training.model.checkpoint import State
from nnunet_tf.training.model.pretrained import load_pretrained
from nnunet_tf.training.optimization.average import WeightAverage
from nnunet_tf.training.optimization.losses import make_loss
from nnunet_tf.training.optimization.optimizer import make_optimizer
from nnunet_tf.training.optimization.schedule import PacedSchedule, make_schedule
from nnunet_tf.training.optimization.step import TrainingStep


class TrainedModel:
    """Network, optimiser and training step of a job; `predicting` is what `predict.py` will use.

    Without an average of the weights both share them; with one, `refresh` brings the average into `predicting`.
    """

    def __init__(self, job: Job, group: Group, loss_scaling: bool) -> None:
        plan, settings = job.plan, job.settings
        self.job, self._has_ranges = job, False
        self.network = self._build()
        decay = settings.optimizer.ema
        self.average = WeightAverage(self.network, decay) if decay else None
        self._scored = self._build() if self.average else self.network
        self.predicting = full_resolution(self._scored) if settings.network.deep_supervision else self._scored
        regions = [region.classes for region in plan.regions] or None
        loss = make_loss(settings.loss, regions, None if isinstance(group, Alone) else group.sum_tensor)
        schedule = make_schedule(settings.optimizer, settings.steps)
        self.pace = PacedSchedule(schedule) if settings.elastic else None
        optimizer = make_optimizer(settings.optimizer, settings.steps, loss_scaling, self.pace or schedule)
        self.step = TrainingStep(self.network, optimizer, group, loss, self.average, settings.xla)

    def _build(self) -> keras.Model:
        plan = self.job.plan
        return build_network(
            plan.topology, plan.patch_size, len(plan.channels), plan.outputs, self.job.settings.network
        )

    @property
    def state(self) -> State:
        """All variables that change in training."""
        parts = {"network": self.network.variables, "optimizer": self.step.optimizer.variables}
        return parts | ({"average": self.average.variables} if self.average else {})

    def tensors(self) -> list[tf.Variable]:
        """Returns the variables of `state` as TensorFlow's own, which Horovod broadcasts.

        But for the states of random generators, such as dropout's, which have a type that Horovod does not know.
        """
        tensors = [getattr(variable, "value", variable) for part in self.state.values() for variable in part]
        return [tensor for tensor in tensors if tensor.dtype != tf.uint32]

    def is_finite(self) -> bool:
        """Returns whether all of `state` is numbers."""
        tensors = [tensor for tensor in self.tensors() if tensor.dtype.is_floating]
        return all(bool(tf.reduce_all(tf.math.is_finite(tensor))) for tensor in tensors)

    def load_pretrained(self, folder: str) -> None:
        """Starts from the weights of the model in `folder`; raises UserError as `pretrained.load_pretrained` does."""
        load_pretrained(folder, self.network)
        if self.average:
            self.average.start()

    def keep_pace(self, epoch: int, worker_steps: int, size: int) -> None:
        """Fits the learning rate and the average of an elastic run to `size` workers, from this place in it on."""
        if self.pace is None:
            return
        settings, share = self.job.settings, size / self.job.settings.workers
        place = epoch * settings.steps_per_epoch + worker_steps / settings.workers
        factor = rate_factor(settings.optimizer.optimizer, share)
        if self.average:
            self.average.keep_pace(share)
        self.pace.change(int(self.step.optimizer.iterations), place, share, factor)

    def refresh(self) -> None:
        """Brings the weights of the moment into `predicting`."""
        if self.average:
            self.average.copy_to(self._scored)

    def save(self, best: bool) -> None:
        """Writes the weights of `predicting` as the last ones and, if they are the best, as those that predict.py uses.

        Plan, settings and cases go with them: a run stopped before its first epoch leaves an older model as it was.
        """
        folder = self.job.folder
        described = (PLAN_NAME, NETWORK_NAME)
        weights = (LAST_WEIGHTS_NAME, WEIGHTS_NAME) if best else (LAST_WEIGHTS_NAME,)
        kept = () if best else (WEIGHTS_NAME,)
        with replacing_model(folder, (*described, *weights), kept, same=described) as prefix:
            write_model(prefix.with_name(prefix.name + PLAN_NAME), self.job.plan)
            write_model(prefix.with_name(prefix.name + NETWORK_NAME), self.job.settings.network)
            for name in weights:
                self._save_weights(folder / name, prefix.with_name(prefix.name + name))
        write_settings(folder, self.job.settings)
        write_trained_cases(self.job.folder, self.job.cases)
        self._write_ranges()

    def _write_ranges(self) -> None:
        """Writes what the training cases have into the model folder, once a run; predict.py flags what lies outside."""
        if self._has_ranges:
            return
        ranges = ranges_of_shards(self.job.shards, self.job.fold.training, self.job.plan)
        if ranges:
            write_ranges(self.job.folder, ranges)
        else:
            (self.job.folder / RANGES_NAME).unlink(missing_ok=True)  # that of another run
        self._has_ranges = True

    def _save_weights(self, path: Path, temporary: Path) -> None:
        with writing(path):
            try:
                self.predicting.save_weights(temporary)
            except RuntimeError as error:  # h5py's, of a full disk
                raise OSError(str(error)) from None
