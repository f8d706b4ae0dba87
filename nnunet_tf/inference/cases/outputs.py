"""What prediction writes for a case: where it goes, and whether it is there already."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import psutil

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import make_folder, refuse_clashing_names, write_json
from data_preprocessing.common.inputs_kept import Inputs
from data_preprocessing.dataset.dataset import Case
from data_preprocessing.images.formats.registry import NIFTI_SUFFIX, SUFFIXES, result_suffix
from data_preprocessing.images.nifti_file import NiftiImage
from data_preprocessing.images.volume_io import Volume, load_label, write_label, write_map
from data_preprocessing.planning.plan import Plan
from nnunet_tf.runtime.stopping import raise_if_stopped

if TYPE_CHECKING:
    from nnunet_tf.inference.volume.ensemble import Prediction, Wanted

DATASET_FOLDERS = ("imagesTr", "labelsTr", "imagesTs")  # beside dataset.json; some write results to labelsTs

ProbabilityFiles = Literal["4d", "per-class"]

PROBABILITIES, UNCERTAINTY = "probabilities", "uncertainty"  # the folders they go to, below the segmentations
OUTPUTS_NAME = "outputs.json"  # names of the fourth axis of probability files, in order


class CaseAnswers(Protocol):
    """Files made from a segmentation and its scan, such as statistics and pictures."""

    def files(self, folder: Path, case: Case) -> list[Path]:
        """Returns the files of a case below `folder`."""

    def write(self, folder: Path, case: Case, prediction: "Prediction", volume: Volume) -> None:
        """Writes the files of a case below `folder`."""


@dataclass(frozen=True)
class Outputs:
    """The files of one run in `folder`: a segmentation a case, and what else is wanted in folders of their own.

    A segmentation has the format of its scan, or what stands in for that; probabilities and uncertainty are NIfTI.
    `keep_text`: free text in the header of a scan is copied too.
    """

    folder: Path
    plan: Plan
    probabilities: ProbabilityFiles | None = None
    uncertainty: bool = False
    answers: CaseAnswers | None = None
    keep_text: bool = False

    def segmentation(self, case: Case) -> Path:
        """Returns where the label numbers of a case go."""
        return self.folder / f"{case.name}{result_suffix(case.images[0]) if case.images else NIFTI_SUFFIX}"

    def probability_files(self, case: Case) -> list[Path]:
        """Returns where its probabilities go: one file, or one for each output of the network."""
        home = self.folder / PROBABILITIES
        if self.probabilities == "4d":
            return [home / f"{case.name}{NIFTI_SUFFIX}"]
        if self.probabilities == "per-class":
            return [home / case.name / f"{number}_{_plain(name)}{NIFTI_SUFFIX}" for number, name in _outputs(self.plan)]
        return []

    def uncertainty_files(self, case: Case) -> list[Path]:
        """Returns where entropy and spread go."""
        kinds = ("entropy", "spread") if self.uncertainty else ()
        return [self.folder / UNCERTAINTY / f"{case.name}_{kind}{NIFTI_SUFFIX}" for kind in kinds]

    def extra_files(self, case: Case) -> list[Path]:
        """Returns where all goes that is written beside the segmentation."""
        answers = self.answers.files(self.folder, case) if self.answers else []
        return [*self.probability_files(case), *self.uncertainty_files(case), *answers]

    def refuse_overwriting(self, inputs: Inputs, cases: Sequence[Case]) -> None:
        """Raises UserError where a file of one of the `cases` would replace a scan, or that of another case."""
        for case in cases:
            for path in (self.segmentation(case), *self.extra_files(case)):
                inputs.refuse_folder("--output", path.parent, "holds the scans themselves, which would be overwritten")
                inputs.refuse_file("--output", path)
        refuse_clashing_names(self.folder, [case.name for case in cases])

    def is_done(self, case: Case) -> bool:
        """Returns whether all that is wanted of a case is there, and its segmentation can be read."""
        if not all(path.is_file() for path in self.extra_files(case)):
            return False
        try:
            load_label(self.segmentation(case))
        except UserError:
            return False
        return True

    def wanted(self, case: Case) -> "Wanted":
        """Returns what to ask of the network."""
        from nnunet_tf.inference.volume.ensemble import Wanted

        return Wanted(self._kept_on_disk(case) if self.probabilities else None, self.uncertainty)

    def write(self, case: Case, prediction: "Prediction", source: NiftiImage, volume: Volume | None = None) -> None:
        """Writes all that is wanted, each file whole or not at all, the segmentation last.

        `volume` is the scan itself, which only `answers` need. Raises UserError where it cannot be written, and
        KeyboardInterrupt between files where the user stops the run.
        """
        try:
            if self.probabilities and prediction.probabilities is not None:
                self._write_probabilities(case, prediction.probabilities, source)
            maps = (prediction.entropy, prediction.spread)
            for path, values in zip(self.uncertainty_files(case), maps, strict=False):
                if values is not None:
                    raise_if_stopped()
                    write_map(path, values, source, keep_text=self.keep_text)
            if self.answers and volume is not None:
                raise_if_stopped()
                self.answers.write(self.folder, case, prediction, volume)
            names = prediction_names(self.plan)
            write_label(self.segmentation(case), prediction.labels, source, names, self.keep_text)
        finally:
            self.discard(case)

    def discard(self, case: Case) -> None:
        """Removes the probabilities that prediction keeps on disk until they are written."""
        self._kept_on_disk(case).unlink(missing_ok=True)

    def clear_leftovers(self, cases: Sequence[Case], alive: Callable[[int], bool] = psutil.pid_exists) -> None:
        """Removes the temporary files on these cases that a killed process, one not `alive`, has left."""
        names = {case.name for case in cases}
        endings = "|".join(re.escape(suffix) for suffix in (*SUFFIXES, ".probabilities"))
        for path in self.folder.rglob(".*.*"):
            temporary = re.fullmatch(rf"\.(\d+)\.(.+?)(_entropy|_spread)?({endings})", path.name)
            if temporary and temporary[2] in names and not alive(int(temporary[1])):
                path.unlink(missing_ok=True)

    def _write_probabilities(self, case: Case, probabilities: np.ndarray, source: NiftiImage) -> None:
        files = self.probability_files(case)
        per_output = [np.moveaxis(probabilities, 0, -1)] if self.probabilities == "4d" else probabilities
        unit = 1 / np.iinfo(probabilities.dtype).max
        for path, values in zip(files, per_output, strict=True):
            raise_if_stopped()
            write_map(path, values, source, unit, keep_text=self.keep_text)
        if self.probabilities == "4d":
            write_json(files[0].parent / OUTPUTS_NAME, [name for _, name in _outputs(self.plan)])

    def _kept_on_disk(self, case: Case) -> Path:
        return self.folder / f".{os.getpid()}.{case.name}.probabilities"


def check_output(output: Path, cases: Sequence[Case]) -> Inputs:
    """Raises UserError where predictions cannot be written to `output`, or would overwrite scans or labels.

    Returns the scans, which what else is written must not replace either.
    """
    if output.name.lower().endswith(SUFFIXES):
        raise UserError(f"--output {output}: is to be a folder; give {output.parent} for {output.name} to be in")
    inputs = Inputs(image for case in cases for image in case.images)
    inputs.refuse_folder("--output", output, "holds the scans themselves, which would be overwritten")
    home = output.resolve().parent
    if (home / "dataset.json").is_file() and any(_same(output, home / part) for part in DATASET_FOLDERS):
        raise UserError(
            f"--output {output}: holds files of the data set, which would be overwritten; name another folder"
        )
    make_folder(output)
    return inputs


def _same(folder: Path, other: Path) -> bool:
    return folder.exists() and other.exists() and folder.samefile(other)


def prediction_names(plan: Plan) -> dict[int, str]:
    """Returns the name of each number in predictions, the background (0) first."""
    return {0: plan.classes[0]} | dict(_outputs(plan))


def _outputs(plan: Plan) -> list[tuple[int, str]]:
    """Number in predictions and name of each output of the network."""
    if plan.regions:
        return [(region.value, region.name) for region in plan.regions]
    return list(zip(plan.label_values, plan.classes, strict=True))


def _plain(name: str) -> str:
    """A class name without what a file name cannot hold."""
    return re.sub(r"[^\w.+-]", "_", name)
