"""A network as an OpenVINO model."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnunet_tf.inference.engines.graph import EPSILON, Pads, Value
from nnunet_tf.inference.engines.openvino_library import ops, ov


class OpenVINOOperations:
    """The operations of `graph.Operations`; `model` makes a model of them."""

    def input(self, channels: int, size: tuple[int, ...]) -> ov.Node:
        """Returns the network's input; the batch is dynamic."""
        self._image = ops.parameter(ov.PartialShape([-1, channels, *size]), ov.Type.f32, name="image")
        return self._image

    def model(self, logits: Value) -> ov.Model:
        """Returns the model from `image` to `logits`."""
        result = ops.result(logits.node, name="logits")
        result.output(0).get_tensor().set_names({"logits"})
        self._image.output(0).get_tensor().set_names({"image"})
        return ov.Model([result], [self._image], "nnunet_tf")

    def convolution(self, node: ov.Node, kernel: np.ndarray, stride: tuple[int, ...], pads: Pads) -> ov.Node:
        """Convolves."""
        return ops.convolution(node, _constant(kernel), list(stride), *map(list, pads), [1] * len(stride))

    def transposed(self, node: ov.Node, kernel: np.ndarray, stride: tuple[int, ...]) -> ov.Node:
        """Convolves, transposed."""
        return ops.convolution_backprop_data(node, _constant(kernel), list(stride))

    def affine(self, node: ov.Node, scale: np.ndarray | None, shift: np.ndarray) -> ov.Node:
        """Multiplies and adds by channel."""
        if scale is not None:
            node = ops.multiply(node, self._by_channel(node, scale))
        return ops.add(node, self._by_channel(node, shift))

    def normalization(self, node: ov.Node, groups: int, channels: int, size: tuple[int, ...]) -> ov.Node:
        """Normalizes each group of channels, instance normalization where each is one."""
        if groups != channels:
            node = ops.reshape(node, _whole((0, groups, channels // groups, *size)), special_zero=True)
        axes = _whole(range(2, len(node.get_output_partial_shape(0))))
        node = ops.mvn(node, axes, True, EPSILON, "inside_sqrt")
        return node if groups == channels else ops.reshape(node, _whole((0, channels, *size)), special_zero=True)

    def leaky_relu(self, node: ov.Node, slope: float) -> ov.Node:
        """Multiplies what is below 0."""
        return ops.prelu(node, _constant(np.array([slope]))) if slope else ops.relu(node)

    def pool(self, node: ov.Node, stride: tuple[int, ...], average: bool) -> ov.Node:
        """Takes the mean or the maximum of blocks."""
        step, none = list(stride), [0] * len(stride)
        if average:
            return ops.avg_pool(node, step, none, none, step, exclude_pad=True)
        return ops.max_pool(node, step, [1] * len(stride), none, none, step).output(0)

    def doubled(self, node: ov.Node, dim: int) -> ov.Node:
        """Repeats each voxel twice."""
        return ops.interpolate(
            node,
            _constant(np.full(dim, 2)),
            "nearest",
            "scales",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
            axes=_whole(range(2, 2 + dim)),
        )

    def concatenate(self, nodes: Sequence[ov.Node]) -> ov.Node:
        """Puts channels one after another."""
        return ops.concat(list(nodes), 1)

    def add(self, one: ov.Node, other: ov.Node) -> ov.Node:
        """Adds."""
        return ops.add(one, other)

    def crop(self, node: ov.Node, start: tuple[int, ...], stop: tuple[int, ...]) -> ov.Node:
        """Takes a part of the spatial axes."""
        axes = range(2, 2 + len(start))
        return ops.slice(node, _whole(start), _whole(stop), _whole([1] * len(start)), _whole(axes))

    @staticmethod
    def _by_channel(node: Any, values: np.ndarray) -> ov.Node:  # noqa: ANN401
        output = node.output(0) if isinstance(node, ov.Node) else node
        return _constant(values.reshape(1, -1, *[1] * (len(output.get_partial_shape()) - 2)))


def _constant(values: np.ndarray) -> ov.Node:
    return ops.constant(np.ascontiguousarray(values, np.float32))


def _whole(numbers: Sequence[int] | range) -> ov.Node:
    return ops.constant(np.array(list(numbers), np.int64))
