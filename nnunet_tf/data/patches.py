"""The DALI pipeline: reads the drawn regions of shards and makes patches of them, with nothing random but noise."""

from dataclasses import dataclass, fields

from nvidia.dali import fn, pipeline_def, types
from nvidia.dali.data_node import DataNode

from data_preprocessing.planning.plan import Plan
from nnunet_tf.data.augmentation.intensity import (
    add_noise,
    blur,
    change_brightness,
    change_contrast,
    change_gamma,
    clear_outside,
    lower_resolution,
    shift_brightness,
)
from nnunet_tf.data.augmentation.spatial import mirror, rearrange, warp
from nnunet_tf.data.sampling.epoch_samples import Draws


@dataclass(frozen=True)
class ShardFiles:
    """The files of a sequence of patches, one entry each; with `read_roi` only the wanted region of each is read.

    `input_size` is how much a network sees of the image around a patch.
    """

    images: list[str]
    labels: list[str]
    read_roi: bool
    input_size: tuple[int, ...]


@pipeline_def(enable_conditionals=True)
def patch_pipeline(files: ShardFiles, plan: Plan, noise_seed: int, gpu: bool) -> tuple[DataNode, DataNode]:
    """Returns patches, image float32 `(*input_size, C)` and label int32 `(*patch)`, in the order of `files`.

    All else comes from inputs named as the fields of `Draws`. Only reading is done on the CPU with `gpu`.
    """
    axes, channels, patch, seen = plan.dim, len(plan.channels), plan.patch_size, files.input_size
    start, shape = _drawn("start"), _drawn("shape")
    image, label = (_region(paths, start, shape, files.read_roi, axes) for paths in (files.images, files.labels))
    if seen != patch:
        order, lengths = _drawn("order"), _drawn("lengths")
        image, label = (rearrange(each, order, lengths) for each in (image, label))
    if gpu:
        image, label = image.gpu(), label.gpu()
    image, label = fn.cast(image, dtype=types.FLOAT), fn.cast(label, dtype=types.INT32)
    image, label = warp(image, label, _drawn("warped"), _drawn("warp"), seen)
    warped = image
    image = add_noise(image, _drawn("noise"), noise_seed)
    image = blur(image, _drawn("blur"), channels)
    image = change_brightness(image, _drawn("brightness"))
    image = change_contrast(image, _drawn("contrast"), axes)
    image = lower_resolution(image, _drawn("coarse"), channels, seen)
    image = change_gamma(image, _drawn("inverted_gamma"), axes, inverted=True)
    image = change_gamma(image, _drawn("gamma"), axes, inverted=False)
    image = shift_brightness(image, _drawn("offset"))
    masked = masked_channels(plan)
    if masked:
        image = clear_outside(image, warped, _drawn("changed"), masked, channels)
    image, label = mirror(image, label, _drawn("mirror"), axes)
    if seen != patch:
        first = [(seen[axis] - patch[axis]) // 2 for axis in range(axes)]
        label = fn.slice(label, first, patch, axes=tuple(range(axes)))
    return image, fn.squeeze(label, axes=[axes])


def masked_channels(plan: Plan) -> list[int]:
    """Returns the channels that the nonzero mask leaves at 0 outside the body."""
    return [index for index, each in enumerate(plan.normalization) if plan.nonzero_mask and each.name == "z_score"]


def input_names(plan: Plan, input_size: tuple[int, ...]) -> list[str]:
    """Returns the fields of `Draws` that a pipeline for networks with that input takes; a case is a file."""
    left_out = {"case"}
    if input_size == plan.patch_size:  # nothing is mirrored beyond the border
        left_out |= {"order", "lengths"}
    if not masked_channels(plan):
        left_out |= {"changed"}
    return [field.name for field in fields(Draws) if field.name not in left_out]


def _drawn(name: str) -> DataNode:
    return fn.external_source(name=name, batch=True)


def _region(paths: list[str], start: DataNode, shape: DataNode, read_roi: bool, axes: int) -> DataNode:
    """The regions of volumes `(z, y, x, channel)`, 0 outside of them; in 2D, without their first axis of size 1."""
    if read_roi:
        region = fn.readers.numpy(
            files=paths, roi_start=start, roi_shape=shape, roi_axes=(0, 1, 2), out_of_bounds_policy="pad"
        )
    else:
        region = fn.slice(fn.readers.numpy(files=paths), start, shape, axes=(0, 1, 2), out_of_bounds_policy="pad")
    if axes == 2:
        return fn.reshape(fn.squeeze(region, axes=[0]), layout="HWC")
    return fn.reshape(region, layout="DHWC")
