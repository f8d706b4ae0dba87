"""The backend that the options of a command ask for."""

import argparse
import sys

from data_preprocessing.common.script import program
from data_preprocessing.jobs.backend import Backend, Processes


def chosen_backend(options: argparse.Namespace) -> Backend:
    """Returns what `--backend` names, a Dask cluster once it has a worker.

    Raises UserError as `DaskCluster` does.
    """
    if options.backend == "processes":
        return Processes(options.n_jobs, int(options.memory * 2**30) if options.memory else None)
    from data_preprocessing.jobs.dask_cluster import DaskCluster

    return DaskCluster(options.scheduler, _say)


def _say(line: str) -> None:
    print(f"{program()}: {line}", file=sys.stderr, flush=True)
