"""Our training step against the same network of stock Keras layers, in turn in one run:
python -m scripts.benchmarks.step [--amp] [--features 16]

The 3D network of task 04 with deep supervision, patches of 40 x 56 x 40, batch 2; no data loading. Each precision is a
run of its own.
"""

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from data_preprocessing.planning.topology import Topology, plan_topology
from nnunet_tf.runtime.device import start_tensorflow
from scripts.benchmarks.machine import print_machine

if TYPE_CHECKING:
    import keras

PATCH = (40, 56, 40)
CLASSES = 3
SPACING = (1.0, 1.0, 1.0)


def main() -> None:
    """Prints seconds a step of both, and their medians and ratio."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--amp", action="store_true", help="mixed precision")
    parser.add_argument("--features", type=int, default=32, help="of the first stage (default: 32)")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    runtime = start_tensorflow("auto", options.amp)
    print_machine()
    topology = plan_topology(PATCH, SPACING, [options.features * 2**stage for stage in range(4)])
    steps = {"ours": training_step(our_network(topology)), "stock": training_step(stock_network(topology))}
    random = np.random.default_rng(0)
    image = random.normal(size=(options.batch, *PATCH, 1)).astype(np.float32)
    label = random.integers(CLASSES, size=(options.batch, *PATCH), dtype=np.int32)
    for step in steps.values():
        step(image, label).numpy()  # compiles
    seconds = {name: [] for name in steps}
    for _ in range(options.runs):
        for name, step in steps.items():
            start = time.perf_counter()
            step(image, label).numpy()
            seconds[name].append(time.perf_counter() - start)
        print("   ".join(f"{name} {times[-1]:.3f} s" for name, times in seconds.items()), flush=True)
    ours, stock = (np.median(seconds[name]) for name in ("ours", "stock"))
    print(f"{runtime.precision}: median ours {ours:.3f} s   stock {stock:.3f} s   ratio {stock / ours:.2f}")


def our_network(topology: Topology) -> "keras.Model":
    """Returns the network that is trained."""
    from nnunet_tf.networks.build import build_network
    from nnunet_tf.networks.settings import NetworkSettings

    return build_network(topology, PATCH, 1, CLASSES, NetworkSettings(deep_supervision=True))


def stock_network(topology: Topology) -> "keras.Model":
    """Returns the same network of layers that come with Keras."""
    import keras
    from keras import layers

    def stage(values, features, kernel, stride):
        for step in (stride, 1):
            values = layers.Conv3D(features, kernel, step, padding="same", kernel_initializer="he_normal")(values)
            values = layers.GroupNormalization(groups=-1, epsilon=1e-5)(values)
            values = layers.LeakyReLU(negative_slope=0.01)(values)
        return values

    image = keras.Input((*PATCH, 1))
    values, skips = image, []
    for stride, kernel, features in zip(topology.strides, topology.kernels, topology.features, strict=True):
        values = stage(values, features, kernel, stride)
        skips.append(values)
    heads = []
    for level in (2, 1, 0):
        features, stride = topology.features[level], topology.strides[level + 1]
        upsampled = layers.Conv3DTranspose(features, stride, stride, kernel_initializer="he_normal")(values)
        values = stage(layers.Concatenate()([upsampled, skips[level]]), features, topology.kernels[level], 1)
        if level < 2:
            heads.append(layers.Conv3D(CLASSES, 1, dtype="float32")(values))
    return keras.Model(image, heads[::-1])


def training_step(network: "keras.Model") -> Callable:
    """Returns the step `train.py` makes with `network`."""
    import keras

    from nnunet_tf.training.config.loss_and_optimizer import LossSettings, OptimizerSettings
    from nnunet_tf.training.distributed import Alone
    from nnunet_tf.training.optimization.losses import make_loss
    from nnunet_tf.training.optimization.optimizer import make_optimizer
    from nnunet_tf.training.optimization.step import TrainingStep

    scaled = keras.mixed_precision.dtype_policy().name == "mixed_float16"
    optimizer = make_optimizer(OptimizerSettings(learning_rate=1e-3), steps=1000, loss_scaling=scaled)
    return TrainingStep(network, optimizer, Alone(), make_loss(LossSettings()))


if __name__ == "__main__":
    main()
