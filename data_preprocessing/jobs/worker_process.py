"""Worker processes that do not run the script of the program that starts them."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.popen_forkserver import Popen
from multiprocessing.process import BaseProcess

from data_preprocessing.common.stopping import end_with_parent
from data_preprocessing.jobs.blas import use_one_thread


class _WorkerProcess(ForkServerProcess):
    """A process that knows nothing of `__main__`: a user's script needs no `if __name__ == "__main__"`."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Popen:
        with _without_main():
            return ForkServerProcess._Popen(process_obj)


class WorkerContext(ForkServerContext):
    """The context of `multiprocessing` that starts such processes."""

    Process = _WorkerProcess


@contextmanager
def _without_main() -> Iterator[None]:
    """Hides from `multiprocessing`, which would run it again in every worker, where `__main__` comes from."""
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name) for name in ("__file__", "__spec__") if getattr(main, name, None) is not None}
    for name in hidden:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)


def start_worker() -> None:
    """Limits linear algebra to one thread, leaves Ctrl-C to the command, and ends where the command was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent()
    use_one_thread()
