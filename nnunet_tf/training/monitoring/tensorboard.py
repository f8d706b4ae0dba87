"""The run as TensorBoard shows it: `tensorboard --logdir results`."""

import tensorflow as tf

from nnunet_tf.inference.models.folder import VALIDATION_PICTURE_NAME
from nnunet_tf.training.config.settings import Job
from nnunet_tf.training.monitoring.example import Example, draw_example
from nnunet_tf.training.monitoring.metrics import EpochMetrics

BOARD_FOLDER = "tensorboard"


class Board:
    """Writes scalars every epoch below `tensorboard/` and, after a validation, its first case as `validation.png`."""

    def __init__(self, job: Job) -> None:
        self.job = job
        folder = job.folder / BOARD_FOLDER
        self._older = list(folder.glob("events.*"))
        self._writer = tf.summary.create_file_writer(str(folder))

    def clear_older_run(self) -> None:
        """Removes what was there before this board."""
        for events in self._older:
            events.unlink(missing_ok=True)

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
                path = self.job.folder / VALIDATION_PICTURE_NAME
                title = f"{example.name} after {metrics.epoch + 1} epochs"
                draw_example(path, example, self.job.plan, self.job.shards, title)
                tf.summary.image("validation", tf.image.decode_png(path.read_bytes(), channels=3)[tf.newaxis])
        self._writer.flush()
