"""`metrics.jsonl`, one line an epoch, and its picture `progress.png`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.figure import new_figure
from data_preprocessing.common.files import atomic_path, validated, write_text
from nnunet_tf.training.config.settings import CHECKPOINT_NAME

METRICS_NAME = "metrics.jsonl"
PICTURE_NAME = "progress.png"
DICE_MEMORY = 0.9  # per epoch, of the moving average that decides which epoch was best (nnU-Net v2, "pseudo Dice")


class EpochMetrics(BaseModel):
    """One epoch: mean training loss, the learning rate at its end, its length and speed.

    `loader_seconds` is the part of its `seconds` spent waiting for batches, `total_seconds` counts from the start of
    the run, earlier parts of a resumed one included. `dice` (a class, of the validation cases; null where it occurs in
    none) and `mean_dice` are there for epochs that ended with a validation, `loss_scale` under float16.
    """

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    loader_seconds: float
    patches_per_second: float
    total_seconds: float = 0.0
    loss_scale: float | None = None
    dice: dict[str, float | None] | None = None
    mean_dice: float | None = None


@dataclass(frozen=True)
class Best:
    """The best validation so far, by the moving average of the mean Dice; the latest validation and its average."""

    epoch: int
    average_dice: float
    latest_epoch: int
    latest_average: float


def best_epoch(history: Sequence[EpochMetrics]) -> Best | None:
    """Returns which validated epoch was best; None before the first.

    The first average is the first Dice itself. A validation `n` epochs after the last one weighs the average before it
    by 0.9 ** n, so that the average looks back over as many epochs however seldom they are validated.
    """
    best: Best | None = None
    for metrics in history:
        if metrics.mean_dice is None:
            continue
        latest = metrics.mean_dice
        if best is not None:
            memory = DICE_MEMORY ** (metrics.epoch - best.latest_epoch)
            latest = memory * best.latest_average + (1 - memory) * latest
        if best is None or latest >= best.average_dice:
            best = Best(metrics.epoch, latest, metrics.epoch, latest)
        else:
            best = Best(best.epoch, best.average_dice, metrics.epoch, latest)
    return best


def out_of_patience(history: Sequence[EpochMetrics], patience: int | None) -> bool:
    """Returns whether the last epoch was validated and the best lies `patience` epochs back or more.

    Never without a patience, and never between two validations, where the next may be the best.
    """
    best = best_epoch(history)
    if patience is None or best is None or history[-1].mean_dice is None:
        return False
    return history[-1].epoch - best.epoch >= patience


def read_metrics(folder: Path, epochs: int) -> list[EpochMetrics]:
    """Returns the metrics of the first `epochs` epochs; raises UserError where the file does not hold all of them."""
    path = folder / METRICS_NAME
    remedy = "train without --resume but with --overwrite, which starts over"
    text = path.read_text(encoding="utf-8", errors="replace") if epochs and path.is_file() else ""
    history = [
        validated(Path(f"{path} line {number}"), remedy, partial(EpochMetrics.model_validate_json, line))
        for number, line in enumerate(text.splitlines()[:epochs], start=1)
    ]
    if [metrics.epoch for metrics in history] != list(range(epochs)):
        raise UserError(f"{path}: does not hold the {epochs} epochs of {CHECKPOINT_NAME}, a line each; {remedy}")
    return history


def write_metrics(folder: Path, history: Sequence[EpochMetrics]) -> None:
    """Writes all epochs, atomically."""
    write_text(folder / METRICS_NAME, "".join(metrics.model_dump_json() + "\n" for metrics in history))


def draw_metrics(folder: Path, history: Sequence[EpochMetrics]) -> None:
    """Draws loss, learning rate and, where there is any, validation Dice over the epochs into `progress.png`."""
    figure = new_figure(8, 4)
    axes = figure.add_subplot()
    epochs = [metrics.epoch + 1 for metrics in history]
    handles = axes.plot(epochs, [metrics.loss for metrics in history], color="tab:blue", label="training loss")
    axes.set(xlabel="epoch", ylabel="loss", title=folder.parent.name + " " + folder.name)
    axes.grid(alpha=0.3)
    rate_axes = axes.twinx()
    rates = [metrics.learning_rate for metrics in history]
    handles += rate_axes.plot(epochs, rates, color="tab:orange", linewidth=1, label="learning rate")
    rate_axes.set_ylabel("learning rate")
    validated = [metrics for metrics in history if metrics.dice is not None]
    if validated:
        dice_axes = axes.twinx()
        dice_axes.spines["right"].set_position(("outward", 75))
        dice_axes.set_ylabel("validation Dice")
        places = [metrics.epoch + 1 for metrics in validated]
        for index, name in enumerate(validated[0].dice or {}):
            scores = [(metrics.dice or {}).get(name) for metrics in validated]
            values = [float("nan") if score is None else score for score in scores]
            handles += dice_axes.plot(places, values, f"C{index + 2}o-", markersize=3, label=f"Dice {name}")
    axes.legend(handles=handles, loc="center right", fontsize=8)
    with atomic_path(folder / PICTURE_NAME) as temporary:
        figure.savefig(temporary, dpi=100)
