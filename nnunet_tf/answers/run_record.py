"""Record a prediction run: `run.json` says what made the segmentations beside it, and how each case went."""

import platform
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import checksum, read_model, write_model
from data_preprocessing.common.script import program
from data_preprocessing.dataset.dataset import Case
from nnunet_tf.inference.cases.outputs import Outputs
from nnunet_tf.inference.cases.report import CaseReport
from nnunet_tf.inference.engines.choice import EngineChoice
from nnunet_tf.inference.models.folder import ModelFiles, is_fold
from nnunet_tf.inference.volume.inputs import sentence
from nnunet_tf.runtime.processor import read_processor
from nnunet_tf.version import VERSION

RUN_NAME = "run.json"
LIBRARIES = ("tensorflow", "tensorflow-cpu", "keras", "openvino", "onnxruntime", "numpy", "nibabel")
SECONDS_BETWEEN_WRITES = 10.0
MIB = 2**20

Status = Literal["running", "complete", "failed", "stopped"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelRecord(_Record):
    """One model of the run; `sha256` is that of its weights, `config_hash` that of its plan's config.

    Where it was loaded from stands in the options.
    """

    fold: str
    task: str
    dataset: str
    weights: str
    sha256: str
    config_hash: str


class DeviceRecord(_Record):
    """What the run computed on, as far as this process knows; on a cluster its workers do."""

    kind: Literal["cpu", "gpu", "cluster"]
    name: str
    engine: str
    precision: str


class CaseRecord(_Record):
    """One case. `seconds` are by stage (read, compute, write), which overlap with those of other cases.

    `peak_memory_mib` is the most memory of the process while the case was computed, sampled. `written` is relative to
    the folder.
    """

    status: Literal["done", "failed"]
    images: list[str]
    written: list[str] = Field(default_factory=list)
    seconds: dict[str, float] = Field(default_factory=dict)
    peak_memory_mib: float | None = None
    warnings: list[str] = Field(default_factory=list)
    failure: str | None = None


class RunRecord(_Record):
    """`run.json`. Times are UTC, ISO 8601. `cases` has those of earlier runs too that `--continue` went on with."""

    format: Literal[1] = 1
    status: Status
    exit_status: int | None = Field(default=None, description="of the process; null while it runs")
    program: str
    versions: dict[str, str]
    command: list[str]
    started: str
    ended: str | None = None
    seconds: float | None = None
    part: str
    models: list[ModelRecord]
    options: dict[str, str | float | bool | list[str] | None]
    device: DeviceRecord | None = None
    classes: dict[int, str]
    cases: dict[str, CaseRecord] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)


def run_file(folder: Path, part: tuple[int, int]) -> Path:
    """Returns the record's path: each of several parts has its own, as they may run at once."""
    index, parts = part
    return folder / (RUN_NAME if parts == 1 else f"run_{index}of{parts}.json")


class Recorder:
    """Keeps `run.json` up to date while cases are predicted. It is a `RunLog`; threads may call it at once."""

    def __init__(
        self,
        outputs: Outputs,
        models: Sequence[ModelFiles],
        classes: dict[int, str],
        options: dict[str, object],
        part: tuple[int, int],
        go_on: bool,
    ) -> None:
        self.outputs, self.path = outputs, run_file(outputs.folder, part)
        self._lock, self._start, self._last_write = threading.Lock(), time.monotonic(), 0.0
        pool = ThreadPoolExecutor(1, "checksum")  # while the network is loaded
        self._models = [(model, pool.submit(checksum, model.weights)) for model in models]
        pool.shutdown(wait=False)
        self._begun = False
        self.record = RunRecord(
            status="running",
            program=f"nnunet-tf {VERSION}",
            versions=_versions(),
            command=[program(), *sys.argv[1:]],
            started=_now(),
            part="{}/{}".format(*part),
            models=[],
            options={name: _plain(value) for name, value in sorted(options.items())},
            classes=classes,
            cases=self._earlier() if go_on else {},
        )

    def start(self, device: DeviceRecord) -> None:
        """Writes the record of a run that has begun, on `device`."""
        with self._lock:
            self._begun, self.record.device = True, device
            self._write()

    def done(self, case: Case, report: CaseReport) -> None:
        """Records a case that was written."""
        files = [self.outputs.segmentation(case), *self.outputs.extra_files(case)]
        self._add(
            case,
            CaseRecord(
                status="done",
                images=[str(path) for path in case.images],
                written=[path.relative_to(self.outputs.folder).as_posix() for path in files],
                seconds={stage: round(seconds, 3) for stage, seconds in report.seconds.items()},
                peak_memory_mib=round(report.peak_bytes / MIB, 1),
                warnings=[sentence(finding) for finding in report.findings],
            ),
        )

    def failed(self, case: Case, reason: str) -> None:
        """Records a case that failed."""
        self._add(case, CaseRecord(status="failed", images=[str(path) for path in case.images], failure=reason))

    def close(self, status: Status, exit_status: int, warnings: Sequence[str] = ()) -> None:
        """Writes the record of a run that has ended, where it has begun."""
        with self._lock:
            if not self._begun:
                return
            self.record.warnings = list(warnings)
            self.record.status, self.record.exit_status = status, exit_status
            self.record.ended, self.record.seconds = _now(), round(time.monotonic() - self._start, 3)
            self.record.models = [_model_record(model, found) for model, found in self._models]
            self.record.cases = dict(sorted(self.record.cases.items()))
            self._write()

    def _add(self, case: Case, record: CaseRecord) -> None:
        with self._lock:
            self.record.cases[case.name] = record
            if time.monotonic() - self._last_write > SECONDS_BETWEEN_WRITES:
                self._write()

    def _write(self) -> None:
        write_model(self.path, self.record)
        self._last_write = time.monotonic()

    def _earlier(self) -> dict[str, CaseRecord]:
        """The cases of the run before, as far as its record can be read."""
        try:
            return read_model(self.path, RunRecord, "remove it").cases
        except UserError:
            return {}


CLUSTER = DeviceRecord(kind="cluster", name="that of its workers", engine="", precision="")


def device_record(choice: EngineChoice) -> DeviceRecord:
    """Returns what a predictor computes on in this process; imports no engine that does not."""
    name = str(read_processor())
    if choice.engine != "tensorflow":
        return DeviceRecord(kind="cpu", name=name, engine=choice.engine, precision=choice.precision)
    import keras
    import tensorflow as tf

    precision = keras.config.dtype_policy().name
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return DeviceRecord(kind="cpu", name=name, engine=choice.engine, precision=precision)
    details = tf.config.experimental.get_device_details(gpus[0])
    device = str(details.get("device_name", gpus[0].name))
    return DeviceRecord(kind="gpu", name=device, engine=choice.engine, precision=precision)


def _model_record(model: ModelFiles, found: "Future[str]") -> ModelRecord:
    plan = model.plan
    return ModelRecord(
        fold=model.folder.name if is_fold(model.folder) else "",
        task=plan.name,
        dataset=plan.dataset,
        weights=model.weights.name,
        sha256=found.result(),
        config_hash=plan.config_hash,
    )


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _plain(value: object) -> str | float | bool | list[str] | None:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return [str(each) for each in value] if isinstance(value, list | tuple) else str(value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
