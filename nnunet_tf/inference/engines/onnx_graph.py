"""A network as an ONNX model."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nnunet_tf.inference.engines.graph import EPSILON, Pads, Value

OPSET = 17  # of 2022: the operations used here have not changed since, so that old runtimes read it
IR_VERSION = 8  # that goes with it


class OnnxOperations:
    """The operations of `graph.Operations`, each node the name of its output; `model` makes a model of them."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def input(self, channels: int, size: tuple[int, ...]) -> str:
        """Returns the network's input; the batch is dynamic."""
        self._image = _tensor("image", channels, size)
        self._dim = len(size)
        return "image"

    def model(self, logits: Value) -> onnx.ModelProto:
        """Returns the model from `image` to `logits`, checked by ONNX's checker."""
        self._nodes.append(helper.make_node("Identity", [logits.node], ["logits"]))
        result = _tensor("logits", logits.channels, logits.size)
        graph = helper.make_graph(self._nodes, "nnunet_tf", [self._image], [result], self._constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="nnunet-tf")
        onnx.checker.check_model(model, full_check=True)
        return model

    def convolution(self, node: str, kernel: np.ndarray, stride: tuple[int, ...], pads: Pads) -> str:
        """Convolves."""
        sides = [*pads[0], *pads[1]]
        return self._node("Conv", [node, self._floats(kernel)], strides=stride, pads=sides)

    def transposed(self, node: str, kernel: np.ndarray, stride: tuple[int, ...]) -> str:
        """Convolves, transposed."""
        return self._node("ConvTranspose", [node, self._floats(kernel)], strides=stride)

    def affine(self, node: str, scale: np.ndarray | None, shift: np.ndarray) -> str:
        """Multiplies and adds by channel."""
        if scale is not None:
            node = self._node("Mul", [node, self._by_channel(scale)])
        return self._node("Add", [node, self._by_channel(shift)])

    def normalization(self, node: str, groups: int, channels: int, size: tuple[int, ...]) -> str:
        """Normalizes each group of channels, instance normalization where each is one."""
        if groups != channels:
            node = self._node("Reshape", [node, self._whole([0, groups, -1])])
        ones, zeros = self._floats(np.ones(groups)), self._floats(np.zeros(groups))
        node = self._node("InstanceNormalization", [node, ones, zeros], epsilon=EPSILON)
        return node if groups == channels else self._node("Reshape", [node, self._whole([0, channels, *size])])

    def leaky_relu(self, node: str, slope: float) -> str:
        """Multiplies what is below 0."""
        return self._node("LeakyRelu", [node], alpha=slope) if slope else self._node("Relu", [node])

    def pool(self, node: str, stride: tuple[int, ...], average: bool) -> str:
        """Takes the mean or the maximum of blocks."""
        return self._node("AveragePool" if average else "MaxPool", [node], kernel_shape=stride, strides=stride)

    def doubled(self, node: str, dim: int) -> str:
        """Repeats each voxel twice."""
        scales = self._floats(np.array([1, 1, *[2] * dim]))
        return self._node(
            "Resize",
            [node, "", scales],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def concatenate(self, nodes: Sequence[str]) -> str:
        """Puts channels one after another."""
        return self._node("Concat", list(nodes), axis=1)

    def add(self, one: str, other: str) -> str:
        """Adds."""
        return self._node("Add", [one, other])

    def crop(self, node: str, start: tuple[int, ...], stop: tuple[int, ...]) -> str:
        """Takes a part of the spatial axes."""
        axes = range(2, 2 + len(start))
        return self._node("Slice", [node, *(self._whole(numbers) for numbers in (start, stop, axes))])

    def _node(self, kind: str, inputs: list[str], **attributes: object) -> str:
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def _by_channel(self, values: np.ndarray) -> str:
        return self._floats(values.reshape(1, -1, *[1] * self._dim))

    def _floats(self, values: np.ndarray) -> str:
        return self._constant(np.ascontiguousarray(values, np.float32))

    def _whole(self, numbers: Sequence[int] | range) -> str:
        return self._constant(np.array(list(numbers), np.int64))

    def _constant(self, values: np.ndarray) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name


def _tensor(name: str, channels: int, size: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", channels, *size])
