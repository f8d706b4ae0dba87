"""Where the time of preprocessing the hippocampus goes: python -m scripts.benchmarks.stage"""

import time

START = time.perf_counter()

import argparse  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

from data_preprocessing.common.task import load_task  # noqa: E402
from data_preprocessing.dataset.open_dataset import open_dataset  # noqa: E402
from data_preprocessing.dataset.verify import check_dataset  # noqa: E402
from data_preprocessing.jobs.backend import Processes  # noqa: E402
from data_preprocessing.planning.plan import make_plan  # noqa: E402
from data_preprocessing.shards.pipeline import preprocess, preprocess_case  # noqa: E402
from scripts.benchmarks.machine import print_machine  # noqa: E402

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def main() -> None:
    """Prints the seconds of each part, and of all cases in this one process for comparison."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--task", default="04")
    options = parser.parse_args()
    print_machine()
    lap("importing the libraries", START)
    config = load_task(options.task)
    start = time.perf_counter()
    check_dataset(config.dataset, 3, options.data, Processes(2))
    start = lap("checking all cases", start)
    dataset = open_dataset(options.data, config.dataset)
    plan = make_plan(config, dataset, 3)
    with tempfile.TemporaryDirectory() as folder:
        ends: list[float] = []
        preprocess(
            config, dataset, plan, Path(folder), Processes(2), on_case=lambda *_: ends.append(time.perf_counter())
        )
        print(f"{ends[0] - start:6.2f} s  starting two processes, until the first case is done")
        print(f"{ends[-1] - ends[0]:6.2f} s  the other {len(ends) - 1} cases")
        lap("manifest, and stopping the processes", ends[-1])
    lap("together", START)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        for case in dataset.training:
            preprocess_case(case, dataset, plan, Path(folder), "float32")
        lap("all cases in this one process, for comparison", start)


def lap(title: str, start: float) -> float:
    """Prints the seconds since `start`; returns the time now."""
    now = time.perf_counter()
    print(f"{now - start:6.2f} s  {title}", flush=True)
    return now


if __name__ == "__main__":
    main()
