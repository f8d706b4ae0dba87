"""A network that needs no training, bright voxels are the structure, and model folders on disk."""

from pathlib import Path

import keras
import numpy as np

from data_preprocessing.common.files import write_model
from data_preprocessing.common.task import TrainingDefaults
from data_preprocessing.planning.plan import Plan, write_plan
from data_preprocessing.planning.topology import Topology
from data_preprocessing.transforms.normalize import Normalization
from nnunet_tf.inference.models.folder import LAST_WEIGHTS_NAME, NETWORK_NAME, WEIGHTS_NAME
from nnunet_tf.networks.build import build_network
from nnunet_tf.networks.settings import NetworkSettings

THRESHOLD = 2.4  # standard deviations above the mean: organ, not body


@keras.saving.register_keras_serializable(package="tests")
class Threshold(keras.layers.Layer):
    """Logits of three classes: background, what is brighter than `threshold`, and nothing."""

    def __init__(self, threshold: float = THRESHOLD, **options):
        super().__init__(**options)
        self.threshold = threshold

    def call(self, image):
        organ = (keras.ops.mean(image, axis=-1, keepdims=True) - self.threshold) * 5
        return keras.ops.concatenate([keras.ops.zeros_like(organ), organ, organ - 1000], axis=-1)


def threshold_network(plan: Plan, threshold: float = THRESHOLD) -> keras.Model:
    """Returns the network for patches of `plan`."""
    inputs = keras.Input((*plan.patch_size, len(plan.channels)))
    return keras.Model(inputs, Threshold(threshold)(inputs))


def tiny_plan(dim: int = 3, **changes) -> Plan:
    """Returns a plan whose grid is that of any scan of 1 mm, unnormalised, some of its fields changed.

    Its network halves the axes of even size.
    """
    halved = tuple(2 - size % 2 for size in changes.get("patch_size", (8,) * dim))
    fields = {
        "task": "91",
        "dataset": "Task91_Tiny",
        "dim": dim,
        "channels": ("MRI",),
        "classes": ("background", "organ", "lesion"),
        "label_values": (0, 4, 7),
        "axis_order": (0, 1, 2),
        "patch_size": (8,) * dim,
        "spacing": (1.0,) * dim,
        "normalization": (Normalization(name="none"),) * len(changes.get("channels", ("MRI",))),
        "nonzero_mask": False,
        "topology": Topology(strides=((1,) * dim, halved), kernels=((3,) * dim,) * 2, features=(4, 4)),
        "training": TrainingDefaults(epochs=1, steps_per_epoch=1),
        "config_hash": "none",
    }
    return Plan(**(fields | changes))


def write_untrained_model(folder: Path, plan: Plan, seed: int = 0) -> keras.Model:
    """Writes a model folder whose weights are random; returns its network."""
    folder.mkdir(parents=True)
    settings = NetworkSettings()
    keras.utils.set_random_seed(seed)
    network = build_network(plan.topology, plan.patch_size, len(plan.channels), plan.outputs, settings)
    for weight in network.trainable_variables:  # away from the zeros that biases begin with
        weight.assign_add(np.random.default_rng(seed).normal(0, 0.1, weight.shape))
    write_plan(folder, plan)
    write_model(folder / NETWORK_NAME, settings)
    for name in (WEIGHTS_NAME, LAST_WEIGHTS_NAME):
        network.save_weights(folder / name)
    return network
