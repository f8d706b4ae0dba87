"""What a measurement found, as one line of JSON."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import make_folder, writing
from data_preprocessing.common.task import Strict
from nnunet_tf.benchmark.settings import BenchmarkSettings

PERCENTILES = (50, 90, 95, 99)


class Machine(Strict):
    """Processor, the cores this process may use, memory, and the GPU of this process with its driver, if any.

    `family` and `model` are the processor's, as lscpu prints them. `instruction_set` is the highest that oneDNN uses,
    and `onednn` whether TensorFlow computes with it. None where the report is of an older version.
    """

    processor: str
    family: int | None = None
    model: int | None = None
    instruction_set: str | None = None
    onednn: bool | None = None
    cores: int
    memory_bytes: int
    gpu: str | None
    driver: str | None

    def __str__(self) -> str:
        """The GPU, or the processor with its class and what TensorFlow uses of it."""
        if self.gpu:
            return self.gpu
        number = "" if self.family is None else f" family {self.family} model {self.model}"
        library = "" if self.onednn is None else f", oneDNN {self.instruction_set if self.onednn else 'off'}"
        return f"{self.processor}{number}, {self.cores} cores{library}"


class Latency(Strict):
    """Seconds a step over all measured steps of all workers, waiting for the batch included."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float


class Result(Strict):
    """`images_per_second` counts patches and is added up over the workers; memory is that of the worker with most.

    `loader_wait` is the share of the steps' time that was spent waiting for batches. `peak_memory_bytes` is the
    resident memory of a process; `peak_gpu_memory_bytes` what TensorFlow had allocated there, DALI's own not counted.
    """

    images_per_second: float
    latency_seconds: Latency
    loader_wait: float
    peak_memory_bytes: int
    peak_gpu_memory_bytes: int | None


class Part(Strict):
    """What one kind of work of a step asks of the machine; `bound_seconds` is the least time that takes."""

    kind: str
    flops: int
    bytes: int
    bound_seconds: float


class Roofline(Strict):
    """The least time of one worker's step at the rates that were measured, and the share of it reached.

    `matrix_rate` and `convolution_rate` are floating-point operations a second in the precision of the network, and
    `bandwidth` bytes a second. `bound_seconds` is the sum over `parts`; `share` is it over the mean latency.
    """

    parts: tuple[Part, ...]
    matrix_rate: float
    convolution_rate: float
    bandwidth: float
    share: float

    @property
    def flops(self) -> int:
        """Floating-point operations of a step."""
        return sum(part.flops for part in self.parts)

    @property
    def bytes(self) -> int:
        """Bytes that a step must read and write."""
        return sum(part.bytes for part in self.parts)

    @property
    def bound_seconds(self) -> float:
        """The least seconds of a step."""
        return sum(part.bound_seconds for part in self.parts)


class Report(Strict):
    """One measurement. `measured_at` is UTC, ISO 8601."""

    format: Literal[1] = 1
    measured_at: str
    settings: BenchmarkSettings
    machine: Machine
    versions: dict[str, str]
    result: Result
    roofline: Roofline | None = None


def latency(seconds: np.ndarray) -> Latency:
    """Returns mean and percentiles of steps' seconds, of any shape; between two steps the percentiles are linear."""
    p50, p90, p95, p99 = np.percentile(seconds, PERCENTILES).tolist()
    return Latency(mean=float(np.mean(seconds)), p50=p50, p90=p90, p95=p95, p99=p99)


def append_report(path: Path, report: Report) -> None:
    """Adds `report` to the file, as a line of its own; raises UserError where that cannot be written."""
    with writing(path), open(path, "a", encoding="utf-8") as stream:
        stream.write(report.model_dump_json() + "\n")


def check_appendable(path: Path) -> None:
    """Makes the folder of a file of reports; raises UserError where the file is there and holds something else."""
    make_folder(path.parent)
    if path.is_dir():
        raise UserError(f"--json {path}: is a folder; name a file")
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        others = [line for line in lines if line.strip() and "result" not in json.loads(line)]
    except (OSError, ValueError, TypeError):
        others = [""]
    if others:
        raise UserError(f"--json {path}: holds something else than reports, one per line; name another file")


def read_reports(path: Path) -> list[Report]:
    """Returns the reports in a file, one a line; raises UserError where it is missing or holds something else."""
    remedy = "give a file that benchmark.py --json wrote"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [Report.model_validate_json(line) for line in lines if line.strip()]
    except FileNotFoundError:
        raise UserError(f"--compare {path}: no such file; {remedy}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--compare {path}: cannot be read ({error}); {remedy}") from None
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "content"
        raise UserError(f"--compare {path}: {where}: {error.errors()[0]['msg']}; {remedy}") from None


def last_of_kind(path: Path, mode: str, dim: int) -> Report:
    """Returns the last report of that mode and dimension in a file; raises UserError where there is none."""
    reports = read_reports(path)
    fitting = [each for each in reports if each.settings.mode == mode and each.settings.dim == dim]
    if not fitting:
        raise UserError(
            f"--compare {path}: none of its {len(reports)} reports is of --mode {mode} --dim {dim}; "
            "measure that first, with --json"
        )
    return fitting[-1]
