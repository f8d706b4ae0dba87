import itertools

import numpy as np

from nnunet_tf.benchmark.timing import time_steps


class Clock:
    """A clock that goes on only when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


def test_a_step_lasts_from_asking_for_its_batch_until_the_device_is_done():
    clock = Clock()

    def batches():
        for number in itertools.count():
            clock.wait(1 + number)
            yield (number,)

    times = time_steps(
        step=lambda number: clock.wait(10),
        batches=batches(),
        warmup_steps=2,
        steps=3,
        synchronize=lambda: clock.wait(100),
        told=lambda done: clock.wait(1000),
        clock=clock,
    )
    np.testing.assert_array_equal(times.loader_seconds, [3, 4, 5])
    np.testing.assert_array_equal(times.seconds, [113, 114, 115])


def test_every_step_is_told_of_and_takes_a_batch_of_its_own():
    seen, told = [], []
    time_steps(seen.append, iter([(number,) for number in range(9)]), 2, 3, lambda: None, told.append)
    assert seen == [0, 1, 2, 3, 4]
    assert told == [1, 2, 3, 4, 5]
