"""What must be known of the shards before patches can be drawn from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_preprocessing.shards.format import foreground_path, image_path


@dataclass(frozen=True)
class Volumes:
    """The volumes of some cases: `shapes` `(cases, 3)` as `(z, y, x)`, and how long the foreground tables are."""

    folder: Path
    names: tuple[str, ...]
    shapes: np.ndarray
    foreground_rows: np.ndarray

    def foreground_voxels(self, case: int, rows: np.ndarray) -> np.ndarray:
        """Returns those rows of a case's table of foreground voxels, `(rows, 3)`; negative where it has none."""
        return np.load(foreground_path(self.folder, self.names[case]), mmap_mode="r")[rows]


def read_volumes(shards: Path, cases: Sequence[str]) -> Volumes:
    """Returns the volumes of `cases`, sorted by name; reads no more of the shards than their headers."""
    names = tuple(sorted(cases))
    shapes = [np.load(image_path(shards, name), mmap_mode="r").shape[:3] for name in names]
    rows = [len(np.load(foreground_path(shards, name), mmap_mode="r")) for name in names]
    return Volumes(shards, names, np.array(shapes), np.array(rows))
