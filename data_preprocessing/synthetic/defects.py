"""Synthetic pictures of textured surfaces, some with a weak defect: something to find defects on.

Like the DAGM 2007 competition's images: a statistical texture, and in some of the images an ellipse in which brightness
and texture are a little off. Labels are the ellipses. Every image has a texture of its own.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from data_preprocessing.common.files import atomic_path
from data_preprocessing.common.script import LineParser, user_path
from data_preprocessing.synthetic.writing import write_cases

PROGRAM = "python -m data_preprocessing.surface"
LABELS = ("background", "defect")
ENDING = ".png"
GREY, CONTRAST = 128.0, 26.0  # mean and deviation of an image, in 8 bits
DEFECT_CONTRAST = (0.7, 1.2)  # how much brighter or darker the middle of a defect is, in deviations of the texture
DEFECT_RADII = (0.04, 0.12)  # of the image's side


@dataclass(frozen=True)
class Options:
    """What kind of data set: pictures of `size` x `size` pixels, a share of them with a defect."""

    cases: int = 160
    seed: int = 0
    size: int = 256
    defect_share: float = 0.5


@dataclass(frozen=True)
class Surface:
    """One picture: `image` `(y, x)` uint8, and `label` `(y, x)` uint8, 1 in the defect."""

    image: np.ndarray
    label: np.ndarray


def make_surface(index: int, options: Options) -> Surface:
    """Returns picture `index` of a data set; it does not depend on how many there are."""
    random = np.random.default_rng((options.seed, index))
    texture = _texture(random, options.size)
    label = np.zeros(texture.shape, np.uint8)
    if math.floor((index + 1) * options.defect_share) > math.floor(index * options.defect_share):  # evenly spread
        distance = _ellipse(random, options.size)
        label = (distance < 1).astype(np.uint8)
        softness = np.clip(1.5 - distance, 0, 1)  # full in the inner half, gone half a radius beyond the edge
        sign = random.choice((-1, 1))
        blurred = ndimage.gaussian_filter(texture, 2, mode="wrap")
        texture = texture + softness * (blurred - texture) * 0.5
        texture = texture + sign * softness * random.uniform(*DEFECT_CONTRAST)
    return Surface(np.clip(np.rint(GREY + CONTRAST * texture), 1, 255).astype(np.uint8), label)


def write_dataset(folder: Path, options: Options) -> None:
    """Writes a data set as `write_cases` does."""

    def write(index: int, image: Path, label: Path) -> None:
        write_surface(make_surface(index, options), image, label)

    description = {
        "name": "Surface",
        "description": "Synthetic textured surfaces with defects, made by data_preprocessing.synthetic.defects",
        "tensorImageSize": "2D",
        "modality": {"0": "grey"},
        "labels": {str(number): name for number, name in enumerate(LABELS)},
        "file_ending": ENDING,
    }
    write_cases(folder, [f"surface_{index:04d}{ENDING}" for index in range(options.cases)], write, description)


def write_surface(surface: Surface, image_path: Path, label_path: Path) -> None:
    """Writes picture and label as PNG."""
    for path, pixels in ((image_path, surface.image), (label_path, surface.label)):
        with atomic_path(path) as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG")


def _texture(random: np.random.Generator, size: int) -> np.ndarray:
    """White noise through a band of wavelengths along an oblique axis: a random field of unit deviation."""
    frequencies = np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size), indexing="ij")
    angle, stretch = random.uniform(0, math.pi), random.uniform(1, 3)
    across = frequencies[0] * math.cos(angle) + frequencies[1] * math.sin(angle)
    along = (frequencies[1] * math.cos(angle) - frequencies[0] * math.sin(angle)) * stretch
    wavelength = random.uniform(5, 14)  # pixels
    band = np.exp(-0.5 * ((np.hypot(across, along) * wavelength - 1) / 0.35) ** 2)
    field = np.fft.ifft2(np.fft.fft2(random.normal(size=(size, size))) * band).real
    field = field / field.std() + random.normal(0, 0.2, (size, size))
    return (field - field.mean()) / field.std()


def _ellipse(random: np.random.Generator, size: int) -> np.ndarray:
    """How far each pixel is from the middle of a random ellipse, 1 on its edge."""
    radii = random.uniform(*DEFECT_RADII, 2) * size
    centre = random.uniform(radii.max(), size - radii.max(), 2)
    angle = random.uniform(0, math.pi)
    y, x = np.indices((size, size)) - centre[:, np.newaxis, np.newaxis]
    across, along = y * math.cos(angle) + x * math.sin(angle), x * math.cos(angle) - y * math.sin(angle)
    return np.hypot(across / radii[0], along / radii[1])


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the data set: size, seed, share of defects."""
    parser.add_argument("--output", type=user_path, default=Path("data/Task21_Surface"), help="folder (%(default)s)")
    parser.add_argument("--cases", type=int, default=160, help="pictures, a quarter of them for testing (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=256, help="pixels of a side (%(default)s)")
    parser.add_argument("--defect-share", type=float, default=0.5, help="of the pictures (%(default)s)")


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Writes the data set that the command line describes."""
    if options.cases < 2:
        parser.error("--cases must be at least 2: one to train on, one to test")
    if options.size < 32:
        parser.error("--size must be at least 32")
    if not 0 <= options.defect_share <= 1:
        parser.error("--defect-share must be between 0 and 1")
    write_dataset(options.output, Options(options.cases, options.seed, options.size, options.defect_share))
    print(f"{options.cases} pictures in {options.output}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the data set that the command line describes."""
    parser = LineParser(prog=PROGRAM, description=main.__doc__)
    add_options(parser)
    run(parser.parse_args(arguments), parser)
