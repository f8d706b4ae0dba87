"""Many scans on the machines of a cluster, each a job; a worker loads the models once and keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from threading import Lock

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.dataset import Case
from data_preprocessing.jobs.backend import Backend
from data_preprocessing.jobs.process_pool import Job, Outcome
from data_preprocessing.planning.plan import Plan
from nnunet_tf.choices import EngineName, FoldName, PrecisionName
from nnunet_tf.inference.cases.local import Warnings, compute, too_little_memory
from nnunet_tf.inference.cases.outputs import Outputs
from nnunet_tf.inference.cases.report import CaseReport, NoLog, PeakMemory, RunLog
from nnunet_tf.inference.models.folder import Checkpoint
from nnunet_tf.inference.predictor import Predictor
from nnunet_tf.inference.volume.inputs import memory_needed, read_case
from nnunet_tf.inference.windows.sliding_window import BlendMode
from nnunet_tf.runtime.device import Device
from nnunet_tf.runtime.progress import track
from nnunet_tf.runtime.stopping import raise_if_stopped

_one_at_a_time = Lock()  # a worker may have several threads, and one network


@dataclass(frozen=True)
class PredictorOptions:
    """What a `Predictor` is made with on a worker; the paths are absolute, and the same on all machines.

    `run` differs from run to run, so that models that were trained on in between are loaded anew.
    """

    run: str
    model: tuple[Path, ...]
    folds: tuple[FoldName, ...] | None = None
    tta: bool = False
    tta_axes: str | None = None
    overlap: float = 0.5
    blend_mode: BlendMode = "gaussian"
    window_batch: int | None = None
    device: Device = "auto"
    amp: bool = False
    checkpoint: Checkpoint = "best"
    postprocessing: bool = True
    engine: EngineName = "auto"
    precision: PrecisionName = "auto"
    roi_subset: tuple[str, ...] | None = None
    min_volume: tuple[tuple[str, float], ...] = ()


def predict_on_cluster(
    backend: Backend,
    options: PredictorOptions,
    plans: Sequence[Plan],
    cases: Sequence[Case],
    outputs: Outputs,
    log: RunLog = NoLog(),
) -> list[Outcome[CaseReport]]:
    """Writes the segmentations of all cases; returns how those that failed did, by name.

    `plans` are one of each configuration of the models. What is odd about a scan is said as `predict_cases` says it,
    and `log` hears of each case.
    """
    by_name = {case.name: case for case in cases}
    jobs = [Job(case.name, predict_case, (options, plans, case, outputs), memory_needed(case, plans)) for case in cases]
    failed = []
    with track("Predicting", total=len(cases), unit="cases") as tracker:
        warnings = Warnings(tracker.say)
        for done, outcome in enumerate(backend.run(jobs), start=1):
            raise_if_stopped()
            if outcome.result is None:
                failed.append(outcome)
                log.failed(by_name[outcome.name], str(outcome.failure))
            else:
                warnings.tell(outcome.result.findings)
                log.done(by_name[outcome.name], outcome.result)
            tracker.update(done, failed=len(failed), note=outcome.name)
        warnings.close()
    outputs.clear_leftovers(cases, alive=lambda process: False)  # of workers that were killed
    return sorted(failed, key=lambda outcome: outcome.name)


def predict_case(options: PredictorOptions, plans: Sequence[Plan], case: Case, outputs: Outputs) -> CaseReport:
    """Writes the segmentation of one case and returns what it took; runs on a worker, which keeps the models.

    Raises UserError as `predict_cases` tells it.
    """
    report = CaseReport()
    with _one_at_a_time, PeakMemory() as memory:
        try:
            with report.timed("read"):
                volume = read_case(case, plans)
            report.findings += volume.findings
            with report.timed("compute"):
                prediction = compute(_loaded(options), case, volume, outputs)
            with report.timed("write"):
                outputs.write(case, prediction, volume.source, volume)
        except MemoryError:
            raise UserError(too_little_memory(case)) from None
        report.peak_bytes = memory.take()
    return report


@lru_cache(maxsize=1)
def _loaded(options: PredictorOptions) -> Predictor:
    chosen = {field.name: getattr(options, field.name) for field in fields(options) if field.name != "run"}
    return Predictor(**chosen)
