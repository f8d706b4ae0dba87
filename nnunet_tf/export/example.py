"""Segment a scan as `nnunet-tf predict` does, with NumPy and the library of the exported network alone.

python example.py scan.npy labels.npy 1.5 1.0 1.0

scan.npy is `(z, y, x)` or `(z, y, x, channel)`, its axes from inferior to superior, posterior to anterior, left to
right; the numbers are the voxel size in mm along z, y and x. labels.npy will be `(z, y, x)`.
"""

import itertools
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

HOME = Path(__file__).parent
BEFORE, AFTER = (json.loads((HOME / name).read_text()) for name in ("preprocessing.json", "postprocessing.json"))


def load(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from a window `(C, *input_size)` to logits `(outputs, *patch_size)`."""
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return lambda window: session.run(None, {"image": window[None]})[0][0]
    if path.suffix == ".xml":
        sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment] # sends telemetry when it is imported
        import openvino

        compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return lambda window: compiled(window[None])[0][0]
    import tensorflow as tf

    model = tf.saved_model.load(path)
    return lambda window: np.moveaxis(model.serve(np.moveaxis(window[None], 1, -1)).numpy(), -1, 1)[0]


def operator(source: int, target: int, order: int) -> np.ndarray:
    """Return the matrix `(target, source)` that interpolates an axis by splines, its edges extended."""
    places = (np.arange(target) + 0.5) * source / target - 0.5
    if order == 0:
        return np.eye(source)[np.clip(np.floor(places + 0.5).astype(int), 0, source - 1)]
    if order == 1:
        places = np.clip(places, 0, source - 1)
        return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(source)))
    pad = 12
    size = source + 2 * pad
    edges = np.eye(source)[np.clip(np.arange(-pad, source + pad), 0, source - 1)]
    spline = np.eye(size) * 4 / 6 + (np.eye(size, k=1) + np.eye(size, k=-1)) / 6
    distance = np.abs(places[:, None] + pad - np.arange(size))
    near, far = 2 / 3 - distance**2 + distance**3 / 2, np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, near, far) @ np.linalg.solve(spline, edges)


def resample(volume: np.ndarray, shape: list[int], order: int, before: list[float], after: list[float]) -> np.ndarray:
    """Return `(D, H, W)` on `shape`; an axis much coarser than the others takes the nearest plane."""
    orders = [order] * 3
    for spacing in (before, after):
        if max(spacing) / min(spacing) > BEFORE["anisotropy"]:
            if sorted(spacing)[-2] < max(spacing):
                orders[int(np.argmax(spacing))] = 0
            break
    for axis in sorted(range(3), key=lambda axis: shape[axis] / volume.shape[axis]):
        if shape[axis] != volume.shape[axis]:
            matrix = operator(volume.shape[axis], shape[axis], orders[axis]).astype(np.float32)
            volume = np.moveaxis(np.tensordot(matrix, volume, (1, axis)), 0, axis)
    return volume


def spread(ids: np.ndarray, mask: np.ndarray, corners: bool) -> np.ndarray:
    """Return `ids`, the largest of neighbors taking over within `mask` until nothing changes."""
    while True:
        grown = ids
        for axis in range(3):
            source = np.moveaxis(
                np.pad(grown if corners else ids, [(int(axis == each),) * 2 for each in range(3)]), axis, 0
            )
            largest = np.maximum(np.maximum(source[:-2], source[2:]), source[1:-1])
            grown = np.maximum(grown, np.moveaxis(largest, 0, axis))
        grown = np.where(mask, grown, 0)
        if np.array_equal(grown, ids):
            return ids
        ids = grown


def normalize(channel: np.ndarray, how: dict, mask: np.ndarray | None) -> np.ndarray:
    """Return one channel `(D, H, W)` normalized."""
    if how["name"] == "ct":
        return (np.clip(channel, how["low"], how["high"]) - np.float32(how["mean"])) / np.float32(how["std"])
    if how["name"] == "z_score":
        inside = (channel if mask is None else channel[mask]).astype(np.float64)
        if not inside.size:
            return np.zeros_like(channel)
        values = (channel - np.float32(inside.mean())) / np.float32(max(inside.std(), 1e-8))
        return values if mask is None else np.where(mask, values, 0)
    if how["name"] == "rescale_0_1":
        return (channel - channel.min()) / np.float32(max(float(channel.max()) - float(channel.min()), 1e-8))
    return channel / np.float32(255) if how["name"] == "rgb" else channel


def windows(size: int, patch: int) -> list[int]:
    """Return where the windows of one axis start."""
    if size <= patch:
        return [-((patch - size) // 2)]
    if patch == 1:
        return list(range(size))
    count = math.ceil((size - patch) / (patch * (1 - BEFORE["overlap"]))) + 1
    return [round(index * (size - patch) / (count - 1)) for index in range(count)]


def cut(image: np.ndarray, corner: tuple[int, ...], patch: list[int], seen: list[int]) -> np.ndarray:
    """Return what the network sees for a patch of `(C, D, H, W)`: 0 outside, or mirrored where it sees more."""
    places = [np.arange(seen[axis]) + corner[axis] - (seen[axis] - patch[axis]) // 2 for axis in range(3)]
    if patch != seen:
        periods = [max(2 * (size - 1), 1) for size in image.shape[1:]]
        places = [np.minimum(at % period, period - at % period) for at, period in zip(places, periods, strict=True)]
        return image[np.ix_(np.arange(len(image)), *places)]
    inside = [(at >= 0) & (at < size) for at, size in zip(places, image.shape[1:], strict=True)]
    window = np.zeros((len(image), *seen), np.float32)
    window[np.ix_(np.arange(len(image)), *inside)] = image[
        np.ix_(np.arange(len(image)), *(at[ok] for at, ok in zip(places, inside, strict=True)))
    ]
    return window


def predict(scan: np.ndarray, spacing: list[float]) -> np.ndarray:
    """Return the label numbers `(z, y, x)` of a scan `(z, y, x, channel)` with a voxel size in mm."""
    order, flat = BEFORE["axis_order"], BEFORE["dim"] == 2
    volume = np.moveaxis(scan.astype(np.float32), 3, 0).transpose(0, *(axis + 1 for axis in order))
    here = [spacing[axis] for axis in order]
    there = [here[0], *BEFORE["spacing"]] if flat else BEFORE["spacing"]
    patch, seen = ([1] * flat + BEFORE[name] for name in ("patch_size", "input_size"))
    filled = (volume != 0).any(axis=0)
    at = [np.flatnonzero(filled.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)] if filled.any() else []
    box = tuple(slice(int(each[0]), int(each[-1]) + 1) for each in at) or (slice(None),) * 3
    cropped, mask = volume[(slice(None), *box)], None
    if BEFORE["nonzero_mask"]:
        holes = np.pad(~filled[box], 1, constant_values=True)
        outside = np.zeros(holes.shape, np.uint8)
        outside[0] = 1
        mask = spread(outside, holes, corners=False)[1:-1, 1:-1, 1:-1] == 0
    shape = [max(1, round(n * mm / to)) for n, mm, to in zip(cropped.shape[1:], here, there, strict=True)]
    image = np.empty((len(cropped), *shape), np.float32)
    for index, how in enumerate(BEFORE["normalization"]):
        channel = normalize(cropped[index], how, mask)
        image[index] = np.clip(resample(channel, shape, 3, here, there), channel.min(), channel.max())

    profiles = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n * BEFORE["sigma_share"])) ** 2) for n in patch]
    weights = np.einsum("i,j,k->ijk", *profiles)
    weights = (weights / weights.max()).astype(np.float32)
    weights[weights == 0] = weights[weights > 0].min()
    networks = [load(HOME / name) for name in AFTER["networks"]]
    sums, total = np.zeros((AFTER["outputs"], *shape), np.float32), np.zeros(shape, np.float32)
    for corner in itertools.product(*(windows(size, side) for size, side in zip(shape, patch, strict=True))):
        window = np.ascontiguousarray(cut(image, corner, patch, seen))
        results = [run(window[:, 0])[:, None] if flat else run(window) for run in networks]
        logits = sum(results[1:], results[0]) / len(results)
        to = tuple(slice(max(0, c), c + side) for c, side in zip(corner, patch, strict=True))
        of = tuple(slice(max(0, -c), n - c) for c, n in zip(corner, shape, strict=True))
        sums[(slice(None), *to)] += (logits * weights)[(slice(None), *of)]
        total[to] += weights[of]
    scores = [resample(each / total, list(cropped.shape[1:]), 1, there, here) for each in sums]
    if AFTER["regions"]:
        decided = np.max([(score > 0) * (number + 1) for number, score in enumerate(scores)], axis=0)
    else:
        decided = np.argmax(scores, axis=0)
    labels = np.full(volume.shape[1:], AFTER["numbers"][0])
    labels[box] = np.array(AFTER["numbers"])[decided]
    labels = labels.transpose(np.argsort(order))
    groups = [labels != 0] * AFTER["keep_largest_foreground"] + [labels == n for n in AFTER["keep_largest"]]
    for group in groups:
        group &= labels != 0  # what an earlier group has lost
        numbers = np.arange(labels.size, 0, -1).reshape(labels.shape)  # of two as large the first is kept
        ids, sizes = np.unique(spread(numbers * group, group, corners=True), return_counts=True)
        if len(ids) > 2:
            components = spread(numbers * group, group, corners=True)
            best = max((size, number) for number, size in zip(ids, sizes, strict=True) if number)[1]
            labels[group & (components != best)] = 0
    return labels


if __name__ == "__main__":
    source, target, *sizes = sys.argv[1:]
    voxels = np.load(source)
    result = predict(voxels if voxels.ndim == 4 else voxels[..., None], [float(size) for size in sizes])
    np.save(target, result.astype(np.min_scalar_type(int(result.max()))))
