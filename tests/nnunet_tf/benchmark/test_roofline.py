import pytest

from nnunet_tf.benchmark.operations import Work
from nnunet_tf.benchmark.rates import Rates
from nnunet_tf.benchmark.roofline import make_roofline

RATES = Rates(matrix=100.0, convolution=50.0, bandwidth=10.0)


def test_each_pass_takes_the_longer_of_its_operations_and_its_bytes():
    work = [
        Work("convolution", flops=1000, bytes=20),  # 10 s of operations, 2 s of bytes
        Work("convolution", flops=100, bytes=50),  # 1 s, 5 s
        Work("normalization", flops=0, bytes=30),
    ]
    roofline = make_roofline(work, RATES, seconds=36)
    assert {part.kind: part.bound_seconds for part in roofline.parts} == {"convolution": 15, "normalization": 3}
    assert (roofline.flops, roofline.bytes, roofline.bound_seconds) == (1100, 100, 18)
    assert roofline.share == pytest.approx(0.5)


def test_the_higher_of_the_two_rates_is_the_roof():
    faster_convolution = Rates(matrix=50.0, convolution=200.0, bandwidth=10.0)
    (part,) = make_roofline([Work("convolution", 1000, 1)], faster_convolution, 10).parts
    assert part.bound_seconds == 5
