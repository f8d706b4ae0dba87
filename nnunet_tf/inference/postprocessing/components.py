"""Connected components of a segmentation, all classes at once and a slab at a time."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

import cc3d
import numpy as np

SLAB_VOXELS = 2**18  # NumPy makes eight bytes of each when it indexes or counts

# Voxels that share no more than a corner belong together, as in nnU-Net: with 6 neighbours a vessel that runs obliquely
# through the grid would fall into single voxels.
CONNECTIVITY: Final = 26


@dataclass(frozen=True)
class Components:
    """What `connected_components` found.

    `ids` `(z, y, x)`, unsigned, is the number of each voxel's component, 0 in the background; `values` the label number
    of each component and `sizes` its voxels, both by `ids`; their first entries are those of the background, 0 and 0.
    """

    ids: np.ndarray
    values: np.ndarray
    sizes: np.ndarray

    def largest(self, among: np.ndarray | None = None) -> np.ndarray:
        """Returns which components are the largest of their label number, of two as large the first: bool, by `ids`.

        With `among`, bool by `ids`, the others do not count.
        """
        candidates = self.sizes > 0 if among is None else among & (self.sizes > 0)
        chosen = np.flatnonzero(candidates)
        # By number, within it from the largest on, within equal sizes as they come.
        chosen = chosen[np.lexsort((-self.sizes[chosen], self.values[chosen]))]
        _, firsts = np.unique(self.values[chosen], return_index=True)
        result = np.zeros(len(self.sizes), bool)
        result[chosen[firsts]] = True
        return result

    def smaller(self, numbers: Collection[int]) -> np.ndarray:
        """Returns which components have one of the label `numbers` and are not its largest: bool, by `ids`."""
        return np.isin(self.values, list(numbers)) & (self.sizes > 0) & ~self.largest()


def connected_components(labels: np.ndarray) -> Components:
    """Returns the components of every label number in `labels` `(z, y, x)`, unsigned or bool; 0 is the background.

    Voxels are connected with their 26 neighbours of the same number. Source: W. Silversmith, connected-components-3d.
    """
    ids, count = cc3d.connected_components(labels, connectivity=CONNECTIVITY, return_N=True)
    values, sizes = np.zeros(count + 1, labels.dtype), np.zeros(count + 1, np.int64)
    for planes in slabs(labels.shape, count):
        values[ids[planes]] = labels[planes]
        sizes += np.bincount(ids[planes].ravel(), minlength=count + 1)
    sizes[0] = 0
    return Components(ids, values, sizes)


def slabs(shape: tuple[int, ...], components: int = 0) -> Iterator[slice]:
    """Yields the planes of a volume of `shape` `(z, y, x)`, some at a time: as many as a processor's cache holds.

    With `components`, at least as many voxels as these, so that adding up their counts does not take longer than
    counting.
    """
    depth = max(1, max(SLAB_VOXELS, components) // max(1, shape[1] * shape[2]))
    return (slice(first, first + depth) for first in range(0, shape[0], depth))
