"""The networks of `nnunet_tf/networks`, for prediction, as a graph of any library's operations, without TensorFlow.

Values are channels first, `(N, C, *spatial)`. The contract test compares every network with Keras'.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from data_preprocessing.planning.topology import (
    PLAIN_CONVOLUTIONS,
    RESIDUAL_BLOCKS,
    RESIDUAL_DECODER_CONVOLUTIONS,
    Topology,
)
from nnunet_tf.inference.engines.weights import UnknownWeights, Weights
from nnunet_tf.networks.settings import NetworkSettings, group_count

EPSILON = 1e-5  # of every normalization
UNET_LEVELS = 5
STAGE_CONVOLUTION = re.compile(r"(?:en|de)coder(\d+)_(?:block\d+_)?conv\d+")
DEEPER_LOGITS = re.compile(r"logits[1-9]\d*")  # of deep supervision
Pads = tuple[tuple[int, ...], tuple[int, ...]]
"""Zeros before and after each spatial axis."""


class Operations(Protocol):
    """What a library computes: each takes and returns its own nodes, `(N, C, *spatial)`."""

    def input(self, channels: int, size: tuple[int, ...]) -> Any:  # noqa: ANN401
        """Returns the network's input."""

    def convolution(self, node: Any, kernel: np.ndarray, stride: tuple[int, ...], pads: Pads) -> Any:  # noqa: ANN401
        """Convolves with `kernel` `(outputs, inputs, *kernel)`."""

    def transposed(self, node: Any, kernel: np.ndarray, stride: tuple[int, ...]) -> Any:  # noqa: ANN401
        """Convolves, transposed, with `kernel` `(inputs, outputs, *stride)`."""

    def affine(self, node: Any, scale: np.ndarray | None, shift: np.ndarray) -> Any:  # noqa: ANN401
        """Multiplies each channel by `scale` `(C,)` and adds `shift` `(C,)`."""

    def normalization(self, node: Any, groups: int, channels: int, size: tuple[int, ...]) -> Any:  # noqa: ANN401
        """Subtracts the mean of each sample's group of channels and divides by the deviation."""

    def leaky_relu(self, node: Any, slope: float) -> Any:  # noqa: ANN401
        """Multiplies what is below 0 by `slope`."""

    def pool(self, node: Any, stride: tuple[int, ...], average: bool) -> Any:  # noqa: ANN401
        """Takes the mean or the maximum of each block of `stride` voxels."""

    def doubled(self, node: Any, dim: int) -> Any:  # noqa: ANN401
        """Repeats each voxel twice along each spatial axis."""

    def concatenate(self, nodes: Sequence[Any]) -> Any:  # noqa: ANN401
        """Puts the channels of all `nodes` one after another."""

    def add(self, one: Any, other: Any) -> Any:  # noqa: ANN401
        """Adds."""

    def crop(self, node: Any, start: tuple[int, ...], stop: tuple[int, ...]) -> Any:  # noqa: ANN401
        """Takes the part from `start` to `stop` of the spatial axes."""


@dataclass(frozen=True)
class Value:
    """A node with its channels and spatial size."""

    node: Any
    channels: int
    size: tuple[int, ...]


def build_graph(
    topology: Topology,
    patch_size: Sequence[int],
    channels: int,
    outputs: int,
    settings: NetworkSettings,
    weights: Weights,
    operations: Operations,
) -> Value:
    """Returns the full-resolution logits `(N, outputs, *patch_size)` of a network.

    Raises UnknownWeights where a layer's weights are missing, do not fit, or belong to no layer.
    """
    graph = _Graph(settings, weights, operations)
    size = settings.input_size(patch_size)
    image = Value(operations.input(channels, size), channels, size)
    if settings.network == "nnunet":
        _check_stages(topology, weights)
        logits = _nnunet(graph, image, topology)
    else:
        build = _unet if settings.network == "unet" else _tiny_unet
        logits = build(graph, image, tuple(patch_size))
    if (logits.channels, logits.size) != (outputs, tuple(patch_size)):
        raise UnknownWeights(f"{logits.channels} outputs instead of {outputs}")
    unused = [name for name in weights if name not in graph.used and not DEEPER_LOGITS.fullmatch(name)]
    if unused:
        raise UnknownWeights(f"{unused[0]}: the network has no such layer")
    return logits


def _check_stages(topology: Topology, weights: Weights) -> None:
    """Raises UnknownWeights where a convolution has not the kernel and features of its stage."""
    for name, arrays in weights.items():
        found = STAGE_CONVOLUTION.fullmatch(name)
        level = int(found[1]) if found else -1
        if found and level < len(topology.kernels):
            expected = (*topology.kernels[level], topology.features[level])
            if (*arrays[0].shape[:-2], arrays[0].shape[-1]) != expected:
                raise UnknownWeights(f"{name}: a kernel {arrays[0].shape} where the plan has {expected}")


class _Graph:
    """Layers of a network by their names."""

    def __init__(self, settings: NetworkSettings, weights: Weights, operations: Operations) -> None:
        self.settings, self.weights, self.do = settings, weights, operations
        self.used: set[str] = set()

    def convolution(self, value: Value, name: str, stride: tuple[int, ...] | None = None, padded: bool = True) -> Value:
        kernel, bias = self._kernel(name, value.channels, inputs_axis=-2)
        stride = stride or (1,) * len(value.size)
        sides = kernel.shape[:-2]
        if padded:  # TensorFlow's "same": the odd voxel behind
            size = tuple(math.ceil(side / step) for side, step in zip(value.size, stride, strict=True))
            total = [
                max(0, (after - 1) * step + kernel_side - side)
                for after, step, kernel_side, side in zip(size, stride, sides, value.size, strict=True)
            ]
        else:
            size = tuple(
                (side - kernel_side) // step + 1
                for side, kernel_side, step in zip(value.size, sides, stride, strict=True)
            )
            total = [0] * len(size)
        pads = tuple(each // 2 for each in total), tuple(each - each // 2 for each in total)
        node = self.do.convolution(value.node, np.moveaxis(kernel, (-1, -2), (0, 1)), stride, pads)
        return Value(self._biased(node, bias), kernel.shape[-1], size)

    def transposed(self, value: Value, name: str) -> Value:
        kernel, bias = self._kernel(name, value.channels, inputs_axis=-1)
        stride = kernel.shape[:-2]
        node = self.do.transposed(value.node, np.moveaxis(kernel, (-1, -2), (0, 1)), stride)
        size = tuple(side * step for side, step in zip(value.size, stride, strict=True))
        return Value(self._biased(node, bias), kernel.shape[-2], size)

    def normalization(self, value: Value, name: str) -> Value:
        norm = self.settings.norm
        if norm == "none":
            return value
        arrays = self._arrays(name, 4 if norm == "batch" else 2)
        if any(each.shape != (value.channels,) for each in arrays):
            raise UnknownWeights(f"{name}: has {arrays[0].size} channels instead of {value.channels}")
        if norm == "batch":
            gamma, beta, mean, variance = (each.astype(np.float64) for each in arrays)
            scale = gamma / np.sqrt(variance + EPSILON)
            return self._with(value, self.do.affine(value.node, scale, beta - mean * scale))
        groups = value.channels if norm == "instance" else group_count(value.channels)
        node = self.do.normalization(value.node, groups, value.channels, value.size)
        return self._with(value, self.do.affine(node, *arrays))

    def relu(self, value: Value, slope: float = 0.0) -> Value:
        return self._with(value, self.do.leaky_relu(value.node, slope))

    def pool(self, value: Value, stride: tuple[int, ...], average: bool = False) -> Value:
        size = tuple(side // step for side, step in zip(value.size, stride, strict=True))
        return Value(self.do.pool(value.node, stride, average), value.channels, size)

    def concatenate(self, values: Sequence[Value]) -> Value:
        node = self.do.concatenate([value.node for value in values])
        return Value(node, sum(value.channels for value in values), values[0].size)

    def crop(self, value: Value, start: Sequence[int], size: Sequence[int]) -> Value:
        if tuple(size) == value.size:
            return value
        stop = tuple(first + side for first, side in zip(start, size, strict=True))
        return Value(self.do.crop(value.node, tuple(start), stop), value.channels, tuple(size))

    def convolution_norm_relu(
        self, value: Value, name: str, index: int = 0, stride: tuple[int, ...] | None = None
    ) -> Value:
        value = self.convolution(value, f"{name}_conv{index}", stride)
        return self.relu(self.normalization(value, f"{name}_norm{index}"), self.settings.negative_slope)

    def convolutions_relu(self, value: Value, name: str, padded: bool = True) -> Value:
        for index in range(2):
            value = self.relu(self.convolution(value, f"{name}_conv{index}", padded=padded))
        return value

    def residual_block(self, value: Value, name: str, stride: tuple[int, ...]) -> Value:
        skip = self.pool(value, stride, average=True) if any(step > 1 for step in stride) else value
        if f"{name}_skip_conv" in self.weights:
            skip = self.normalization(self.convolution(skip, f"{name}_skip_conv"), f"{name}_skip_norm")
        value = self.convolution_norm_relu(value, name, 0, stride)
        value = self.normalization(self.convolution(value, f"{name}_conv1"), f"{name}_norm1")
        added = self._with(value, self.do.add(skip.node, value.node))
        return self.relu(added, self.settings.negative_slope)

    def _kernel(self, name: str, channels: int, inputs_axis: int) -> tuple[np.ndarray, np.ndarray | None]:
        kernel, *bias = self._arrays(name, 1)
        if kernel.ndim < 4 or kernel.shape[inputs_axis] != channels:
            raise UnknownWeights(f"{name}: a kernel {kernel.shape} for {channels} channels")
        return kernel, bias[0] if bias else None

    def _arrays(self, name: str, fewest: int) -> Sequence[np.ndarray]:
        arrays = self.weights.get(name, ())
        if len(arrays) < fewest:
            raise UnknownWeights(f"{name}: its weights are missing")
        self.used.add(name)
        return arrays

    def _biased(self, node: Any, bias: np.ndarray | None) -> Any:  # noqa: ANN401
        return node if bias is None else self.do.affine(node, None, bias)

    @staticmethod
    def _with(value: Value, node: Any) -> Value:  # noqa: ANN401
        return Value(node, value.channels, value.size)


def _nnunet(graph: _Graph, value: Value, topology: Topology) -> Value:
    plain = graph.settings.encoder == "plain"
    if not plain:
        value = graph.convolution_norm_relu(value, "stem")
    skips = []
    for level, stride in enumerate(topology.strides):
        name, unit = f"encoder{level}", (1,) * len(stride)
        if plain:
            for index in range(PLAIN_CONVOLUTIONS):
                value = graph.convolution_norm_relu(value, name, index, stride if index == 0 else unit)
        else:
            for block in range(RESIDUAL_BLOCKS[min(level, len(RESIDUAL_BLOCKS) - 1)]):
                value = graph.residual_block(value, f"{name}_block{block}", stride if block == 0 else unit)
        skips.append(value)
    for level in reversed(range(len(skips) - 1)):
        name = f"decoder{level}"
        value = graph.concatenate([graph.transposed(value, f"{name}_up"), skips[level]])
        for index in range(PLAIN_CONVOLUTIONS if plain else RESIDUAL_DECODER_CONVOLUTIONS):
            value = graph.convolution_norm_relu(value, name, index)
    return graph.convolution(value, "logits0")


def _unet(graph: _Graph, value: Value, patch: tuple[int, ...]) -> Value:
    padded = graph.settings.padding == "same"
    image, extra = value.size, [side % 2 for side in value.size]
    value, skips = graph.crop(value, extra, [side - side % 2 for side in image]), []
    for level in range(UNET_LEVELS):
        value = graph.convolutions_relu(value, f"encoder{level}", padded)
        if level < UNET_LEVELS - 1:
            skips.append(value)
            value = graph.pool(value, (2, 2))
    for level in reversed(range(UNET_LEVELS - 1)):
        value = graph.transposed(value, f"decoder{level}_up")
        start = [(whole - side) // 2 for whole, side in zip(skips[level].size, value.size, strict=True)]
        value = graph.concatenate([graph.crop(skips[level], start, value.size), value])
        value = graph.convolutions_relu(value, f"decoder{level}", padded)
    gone = graph.settings.unpadded_loss // 2
    start = [(size - side) // 2 - odd - gone for size, side, odd in zip(image, patch, extra, strict=True)]
    return graph.convolution(graph.crop(value, start, patch), "logits0")


def _tiny_unet(graph: _Graph, value: Value, patch: tuple[int, ...]) -> Value:
    image, extra = value.size, [side % 2 for side in value.size]
    value, skips = graph.crop(value, extra, [side - side % 2 for side in image]), []
    for level in range(UNET_LEVELS - 1):
        value = graph.convolutions_relu(value, f"encoder{level}")
        skips.append(value)
        value = graph.pool(value, (2, 2))
    value = graph.convolutions_relu(value, "bottleneck")
    for level in reversed(range(UNET_LEVELS - 1)):
        double = tuple(2 * side for side in value.size)
        value = Value(graph.do.doubled(value.node, len(double)), value.channels, double)
        value = graph.relu(graph.convolution(value, f"decoder{level}_up_conv"))
        value = graph.convolutions_relu(graph.concatenate([value, skips[level]]), f"decoder{level}")
    start = [(size - side) // 2 - odd for size, side, odd in zip(image, patch, extra, strict=True)]
    return graph.convolution(graph.crop(value, start, patch), "logits0")
