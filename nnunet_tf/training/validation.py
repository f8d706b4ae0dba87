"""The score of a trained network on the cases that its fold holds back."""

from pathlib import Path

import keras
import numpy as np

from data_preprocessing.files import write_model
from data_preprocessing.shards import image_path, label_path
from nnunet_tf.evaluation.dice import Summary, overlap_counts, summarize
from nnunet_tf.inference.predictor import Predictor
from nnunet_tf.runtime.progress import track
from nnunet_tf.training.distributed import Group
from nnunet_tf.training.settings import Job

VALIDATION_NAME = "validation.json"


def validate(job: Job, network: keras.Model, group: Group) -> Summary:
    """Returns Dice a class and case of the fold's validation cases, and writes it as `validation.json`.

    Sliding window without test-time augmentation, on the grid of the shards. Each worker takes its part of the cases.
    """
    plan, cases = job.plan, job.fold.validation
    predictor = Predictor(network, plan)
    counts = np.zeros((len(cases), len(plan.foreground), 3), np.int64)
    with track("Validation", total=len(cases), unit="cases", show=group.rank == 0) as tracker:
        for index in range(group.rank, len(cases), group.size):
            counts[index] = _case_counts(predictor, job.shards, cases[index])
            tracker.update(index + 1)
    summary = summarize(cases, plan.foreground, group.sum(counts))
    if group.rank == 0:
        write_model(job.folder / VALIDATION_NAME, summary)
    return summary


def _case_counts(predictor: Predictor, shards: Path, case: str) -> np.ndarray:
    image = np.load(image_path(shards, case), allow_pickle=False).astype(np.float32, copy=False)
    truth = np.load(label_path(shards, case), allow_pickle=False)[..., 0]
    prediction = predictor.logits(image).argmax(axis=-1)
    return overlap_counts(prediction, truth, range(1, len(predictor.plan.classes)))
