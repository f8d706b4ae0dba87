"""What the device can do at most: rates measured with one large operation each."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

REPEATS = 5  # of which the best counts
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Sizes:
    """How large the operations are: side of the square matrices, voxels (as a power of 2) and channels of the
    convolution, floats of the array; `calls` of each between two readings of the clock."""

    matrix: int
    log2_voxels: int
    channels: int
    floats: int
    calls: int


CPU_SIZES = Sizes(matrix=2048, log2_voxels=16, channels=64, floats=2**26, calls=1)
GPU_SIZES = Sizes(matrix=8192, log2_voxels=20, channels=128, floats=2**28, calls=10)


@dataclass(frozen=True)
class Rates:
    """Floating-point operations a second of a matrix product and of a convolution, and bytes a second."""

    matrix: float
    convolution: float
    bandwidth: float


def measure_rates(dim: int, dtype: str, sizes: Sizes) -> Rates:
    """Returns the device's rates for 2D or 3D networks that compute in `dtype`."""
    return Rates(
        matrix=_matrix_rate(dtype, sizes),
        convolution=_convolution_rate(dim, dtype, sizes),
        bandwidth=_bandwidth(sizes),
    )


def _matrix_rate(dtype: str, sizes: Sizes) -> float:
    one, other = (_noise((sizes.matrix, sizes.matrix), dtype) for _ in range(2))
    product = tf.function(tf.matmul)
    return 2 * sizes.matrix**3 / _best_seconds(lambda: product(one, other), sizes.calls)


def _convolution_rate(dim: int, dtype: str, sizes: Sizes) -> float:
    """Kernel 3, padded, as many channels in as out."""
    sides = [2 ** (sizes.log2_voxels // dim)] * dim
    batch = 2**sizes.log2_voxels // math.prod(sides)
    image = _noise((batch, *sides, sizes.channels), dtype)
    kernel = _noise((3,) * dim + (sizes.channels, sizes.channels), dtype)
    convolve = tf.function(lambda: tf.nn.convolution(image, kernel, padding="SAME"))
    flops = 2 * 2**sizes.log2_voxels * 3**dim * sizes.channels**2
    return flops / _best_seconds(convolve, sizes.calls)


def _bandwidth(sizes: Sizes) -> float:
    """Of adding one array to another in place: two are read, one is written, and no memory is asked for."""
    total, term = tf.Variable(tf.ones(sizes.floats)), tf.ones(sizes.floats)

    @tf.function
    def add() -> None:
        total.assign_add(term)

    return 3 * FLOAT_BYTES * sizes.floats / _best_seconds(add, sizes.calls)


def _best_seconds(operation: Callable[[], object], calls: int) -> float:
    operation()  # traces it
    best = math.inf
    for _ in range(REPEATS):
        tf.test.experimental.sync_devices()
        start = time.perf_counter()
        for _ in range(calls):
            operation()
        tf.test.experimental.sync_devices()
        best = min(best, (time.perf_counter() - start) / calls)
    return best


def _noise(shape: tuple[int, ...], dtype: str) -> tf.Tensor:
    return tf.cast(tf.random.stateless_normal(shape, seed=(0, 0)), dtype)
