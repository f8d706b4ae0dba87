"""The steps of augmentation on intensities, in NumPy and SciPy, of images `(z, y, x, channel)` or `(y, x, channel)`."""

import numpy as np
from scipy import ndimage


def change_contrast(image: np.ndarray, factor: np.ndarray | float) -> np.ndarray:
    """Returns the distance from each channel's mean times its `factor`, clipped to the channel's range."""
    axes = tuple(range(image.ndim - 1))
    mean = image.mean(axis=axes)
    return np.clip((image - mean) * factor + mean, image.min(axis=axes), image.max(axis=axes))


def change_gamma(image: np.ndarray, exponent: np.ndarray | float, inverted: bool) -> np.ndarray:
    """Returns each channel, or its negative, to the power of its `exponent` over its range; statistics restored."""
    axes = tuple(range(image.ndim - 1))
    signed = -image if inverted else image
    low, span = signed.min(axis=axes), np.ptp(signed, axis=axes)
    power = ((signed - low) / span) ** exponent * span + low
    changed = (power - power.mean(axis=axes)) / power.std(axis=axes) * image.std(axis=axes) + signed.mean(axis=axes)
    return -changed if inverted else changed


def blur(image: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Returns each channel blurred by its `sigma` `(channels, axes)`, in voxels; 0 leaves it."""
    return by_channel(image, sigma, blur_channel)


def lower_resolution(image: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Returns each channel sampled down to its size `(channels, axes)` and up again; 0 leaves it."""
    return by_channel(image, sizes.astype(int), coarsen_channel)


def by_channel(image, parameters, step):
    parts = [
        step(image[..., index], value) if np.any(value) else image[..., index] for index, value in enumerate(parameters)
    ]
    return np.stack(parts, axis=-1)


def blur_channel(volume, sigma):
    return ndimage.gaussian_filter(volume, sigma, mode="mirror", radius=tuple(np.ceil(3 * sigma).astype(int)))


def coarsen_channel(volume, size):
    """Down with the nearest voxel, up linearly; half-pixel centres, edges extended."""
    centres = [(np.arange(small) + 0.5) * full / small for full, small in zip(volume.shape, size, strict=True)]
    coarse = volume[np.ix_(*(np.floor(centre).astype(int) for centre in centres))]
    fine = [(np.arange(full) + 0.5) * small / full - 0.5 for full, small in zip(volume.shape, size, strict=True)]
    return ndimage.map_coordinates(coarse, np.meshgrid(*fine, indexing="ij"), order=1, mode="nearest")
