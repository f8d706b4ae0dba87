"""Distinct colors for structures, the same in pictures, color tables and headers."""

from functools import lru_cache

import numpy as np

PALETTE = ("#ffb000", "#dc267f", "#648fff", "#4cd964", "#fe6100", "#b388ff", "#00c2c7", "#f5f55a")
"""The first colors. They can be told apart with color blindness too (the first five: IBM's palette)."""

GRID_STEP = 17  # between the candidates' red, green and blue
LIGHTNESS = (35, 95)  # of CIELAB: visible on black, and not white
SMALLEST_CHROMA = 25  # not gray, as the image is
D65 = (0.95047, 1.0, 1.08883)  # white, XYZ
RGB_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))


def distinct_colors(count: int) -> list[str]:
    """Returns `count` colors, all different, as `#rrggbb`. More colors change none of the first.

    After `PALETTE` each is the candidate farthest from all before it in CIELAB.
    """
    return list(_colors(max(len(PALETTE), -(-count // 64) * 64))[:count])


def rgb(color: str) -> tuple[int, int, int]:
    """Returns red, green and blue (0-255) of a color such as `#ffb000`."""
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue


@lru_cache(maxsize=4)
def _colors(count: int) -> tuple[str, ...]:
    steps = np.arange(0, 256, GRID_STEP)
    candidates = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    places = lab(candidates)
    usable = (places[:, 0] >= LIGHTNESS[0]) & (places[:, 0] <= LIGHTNESS[1])
    usable &= np.hypot(places[:, 1], places[:, 2]) >= SMALLEST_CHROMA
    candidates, places = candidates[usable], places[usable]
    chosen = [rgb(color) for color in PALETTE]
    distance = np.full(len(places), np.inf)
    for known in lab(np.array(chosen)):
        distance = np.minimum(distance, np.linalg.norm(places - known, axis=1))
    while len(chosen) < min(count, len(candidates)):
        farthest = int(distance.argmax())
        red, green, blue = map(int, candidates[farthest])
        chosen.append((red, green, blue))
        distance = np.minimum(distance, np.linalg.norm(places - places[farthest], axis=1))
    colors = ["#{:02x}{:02x}{:02x}".format(*color) for color in chosen]
    return tuple((colors * -(-count // len(colors)))[:count])  # thousands of classes share some


def lab(colors: np.ndarray) -> np.ndarray:
    """Returns the CIELAB values `(n, 3)` of sRGB colors `(n, 3)`, 0-255. Source: IEC 61966-2-1, CIE 15."""
    share = colors / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array(RGB_TO_XYZ).T / D65
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
