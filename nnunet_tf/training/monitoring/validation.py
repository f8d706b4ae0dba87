"""The score of a network on the cases that its fold holds back."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np

from data_preprocessing.planning.plan import Plan
from data_preprocessing.shards.format import image_path, label_path
from nnunet_tf.evaluation.metrics.dice import Summary, predicted_masks, prediction_counts, summarize, true_masks
from nnunet_tf.inference.predictor import Predictor
from nnunet_tf.runtime.progress import track
from nnunet_tf.runtime.stopping import raise_if_stopped
from nnunet_tf.training.distributed import Group
from nnunet_tf.training.monitoring.example import Example


class Validation:
    """Scores one network, whose weights change between the calls, on the same cases.

    Sliding window without test-time augmentation, on the grid of the shards. Each worker takes its part of the cases;
    `example` is the first of them, on rank 0.
    """

    def __init__(self, network: keras.Model, plan: Plan, shards: Path, cases: Sequence[str], group: Group) -> None:
        self.plan, self.shards, self.cases, self.group = plan, shards, tuple(cases), group
        self.predictor = Predictor.of_network(network, plan)
        self.example: Example | None = None

    def scores(self) -> Summary:
        """Returns Dice a class and case; every worker must call it, and gets the same."""
        counts = np.zeros((len(self.cases), len(self.plan.scored), 3), np.int64)
        with track("Validation", total=len(self.cases), unit="cases", show=self.group.rank == 0) as tracker:
            for index in range(self.group.rank, len(self.cases), self.group.size):
                raise_if_stopped()
                counts[index] = self._score(index)
                tracker.update(index + 1)
        summary = summarize(self.cases, self.plan.scored, self.group.sum(counts))
        return summary.model_copy(update={"precision": keras.mixed_precision.dtype_policy().name})

    def _score(self, index: int) -> np.ndarray:
        name = self.cases[index]
        image = np.load(image_path(self.shards, name), allow_pickle=False).astype(np.float32, copy=False)
        label = np.load(label_path(self.shards, name), allow_pickle=False)[..., 0]
        logits = self.predictor.logits(image)
        if index == 0:
            prediction = _painted(predicted_masks(logits, self.plan))
            self.example = Example(name, image, prediction, truth=_painted(true_masks(label, self.plan)))
        return prediction_counts(logits, label, self.plan)


def _painted(masks: Iterable[np.ndarray]) -> np.ndarray:
    """Numbers from 1 on, one a mask; later masks lie over earlier ones, as in a prediction."""
    labels = np.zeros((), np.uint16)
    for number, mask in enumerate(masks, start=1):
        labels = np.where(mask, np.uint16(number), labels)
    return labels
