"""OpenVINO, quick on any x86 or Arm processor: no TensorFlow, no seconds to start."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from queue import Empty, SimpleQueue

import numpy as np

from data_preprocessing.common.machine import available_cores
from nnunet_tf.inference.engines.engine import EngineNetwork, input_shape, network_graph
from nnunet_tf.inference.engines.openvino_graph import OpenVINOOperations
from nnunet_tf.inference.engines.openvino_library import ov
from nnunet_tf.inference.engines.weights import Weights
from nnunet_tf.inference.models.folder import ModelFiles

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
LARGEST_ARRAYS = 4
BYTES = 4  # of float32


class OpenVINONetwork(EngineNetwork):
    """A network on the processor's cores that this process may use, `precision` one of `PRECISIONS`.

    Each window is a request; as many run side by side as `prepare` says, each on its share of the cores.
    """

    def __init__(self, model: ov.Model, shape: tuple[int | None, ...], precision: str) -> None:
        self.input_shape = shape
        self._model, self._precision = model, precision

    def prepare(self, in_flight: int, memory: int) -> None:
        """Compiles for `in_flight` windows at the same time, fewer where these would take more than `memory` bytes."""
        cores = available_cores()
        fitting = memory // self._request_bytes() - 1
        streams = max(1, min(cores, in_flight, fitting))
        settings = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[self._precision],
            "INFERENCE_NUM_THREADS": cores,
            "NUM_STREAMS": streams,
            "ENABLE_CPU_PINNING": False,  # several processes would be bound to the same cores
        }
        compiled = _core().compile_model(self._model, "CPU", settings)
        self._idle = SimpleQueue[ov.InferRequest]()
        for _ in range(streams + 1):  # one waits, so that no stream does
            self._idle.put(compiled.create_infer_request())

    def infer(self, windows: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yields the logits of each window, in order."""
        running: deque[ov.InferRequest] = deque()
        try:
            for window in windows:
                while (request := self._idle_request(wait=not running)) is None:
                    yield from self._first_of(running)
                running.append(request)
                request.start_async({0: window[np.newaxis]})
            while running:
                yield from self._first_of(running)
        finally:
            for request in running:  # the caller has stopped listening
                request.wait()
                self._idle.put(request)

    def _first_of(self, running: deque[ov.InferRequest]) -> Iterator[np.ndarray]:
        running[0].wait()
        yield running[0].get_output_tensor(0).data[0]
        self._idle.put(running.popleft())

    def _idle_request(self, wait: bool) -> ov.InferRequest | None:
        try:
            return self._idle.get(block=wait)
        except Empty:
            return None

    def _request_bytes(self) -> int:
        """What computing a window takes, about: a few of the largest arrays, which are overwritten in turn."""
        outputs = (output for node in self._model.get_ordered_ops() for output in node.outputs())
        return LARGEST_ARRAYS * BYTES * max(math.prod(output.get_shape()) for output in outputs)


def load(files: ModelFiles, weights: Weights, precision: str) -> OpenVINONetwork:
    """Returns the network of a model; raises UnknownWeights where the weights do not fit it."""
    model = make_model(files, weights)
    size = files.network.input_size(files.plan.patch_size)
    model.reshape([1, len(files.plan.channels), *size])  # nothing is decided anew for each window
    return OpenVINONetwork(model, input_shape(files), precision)


def make_model(files: ModelFiles, weights: Weights) -> ov.Model:
    """Returns the network of a model from `image` `(N, C, *input_size)` to `logits` `(N, outputs, *patch)`."""
    operations = OpenVINOOperations()
    return operations.model(network_graph(files, weights, operations))


@cache
def _core() -> ov.Core:
    return ov.Core()
