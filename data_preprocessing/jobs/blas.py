"""One thread for the linear algebra of each worker.

How many threads share a matrix product decides how its sums are rounded: shards would differ by up to 1e-6 between
machines of one core and of several. And workers that each start one thread per core slow each other down.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


def use_one_thread() -> None:
    """Limits NumPy's and SciPy's linear algebra in this process to one thread, for good: for worker processes."""
    threadpool_limits(limits=1, user_api="blas")


@contextmanager
def one_thread() -> Iterator[None]:
    """Limits linear algebra to one thread within it: for a worker's job that is done in the calling process."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield
