"""The clock: what each step takes, and what of it is waiting for the batch."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nnunet_tf.runtime.stopping import raise_if_stopped


@dataclass(frozen=True)
class StepTimes:
    """Seconds of each measured step, `(steps,)`, waiting for the batch included, and the seconds of that wait."""

    seconds: np.ndarray
    loader_seconds: np.ndarray


def time_steps(
    step: Callable[..., object],
    batches: Iterator[Sequence[object]],
    warmup_steps: int,
    steps: int,
    synchronize: Callable[[], None],
    told: Callable[[int], None] = lambda done: None,
    clock: Callable[[], float] = time.perf_counter,
) -> StepTimes:
    """Calls `step(*batch)` on `warmup_steps` batches, which do not count, and on `steps` that do.

    `synchronize` returns when the device has finished all that it was given: the clock is read only then. `told`
    hears of each step, outside the time that is measured.
    """
    seconds, loader_seconds = np.zeros(steps), np.zeros(steps)
    for index in range(-warmup_steps, steps):
        raise_if_stopped()
        start = clock()
        batch = next(batches)
        arrived = clock()
        step(*batch)
        synchronize()
        if index >= 0:
            seconds[index], loader_seconds[index] = clock() - start, arrived - start
        told(index + warmup_steps + 1)
    return StepTimes(seconds, loader_seconds)
