"""What an engine is: it loads a trained model, takes windows and returns logits."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import numpy as np

from nnunet_tf.inference.engines.graph import Operations, Value, build_graph
from nnunet_tf.inference.engines.weights import Weights
from nnunet_tf.inference.models.folder import ModelFiles


class EngineNetwork(ABC):
    """One trained network that computes without Keras.

    `input_shape` is `(None, *input_size, C)`, as Keras has it; windows and logits are channels first.
    """

    input_shape: tuple[int | None, ...]

    @abstractmethod
    def prepare(self, in_flight: int, memory: int) -> None:
        """Makes ready to compute `in_flight` windows at the same time, within about `memory` bytes; comes first."""

    @abstractmethod
    def infer(self, windows: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yields the logits `(outputs, *patch)` of each window `(C, *input_size)`, float32, in order.

        Each is valid until the next is asked for. Several threads may call this at once.
        """


def input_shape(files: ModelFiles) -> tuple[int | None, ...]:
    """Returns the shape of a network's input as Keras has it, `(None, *input_size, C)`."""
    return (None, *files.network.input_size(files.plan.patch_size), len(files.plan.channels))


def network_graph(files: ModelFiles, weights: Weights, operations: Operations) -> Value:
    """Returns the logits of a model's network in `operations`, see `build_graph`."""
    plan = files.plan
    channels = len(plan.channels)
    return build_graph(plan.topology, plan.patch_size, channels, plan.outputs, files.network, weights, operations)
