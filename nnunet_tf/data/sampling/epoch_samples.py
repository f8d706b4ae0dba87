"""All random numbers of an epoch, as one table that the pipeline only has to apply."""

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np

from data_preprocessing.common.defaults import axis_numbers
from data_preprocessing.planning.plan import Plan
from nnunet_tf.data.augmentation.parameters import Parameters, draw_parameters, is_anisotropic
from nnunet_tf.data.augmentation.source_boxes import Regions, mirror_regions, source_regions
from nnunet_tf.data.sampling.patch_positions import draw_places
from nnunet_tf.data.sampling.settings import BatchSettings
from nnunet_tf.data.sampling.shard_index import Volumes


@dataclass(frozen=True)
class Draws:
    """Arrays `(steps, batch, ...)`, a patch an entry, in the units and axis order of the operators that take them.

    `case`, its number; `start` and `shape`, the region of the volume that the patch is made from, voxels `(z, y, x)`;
    `warped`, whether it is resampled, and `warp`, with what: an affine matrix `(axes, axes + 1)` from the patch to the
    region in `(x, y, z)`, corners of voxels being whole numbers. `noise`, deviation, `blur` `(channels, axes)`, sigma,
    `coarse` `(channels, axes)`, the size each channel is sampled down to: 0 where not drawn. `brightness`, `contrast`,
    `inverted_gamma`, `gamma` `(channels,)`: 1 where not drawn. `offset`: 0 where not drawn. `changed`, whether any of
    these is drawn. `mirror` `(axes,)`, int32, 1 where an
    axis is mirrored. For networks that see mirror images beyond the border, `start` and `shape` are what is
    read, and `order` `(3, longest)` and `lengths` `(3,)`, int32, say which of its voxels the region consists of along
    each axis (`mirror_regions`); for others `order` is empty.
    """

    case: np.ndarray
    start: np.ndarray
    shape: np.ndarray
    warped: np.ndarray
    warp: np.ndarray
    noise: np.ndarray
    blur: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray
    coarse: np.ndarray
    inverted_gamma: np.ndarray
    gamma: np.ndarray
    offset: np.ndarray
    changed: np.ndarray
    mirror: np.ndarray
    order: np.ndarray
    lengths: np.ndarray

    def share(self, rank: int, workers: int) -> Self:
        """Returns the draws of worker `rank` of `workers`: its part of each global batch."""
        batch_size = self.case.shape[1] // workers
        part = slice(rank * batch_size, (rank + 1) * batch_size)
        return replace(self, **{field.name: getattr(self, field.name)[:, part] for field in fields(self)})

    def rest(self, first_step: int) -> Self:
        """Returns the draws from one step on."""
        return replace(self, **{field.name: getattr(self, field.name)[first_step:] for field in fields(self)})


def draw_epoch(volumes: Volumes, plan: Plan, settings: BatchSettings, workers: int, epoch: int) -> Draws:
    """Returns the draws of all workers in one epoch.

    They depend on the seed, the epoch and the size of the global batch: not on the epochs before, nor on the number
    of workers that share the batch.
    """
    batch_size = settings.batch_size * workers
    patches = settings.steps_per_epoch * batch_size
    patch = plan.patch_size if plan.dim == 3 else (1, *plan.patch_size)
    seen = (*patch[: 3 - plan.dim], *settings.network.input_size(plan.patch_size))
    # One generator for each, so that the same patches are seen with and without augmentation.
    place_random, parameter_random = (np.random.default_rng((settings.seed, epoch, purpose)) for purpose in range(2))
    volumes_a_batch = (settings.volumes or settings.batch_size) * workers
    batches, first = settings.steps_per_epoch, epoch * patches
    places = draw_places(volumes, patch, batches, batch_size, volumes_a_batch, first, place_random)
    drawn = draw_parameters(patches, seen, len(plan.channels), settings.augmentation, parameter_random)
    before, behind = np.moveaxis(drawn.crop, -1, 0)
    scale = drawn.scale * (1 - before - behind)
    # Whole voxels, towards the middle: what is left after a crop lies within the patch.
    shift = np.trunc((before - behind) / 2 * seen).astype(int)
    margin = (np.array(seen) - patch) // 2
    wanted = source_regions(places.start - margin + shift, seen, drawn.rotation, scale)
    mirrored = np.isin(plan.axis_order, axis_numbers(settings.network.mirror_axes))
    regions, order = wanted, np.zeros((patches, 3, 0), np.int32)
    if seen != patch:
        regions, order = mirror_regions(wanted, volumes.shapes[places.case])
    columns = Draws(
        case=places.case,
        start=regions.start,
        shape=regions.shape,
        warped=drawn.rotation.any(axis=1) | (scale != 1).any(axis=1),
        warp=warp_matrices(wanted, seen)[:, : plan.dim, np.r_[: plan.dim, 3]],
        noise=drawn.noise.astype(np.float32),
        blur=drawn.blur[..., -plan.dim :].astype(np.float32),
        brightness=drawn.brightness.astype(np.float32),
        contrast=drawn.contrast.astype(np.float32),
        coarse=coarse_sizes(drawn.low_resolution, seen)[..., -plan.dim :],
        inverted_gamma=drawn.inverted_gamma.astype(np.float32),
        gamma=drawn.gamma.astype(np.float32),
        offset=drawn.offset.astype(np.float32),
        changed=changes_intensities(drawn),
        mirror=np.where(mirrored, drawn.mirror, 0)[:, -plan.dim :].astype(np.int32),
        order=order,
        lengths=wanted.shape,
    )
    by_step = (settings.steps_per_epoch, batch_size)
    values = {field.name: getattr(columns, field.name) for field in fields(columns)}
    return replace(columns, **{name: value.reshape(*by_step, *value.shape[1:]) for name, value in values.items()})


def changes_intensities(drawn: Parameters) -> np.ndarray:
    """Returns which patches draw a step that changes intensities, `(patches,)`."""
    to_zero = (drawn.noise, drawn.blur, drawn.offset)
    to_one = (drawn.brightness, drawn.contrast, drawn.low_resolution, drawn.inverted_gamma, drawn.gamma)
    changes = [values != 0 for values in to_zero] + [values != 1 for values in to_one]
    return np.any([each.reshape(len(each), -1).any(axis=1) for each in changes], axis=0)


def warp_matrices(regions: Regions, patch: tuple[int, ...]) -> np.ndarray:
    """Returns affine matrices `(patches, 3, 4)`, float32, on `(x, y, z)`, from patch to region.

    In these coordinates 0 is the corner of the first voxel, not its centre.
    """
    offset = regions.shape / 2 - regions.matrix @ (np.array(patch) / 2)
    return np.concatenate([regions.matrix[:, ::-1, ::-1], offset[:, ::-1, np.newaxis]], axis=2).astype(np.float32)


def coarse_sizes(factor: np.ndarray, patch: tuple[int, ...]) -> np.ndarray:
    """Returns the sizes `(patches, channels, 3)`, float32, to sample each channel down to; 0 where `factor` is 1.

    The first axis of an anisotropic patch, coarse already, keeps its size (nnU-Net v2).
    """
    sizes = np.maximum(np.round(factor[..., np.newaxis] * patch), 1)
    if is_anisotropic(patch):
        sizes[..., 0] = patch[0]
    return np.where(factor[..., np.newaxis] == 1, 0, sizes).astype(np.float32)
