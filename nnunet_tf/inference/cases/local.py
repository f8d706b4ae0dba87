"""Many scans one after another: the next is read and the last one written while one is computed."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.text import counted
from data_preprocessing.dataset.dataset import Case
from data_preprocessing.images.checks.finding import Finding
from data_preprocessing.images.nifti_file import NiftiImage
from data_preprocessing.images.volume_io import Volume
from data_preprocessing.jobs.free_memory import free_memory
from data_preprocessing.planning.plan import Plan
from nnunet_tf.inference.cases.outputs import Outputs
from nnunet_tf.inference.cases.report import CaseReport, NoLog, PeakMemory, RunLog
from nnunet_tf.inference.predictor import Predictor
from nnunet_tf.inference.volume.inputs import memory_needed, read_case, sentence
from nnunet_tf.runtime.progress import track
from nnunet_tf.runtime.stopping import raise_if_stopped

if TYPE_CHECKING:
    from nnunet_tf.inference.volume.ensemble import Prediction


class Warnings:
    """Says a warning once: the first scan that it is about is named, the others are counted at the end."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.times: Counter[tuple[str, str]] = Counter()

    def tell(self, findings: Iterable[Finding]) -> None:
        """Says what has not been said yet."""
        for finding in findings:
            self.times[finding.problem, finding.remedy] += 1
            if self.times[finding.problem, finding.remedy] == 1:
                self.say(f"warning: {sentence(finding)}")

    def close(self) -> None:
        """Says how often what was said is true of further scans."""
        for (problem, remedy), times in self.times.items():
            if times > 1:
                self.say(f"warning: {counted(times - 1, 'more file')}: {problem}; {remedy}")


class ReadingAhead:
    """Reads cases in order, in a thread: each while its predecessor is computed, where memory allows."""

    def __init__(self, cases: Sequence[Case], plans: Sequence[Plan], pool: ThreadPoolExecutor) -> None:
        self.left, self.plans, self.pool = deque(cases), plans, pool
        self.reading: Future[tuple[Volume, float]] | None = None

    def take(self) -> tuple[Volume, float]:
        """Returns the image of the next case and the seconds that reading took.

        Raises what `read_case` does of it, and goes on to the one after.
        """
        current = self.reading or self._read()
        self.reading = None
        try:
            return current.result()
        finally:
            if self.left and memory_needed(self.left[0], self.plans) <= free_memory():
                self.reading = self._read()

    def _read(self) -> Future[tuple[Volume, float]]:
        return self.pool.submit(_timed_read, self.left.popleft(), self.plans)


def _timed_read(case: Case, plans: Sequence[Plan]) -> tuple[Volume, float]:
    start = time.monotonic()
    volume = read_case(case, plans)
    return volume, time.monotonic() - start


def compute(
    predictor: Predictor,
    case: Case,
    volume: Volume,
    outputs: Outputs,
    windows: Callable[[int, int], None] | None = None,
) -> "Prediction":
    """Returns what the predictor finds in the image of a case; where that fails nothing of it is left on disk."""
    try:
        return predictor.predict(volume, outputs.wanted(case), windows)
    except BaseException:
        outputs.discard(case)
        raise


def too_little_memory(case: Case) -> str:
    """Returns the line about a case that ended with MemoryError."""
    return f"{case.images[0]}: takes more memory than there is; end other programs"


def predict_cases(predictor: Predictor, cases: Sequence[Case], outputs: Outputs, log: RunLog = NoLog()) -> list[str]:
    """Writes the segmentations of all cases; returns, a line each, why those that failed did.

    A scan that cannot be read or held in memory does not keep the others waiting. `log` hears of each case. Raises
    UserError where results cannot be written. Where the process is asked to end, what is being written is finished
    first.
    """
    failures: list[str] = []
    written: Future[None] | None = None
    with (
        track("Predicting", total=len(cases), unit="cases") as tracker,
        PeakMemory() as memory,
        ThreadPoolExecutor(1, "reading") as reader,
        ThreadPoolExecutor(1, "writing") as writer,
    ):
        warnings = Warnings(tracker.say)
        ahead = ReadingAhead(cases, predictor.plans, reader)

        def predict(index: int, case: Case, report: CaseReport) -> tuple["Prediction", NiftiImage, Volume | None]:
            def windows(done: int, total: int) -> None:
                raise_if_stopped()
                note = f"{case.name}, window {done}/{total}"
                tracker.update(index + done / (total + 1), failed=len(failures), note=note)

            volume, report.seconds["read"] = ahead.take()
            report.findings += volume.findings
            warnings.tell(volume.findings)
            with report.timed("compute"):
                prediction = compute(predictor, case, volume, outputs, windows)
            report.peak_bytes = memory.take()
            return prediction, volume.source, volume if outputs.answers else None

        def fail(case: Case, reason: str) -> None:
            failures.append(reason)
            log.failed(case, reason)

        def write(
            case: Case, report: CaseReport, prediction: "Prediction", source: NiftiImage, volume: Volume | None
        ) -> None:
            with report.timed("write"):
                outputs.write(case, prediction, source, volume)
            log.done(case, report)

        for index, case in enumerate(cases):
            report = CaseReport()
            try:
                result = predict(index, case, report)
            except UserError as error:
                fail(case, str(error))
            except MemoryError:
                fail(case, too_little_memory(case))
            else:
                if written:
                    written.result()
                written = writer.submit(write, case, report, *result)
                del result
            tracker.update(index + 1, failed=len(failures), note=case.name)
        if written:
            written.result()
        warnings.close()
    return failures
