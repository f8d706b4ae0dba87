"""Our instance normalisation with leaky ReLU against two others, in turn in one run:
python -m scripts.benchmarks.normalization

Forward and backward of one layer at the sizes of the stages of task 04; the naive form has no scale and offset.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from nnunet_tf.runtime.device import start_tensorflow
from scripts.benchmarks.machine import print_machine

SHAPES = ((40, 56, 40, 32), (20, 28, 20, 64), (10, 14, 10, 128), (5, 7, 5, 256))
SLOPE = 0.01


def main() -> None:
    """Prints the median milliseconds of each form, and the others' times over ours."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    start_tensorflow("auto", amp=False)
    print_machine()
    for precision in ("float32", "bfloat16"):
        for shape in SHAPES:
            shape = (options.batch, *shape)
            steps = {name: step_of(layer, shape, precision) for name, layer in forms().items()}
            for step in steps.values():
                step()
            milliseconds = {name: [] for name in steps}
            for _ in range(options.runs):
                for name, step in steps.items():
                    start = time.perf_counter()
                    step()
                    milliseconds[name].append(1000 * (time.perf_counter() - start))
            medians = {name: np.median(times) for name, times in milliseconds.items()}
            others = "   ".join(
                f"{name} {median:6.1f} ms, ratio {median / medians['ours']:.2f}"
                for name, median in medians.items()
                if name != "ours"
            )
            print(f"{precision:8} {shape!s:22} ours {medians['ours']:6.1f} ms   {others}", flush=True)


def forms() -> dict[str, Callable]:
    """Returns, by name, what makes a layer (a function on the input) of a precision policy."""
    from keras import layers, ops

    from nnunet_tf.networks.layers import EPSILON, InstanceNormalization

    def naive(values):
        numbers = ops.cast(values, "float32")
        axes = tuple(range(1, len(values.shape) - 1))
        centred = numbers - ops.mean(numbers, axes, keepdims=True)
        deviation = ops.sqrt(ops.mean(ops.square(centred), axes, keepdims=True) + EPSILON)
        return ops.leaky_relu(ops.cast(centred / deviation, values.dtype), SLOPE)

    def stock(precision):
        normalize = layers.GroupNormalization(groups=-1, epsilon=EPSILON, dtype=precision)
        activate = layers.LeakyReLU(negative_slope=SLOPE, dtype=precision)
        return lambda values: activate(normalize(values))

    return {
        "ours": lambda precision: InstanceNormalization(negative_slope=SLOPE, dtype=precision),
        "GroupNormalization": stock,
        "naive": lambda precision: naive,
    }


def step_of(layer: Callable, shape: tuple[int, ...], precision: str) -> Callable[[], object]:
    """Returns a function that runs forward and backward once, compiled on its first call."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    inputs, upstream = (tf.cast(random.normal(size=shape).astype(np.float32), precision) for _ in range(2))
    apply = layer({"bfloat16": "mixed_bfloat16"}.get(precision, precision))
    apply(inputs)  # makes its weights

    @tf.function
    def step(inputs, upstream):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = apply(inputs)
        return outputs, tape.gradient(outputs, [inputs, *tape.watched_variables()], upstream)

    return lambda: step(inputs, upstream)


if __name__ == "__main__":
    main()
