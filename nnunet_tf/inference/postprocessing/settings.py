"""Keeping only the largest component of a segmentation, where validation has shown that it helps."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from data_preprocessing.common.files import read_model, write_model
from data_preprocessing.common.task import Strict
from data_preprocessing.transforms.crop import bounding_box, crop
from nnunet_tf.inference.postprocessing.components import Components, connected_components, slabs

POSTPROCESSING_NAME = "postprocessing.json"
FIND_AGAIN = "find it again with evaluate.py --find-postprocessing, or remove the file"

MeanDice = Annotated[float, Field(ge=0, le=1)] | None


class Postprocessing(Strict):
    """What becomes of a predicted segmentation, and what that was decided on.

    Source: nnU-Net, Nature Methods 2021, "Empirical parameters".
    """

    format: Literal[1] = 1
    keep_largest_foreground: bool = Field(default=False, description="first, of all that is not background")
    keep_largest: tuple[PositiveInt, ...] = Field(default=(), description="then, numbers in the predictions")
    cases: NonNegativeInt = Field(default=0, description="validation cases it was decided on")
    dice_before: MeanDice = Field(default=None, description="mean over classes of their means over these cases")
    dice_after: MeanDice = None


def apply(labels: np.ndarray, postprocessing: Postprocessing) -> np.ndarray:
    """Returns `labels` `(z, y, x)`, unsigned label numbers or region values, with the smaller components set to 0.

    The array is changed in place where it can be written to. Takes, beside it, about 6 bytes a voxel of the box around
    the foreground.
    """
    result = labels if labels.flags.writeable else labels.copy()
    inside = crop(result, bounding_box(result))
    if postprocessing.keep_largest_foreground:
        foreground = connected_components(inside != 0)
        erase(inside, foreground, foreground.smaller([1]))
        del foreground
    if postprocessing.keep_largest:
        classes = connected_components(inside)
        erase(inside, classes, classes.smaller(postprocessing.keep_largest))
    return result


def read_postprocessing(folder: Path) -> Postprocessing | None:
    """Returns what is kept in `folder`, None where there is nothing; raises UserError when it is not understood."""
    path = folder / POSTPROCESSING_NAME
    if not path.exists():
        return None
    return read_model(path, Postprocessing, FIND_AGAIN)


def write_postprocessing(folder: Path, postprocessing: Postprocessing) -> None:
    """Writes it into `folder`, that of a model or that of its folds, atomically."""
    write_model(folder / POSTPROCESSING_NAME, postprocessing)


def erase(labels: np.ndarray, components: Components, erased: np.ndarray) -> None:
    """Sets `labels` to 0, in place, in the components that are `erased`: bool, by their ids."""
    if erased.any():
        for planes in slabs(labels.shape):
            labels[planes][erased[components.ids[planes]]] = 0
