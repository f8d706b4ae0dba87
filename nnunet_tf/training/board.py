"""The run as TensorBoard shows it: `tensorboard --logdir results`."""

import numpy as np
import tensorflow as tf

from data_preprocessing.files import read_model
from data_preprocessing.shards import CaseRecord, record_path
from nnunet_tf.evaluation.overlay import save_overlay
from nnunet_tf.training.curve import EpochMetrics
from nnunet_tf.training.settings import Job
from nnunet_tf.training.validation import Example

BOARD_FOLDER = "tensorboard"
PICTURE_NAME = "validation.png"


class Board:
    """Writes scalars every epoch below `tensorboard/` and, after a validation, its first case as `validation.png`."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._writer = tf.summary.create_file_writer(str(job.folder / BOARD_FOLDER))

    def write(self, metrics: EpochMetrics, example: Example | None) -> None:
        """Writes the metrics of an epoch and, where there is one, the picture of a validation case."""
        with self._writer.as_default(step=metrics.epoch + 1):
            tf.summary.scalar("loss", metrics.loss)
            tf.summary.scalar("learning rate", metrics.learning_rate)
            tf.summary.scalar("patches per second", metrics.patches_per_second)
            for name, score in (metrics.dice or {}).items():
                if score is not None:
                    tf.summary.scalar(f"Dice/{name}", score)
            if example:
                self._draw(example, f"{example.name} after {metrics.epoch + 1} epochs")
                picture = (self.job.folder / PICTURE_NAME).read_bytes()
                tf.summary.image("validation", tf.image.decode_png(picture, channels=3)[tf.newaxis])
        self._writer.flush()

    def _draw(self, example: Example, title: str) -> None:
        plan = self.job.plan
        record = read_model(record_path(self.job.shards, example.name), CaseRecord, "run preprocess.py again")
        spacing = plan.spacing if plan.dim == 3 else (record.spacing[0], *plan.spacing)
        back = np.argsort(plan.axis_order)  # from network axis order to (z, y, x)
        image, prediction, truth = (
            np.transpose(volume, back) for volume in (example.image[..., 0], example.prediction, example.truth)
        )
        names = dict(enumerate(plan.scored, start=1))
        zyx = [spacing[axis] for axis in back]
        save_overlay(self.job.folder / PICTURE_NAME, image, zyx, prediction, names, title, truth)
