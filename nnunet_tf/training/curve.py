"""`metrics.jsonl`, one line an epoch, and its picture `progress.png`."""

import json
from pathlib import Path

from pydantic import BaseModel

from data_preprocessing.files import atomic_path, write_text

METRICS_NAME = "metrics.jsonl"
PICTURE_NAME = "progress.png"


class EpochMetrics(BaseModel):
    """One epoch: mean training loss, the learning rate at its end, its length and speed."""

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    patches_per_second: float


def read_metrics(folder: Path, epochs: int) -> list[EpochMetrics]:
    """Returns the metrics of the first `epochs` epochs."""
    path = folder / METRICS_NAME
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [EpochMetrics.model_validate(json.loads(line)) for line in lines[:epochs]]


def write_metrics(folder: Path, history: list[EpochMetrics]) -> None:
    """Writes all epochs, atomically."""
    write_text(folder / METRICS_NAME, "".join(metrics.model_dump_json() + "\n" for metrics in history))


def draw_metrics(folder: Path, history: list[EpochMetrics]) -> None:
    """Draws loss and learning rate over the epochs into `progress.png`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    epochs = [metrics.epoch for metrics in history]
    (loss,) = axes.plot(epochs, [metrics.loss for metrics in history], color="tab:blue", label="training loss")
    axes.set(xlabel="epoch", ylabel="loss", title=folder.parent.name + " " + folder.name)
    axes.grid(alpha=0.3)
    rate_axes = axes.twinx()
    rates = [metrics.learning_rate for metrics in history]
    (rate,) = rate_axes.plot(epochs, rates, color="tab:orange", linewidth=1, label="learning rate")
    rate_axes.set_ylabel("learning rate")
    axes.legend(handles=[loss, rate], loc="upper right")
    with atomic_path(folder / PICTURE_NAME) as temporary:
        figure.savefig(temporary, dpi=100)
