"""Steps of augmentation that change the intensities of an image, as DALI operators for CPU and GPU.

Each takes its parameter as drawn, and leaves an image whose parameter is neutral as it is, without computing anything
(conditional execution). Images are float32 with layout `DHWC`, or `HWC` with 2 `spatial_axes`; mean, range and
deviation are those of each channel. Parameters are `(channels,)` unless told. Formulas: nnU-Net, Nature Methods 2021,
supplementary note 4, but for `shift_brightness`.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import or_

from nvidia.dali import fn, types
from nvidia.dali import math as dali_math
from nvidia.dali.data_node import DataNode

SMALLEST = 1e-7  # a range or deviation that is divided by is at least this


def add_noise(image: DataNode, deviation: DataNode, seed: int) -> DataNode:
    """Returns the image with Gaussian noise of one `deviation` added; neutral 0."""
    if deviation > 0:
        image = fn.noise.gaussian(image, stddev=deviation, seed=seed)
    return image


def blur(image: DataNode, sigma: DataNode, channels: int) -> DataNode:
    """Returns the image with each channel blurred by its `sigma` `(channels, spatial_axes)`, in voxels; neutral 0."""
    if fn.reductions.max(sigma) > 0:
        image = _by_channel(image, sigma, channels, _blur_channel)
    return image


def change_brightness(image: DataNode, factor: DataNode) -> DataNode:
    """Returns each channel times its `factor`; neutral 1."""
    if _is_drawn(factor):
        image = image * _beside(image, factor)
    return image


def shift_brightness(image: DataNode, offset: DataNode) -> DataNode:
    """Returns the image plus one `offset` for all channels; neutral 0."""
    if offset != 0:
        image = image + offset
    return image


def change_contrast(image: DataNode, factor: DataNode, spatial_axes: int) -> DataNode:
    """Returns each channel, its distance from the mean times its `factor`, clipped to the range it had; neutral 1."""
    if _is_drawn(factor):
        mean = fn.reductions.mean(image, axes=tuple(range(spatial_axes)), keep_dims=True)
        low, high = _range(image, spatial_axes)
        image = dali_math.clamp((image - mean) * _beside(image, factor) + mean, low, high)
    return image


def lower_resolution(image: DataNode, sizes: DataNode, channels: int, patch: tuple[int, ...]) -> DataNode:
    """Returns the image with each channel sampled down to its size, nearest, and up again to `patch`, linear.

    `sizes` `(channels, axes)`; neutral 0.
    """
    if fn.reductions.max(sizes) > 0:
        image = _by_channel(image, sizes, channels, lambda channel, size: _coarsen_channel(channel, size, patch))
    return image


def change_gamma(image: DataNode, exponent: DataNode, spatial_axes: int, inverted: bool) -> DataNode:
    """Returns each channel, its range taken as 0 to 1, to the power of its `exponent`; mean and deviation restored.

    With `inverted` this is done to the negative of the image. Neutral 1.
    """
    if _is_drawn(exponent):
        power_of = _beside(image, exponent)
        axes = tuple(range(spatial_axes))
        low, high = _range(image, spatial_axes)
        span = dali_math.max(high - low, SMALLEST)
        if inverted:
            power = -dali_math.pow((high - image) / span, power_of)
        else:
            power = dali_math.pow((image - low) / span, power_of)
        mean, power_mean = (fn.reductions.mean(each, axes=axes, keep_dims=True) for each in (image, power))
        deviation = fn.reductions.std_dev(image, mean, axes=axes, keep_dims=True)
        power_deviation = fn.reductions.std_dev(power, power_mean, axes=axes, keep_dims=True)
        image = (power - power_mean) * (deviation / dali_math.max(power_deviation, SMALLEST)) + mean
    return image


def clear_outside(
    image: DataNode, before: DataNode, changed: DataNode, masked: Sequence[int], channels: int
) -> DataNode:
    """Returns the image with its `masked` channels 0 where all of them were 0 `before` it was `changed`.

    Those are the voxels outside the body that the nonzero mask left at 0; prediction never sees them otherwise. Source:
    `MaskImageTransform` of nnU-Net v2.
    """
    if changed:
        parts = [_channel(before, index, channels) for index in masked]
        body = reduce(or_, (part != 0 for part in parts))
        if len(masked) == channels:
            image = image * body
        else:
            each = [_channel(image, index, channels) for index in range(channels)]
            image = fn.cat(
                *(part * body if index in masked else part for index, part in enumerate(each)), axis_name="C"
            )
    return image


def _is_drawn(factors: DataNode) -> DataNode:
    """Whether any of the factors `(channels,)` is not the neutral 1."""
    return fn.reductions.max(dali_math.abs(factors - 1)) > 0


def _beside(image: DataNode, parameters: DataNode) -> DataNode:
    """Returns the parameters on the device of the image: DALI computes with arrays of one device only."""
    return parameters.gpu() if image.device == "gpu" else parameters


def _channel(image: DataNode, index: int, channels: int) -> DataNode:
    return image if channels == 1 else fn.slice(image, index, 1, axis_names="C")


def _range(image: DataNode, spatial_axes: int) -> tuple[DataNode, DataNode]:
    axes = tuple(range(spatial_axes))
    return fn.reductions.min(image, axes=axes, keep_dims=True), fn.reductions.max(image, axes=axes, keep_dims=True)


def _by_channel(
    image: DataNode, parameters: DataNode, channels: int, step: Callable[[DataNode, DataNode], DataNode]
) -> DataNode:
    parts = [step(_channel(image, index, channels), parameters[index]) for index in range(channels)]
    return parts[0] if channels == 1 else fn.cat(*parts, axis_name="C")


def _blur_channel(channel: DataNode, sigma: DataNode) -> DataNode:
    if sigma[0] > 0:
        channel = fn.gaussian_blur(channel, sigma=sigma)
    return channel


def _coarsen_channel(channel: DataNode, size: DataNode, patch: tuple[int, ...]) -> DataNode:
    if size[0] > 0:
        coarse = fn.resize(channel, size=size, interp_type=types.INTERP_NN)
        channel = fn.resize(coarse, size=patch, interp_type=types.INTERP_LINEAR, antialias=False)
    return channel
