"""Steps of augmentation that change the intensities of an image, as DALI operators for CPU and GPU.

Each takes its parameter as drawn, and leaves an image whose parameter is neutral as it is, without computing anything
(conditional execution). Images are float32 with layout `DHWC`, or `HWC` with 2 `spatial_axes`; mean, range and
deviation are those of each channel. Formulas: nnU-Net, Nature Methods 2021, supplementary note 4, but for
`shift_brightness`.
"""

from collections.abc import Callable

from nvidia.dali import fn, types
from nvidia.dali import math as dali_math
from nvidia.dali.data_node import DataNode

SMALLEST = 1e-7  # a range or deviation that is divided by is at least this


def add_noise(image: DataNode, deviation: DataNode, seed: int) -> DataNode:
    """Returns the image with Gaussian noise added; neutral 0."""
    if deviation > 0:
        image = fn.noise.gaussian(image, stddev=deviation, seed=seed)
    return image


def blur(image: DataNode, sigma: DataNode, channels: int) -> DataNode:
    """Returns the image with each channel blurred by its `sigma` `(channels,)`, in voxels; neutral 0."""
    if fn.reductions.max(sigma) > 0:
        image = _by_channel(image, sigma, channels, _blur_channel)
    return image


def change_brightness(image: DataNode, factor: DataNode) -> DataNode:
    """Returns the image times `factor`; neutral 1."""
    if factor != 1:
        image = image * factor
    return image


def shift_brightness(image: DataNode, offset: DataNode) -> DataNode:
    """Returns the image plus `offset`; neutral 0."""
    if offset != 0:
        image = image + offset
    return image


def change_contrast(image: DataNode, factor: DataNode, spatial_axes: int) -> DataNode:
    """Returns the image with its distance from the mean times `factor`, clipped to the range it had; neutral 1."""
    if factor != 1:
        mean = fn.reductions.mean(image, axes=tuple(range(spatial_axes)), keep_dims=True)
        low, high = _range(image, spatial_axes)
        image = dali_math.clamp((image - mean) * factor + mean, low, high)
    return image


def lower_resolution(image: DataNode, sizes: DataNode, channels: int, patch: tuple[int, ...]) -> DataNode:
    """Returns the image with each channel sampled down to its size, nearest, and up again to `patch`, linear.

    `sizes` `(channels, axes)`; neutral 0.
    """
    if fn.reductions.max(sizes) > 0:
        image = _by_channel(image, sizes, channels, lambda channel, size: _coarsen_channel(channel, size, patch))
    return image


def change_gamma(image: DataNode, exponent: DataNode, spatial_axes: int, inverted: bool) -> DataNode:
    """Returns the image, its range taken as 0 to 1, to the power of `exponent`, with its mean and deviation restored.

    With `inverted` this is done to the negative of the image. Neutral 1.
    """
    if exponent != 1:
        axes = tuple(range(spatial_axes))
        low, high = _range(image, spatial_axes)
        span = dali_math.max(high - low, SMALLEST)
        if inverted:
            power = -dali_math.pow((high - image) / span, exponent)
        else:
            power = dali_math.pow((image - low) / span, exponent)
        mean, power_mean = (fn.reductions.mean(each, axes=axes, keep_dims=True) for each in (image, power))
        deviation = fn.reductions.std_dev(image, mean, axes=axes, keep_dims=True)
        power_deviation = fn.reductions.std_dev(power, power_mean, axes=axes, keep_dims=True)
        image = (power - power_mean) * (deviation / dali_math.max(power_deviation, SMALLEST)) + mean
    return image


def _range(image: DataNode, spatial_axes: int) -> tuple[DataNode, DataNode]:
    axes = tuple(range(spatial_axes))
    return fn.reductions.min(image, axes=axes, keep_dims=True), fn.reductions.max(image, axes=axes, keep_dims=True)


def _by_channel(
    image: DataNode, parameters: DataNode, channels: int, step: Callable[[DataNode, DataNode], DataNode]
) -> DataNode:
    if channels == 1:
        return step(image, parameters[0])
    parts = [step(fn.slice(image, index, 1, axis_names="C"), parameters[index]) for index in range(channels)]
    return fn.cat(*parts, axis_name="C")


def _blur_channel(channel: DataNode, sigma: DataNode) -> DataNode:
    if sigma > 0:
        channel = fn.gaussian_blur(channel, sigma=sigma)
    return channel


def _coarsen_channel(channel: DataNode, size: DataNode, patch: tuple[int, ...]) -> DataNode:
    if size[0] > 0:
        coarse = fn.resize(channel, size=size, interp_type=types.INTERP_NN)
        channel = fn.resize(coarse, size=patch, interp_type=types.INTERP_LINEAR, antialias=False)
    return channel
