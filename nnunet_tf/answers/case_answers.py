"""Write what is asked for beside a segmentation: statistics with flags, a picture, a DICOM object."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_preprocessing.dataset.dataset import Case
from data_preprocessing.images.volume_io import Volume
from data_preprocessing.planning.plan import Plan
from nnunet_tf.answers.flags import Ranges, find_flags
from nnunet_tf.answers.statistics import measure_case
from nnunet_tf.answers.statistics_files import case_file, write_case
from nnunet_tf.evaluation.scoring.structures import Structure

if TYPE_CHECKING:
    from nnunet_tf.inference.volume.ensemble import Prediction

PREVIEW, DICOM = "preview", "dicom"  # folders below the segmentations


@dataclass(frozen=True)
class Answers:
    """The answers of a run; `names` are those of the label numbers, `dicom` asks for a DICOM segmentation."""

    plan: Plan
    structures: Sequence[Structure]
    names: dict[int, str]
    ranges: Ranges | None = None
    statistics: bool = False
    preview: bool = False
    dicom: bool = False

    def files(self, folder: Path, case: Case) -> list[Path]:
        """Returns the files of a case below `folder`."""
        wanted = (
            (self.statistics, case_file(folder, case.name)),
            (self.preview, folder / PREVIEW / f"{case.name}.png"),
            (self.dicom, folder / DICOM / f"{case.name}.dcm"),
        )
        return [path for is_wanted, path in wanted if is_wanted]

    def write(self, folder: Path, case: Case, prediction: "Prediction", volume: Volume) -> None:
        """Writes the files of a case below `folder`, each whole or not at all."""
        if self.statistics:
            self._write_statistics(folder, case, prediction, volume)
        if self.preview:
            self._write_preview(folder, case, prediction, volume)
        if self.dicom:
            from nnunet_tf.answers.dicom_segmentation import write_segmentation

            write_segmentation(
                folder / DICOM / f"{case.name}.dcm", case.images[0], prediction.labels, volume.source, self.names
            )

    def _write_statistics(self, folder: Path, case: Case, prediction: "Prediction", volume: Volume) -> None:
        from nnunet_tf.evaluation.reports.display import has_no_spacing

        measured = measure_case(
            case.name,
            prediction.labels,
            volume,
            self.structures,
            self.plan.channels,
            has_no_spacing(volume.source),
            prediction.entropy,
            prediction.spread,
        )
        measured.flags = find_flags(measured, self.plan, self.ranges)
        write_case(folder, measured)

    def _write_preview(self, folder: Path, case: Case, prediction: "Prediction", volume: Volume) -> None:
        from nnunet_tf.evaluation.reports.display import look_of
        from nnunet_tf.evaluation.reports.overlay import save_overlay

        look = look_of(case.images[0], volume, self.plan.channels[0])
        names = {number: name for number, name in self.names.items() if number}
        path = folder / PREVIEW / f"{case.name}.png"
        image = volume.array[..., 0]
        save_overlay(path, image, volume.spacing, prediction.labels, names, case.name, look=look)
