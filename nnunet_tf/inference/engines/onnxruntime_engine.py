"""ONNX Runtime, on the processor."""

from collections.abc import Iterable, Iterator

import numpy as np
import onnx
import onnxruntime

from data_preprocessing.common.machine import available_cores
from nnunet_tf.inference.engines.engine import EngineNetwork, input_shape, network_graph
from nnunet_tf.inference.engines.onnx_graph import OnnxOperations
from nnunet_tf.inference.engines.weights import Weights
from nnunet_tf.inference.models.folder import ModelFiles

ERRORS_ONLY = 3


class OnnxRuntimeNetwork(EngineNetwork):
    """A network whose every window is computed on all cores that this process may use."""

    def __init__(self, model: bytes, shape: tuple[int | None, ...]) -> None:
        self.input_shape = shape
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = available_cores(), 1
        options.log_severity_level = ERRORS_ONLY
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def prepare(self, in_flight: int, memory: int) -> None:
        """Does nothing: windows come one after another."""

    def infer(self, windows: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yields the logits of each window, in order."""
        for window in windows:
            yield self._session.run(None, {"image": window[np.newaxis]})[0][0]


def load(files: ModelFiles, weights: Weights, precision: str) -> OnnxRuntimeNetwork:
    """Returns the network of a model; raises UnknownWeights where the weights do not fit it."""
    return OnnxRuntimeNetwork(make_model(files, weights).SerializeToString(), input_shape(files))


def make_model(files: ModelFiles, weights: Weights) -> onnx.ModelProto:
    """Returns the network of a model from `image` `(N, C, *input_size)` to `logits` `(N, outputs, *patch)`."""
    operations = OnnxOperations()
    return operations.model(network_graph(files, weights, operations))
