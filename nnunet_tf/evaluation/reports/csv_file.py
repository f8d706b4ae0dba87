"""Scores as a table for spreadsheets and statistics programs."""

import csv
from collections.abc import Sequence
from pathlib import Path

from data_preprocessing.common.files import atomic_path
from nnunet_tf.evaluation.metrics.scores import Score


def write_csv(path: Path, scores: Sequence[Score]) -> None:
    """Writes a row for each case and structure, atomically: an empty field is not counted, `inf` is infinite."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(Score.model_fields))
        writer.writeheader()
        writer.writerows(score.model_dump() for score in scores)
