"""Many scans one after another: the next is read and the last one written while one is computed."""

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
        self.reading: Future[Volume] | None = None

    def take(self) -> Volume:
        """Returns the image of the next case; raises what `read_case` does of it, and goes on to the one after."""
        current = self.reading or self._read()
        self.reading = None
        try:
            return current.result()
        finally:
            if self.left and memory_needed(self.left[0], self.plans) <= free_memory():
                self.reading = self._read()

    def _read(self) -> Future[Volume]:
        return self.pool.submit(read_case, self.left.popleft(), self.plans)


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


def predict_cases(predictor: Predictor, cases: Sequence[Case], outputs: Outputs) -> list[str]:
    """Writes the segmentations of all cases; returns, a line each, why those that failed did.

    A scan that cannot be read or held in memory does not keep the others waiting. Raises UserError where results cannot
    be written. Where the process is asked to end, what is being written is finished first.
    """
    failures: list[str] = []
    written: Future[None] | None = None
    with (
        track("Predicting", total=len(cases), unit="cases") as tracker,
        ThreadPoolExecutor(1, "reading") as reader,
        ThreadPoolExecutor(1, "writing") as writer,
    ):
        warnings = Warnings(tracker.say)
        ahead = ReadingAhead(cases, predictor.plans, reader)

        def predict(index: int, case: Case) -> tuple["Prediction", NiftiImage]:
            def windows(done: int, total: int) -> None:
                raise_if_stopped()
                note = f"{case.name}, window {done}/{total}"
                tracker.update(index + done / (total + 1), failed=len(failures), note=note)

            volume = ahead.take()
            warnings.tell(volume.findings)
            return compute(predictor, case, volume, outputs, windows), volume.source

        for index, case in enumerate(cases):
            try:
                result = predict(index, case)
            except UserError as error:
                failures.append(str(error))
            except MemoryError:
                failures.append(too_little_memory(case))
            else:
                if written:
                    written.result()
                written = writer.submit(outputs.write, case, *result)
                del result
            tracker.update(index + 1, failed=len(failures), note=case.name)
        if written:
            written.result()
        warnings.close()
    return failures
