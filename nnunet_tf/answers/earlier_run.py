"""Tell results of an earlier run from files of the user's, and clear what an earlier run said of a scan."""

from collections.abc import Sequence
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.dataset import Case
from nnunet_tf.answers.case_answers import DICOM, PREVIEW
from nnunet_tf.answers.statistics_files import STATISTICS, case_file
from nnunet_tf.inference.cases.outputs import Outputs

RECORDS = "run*.json"


def refuse_foreign_files(outputs: Outputs, cases: Sequence[Case]) -> None:
    """Raises UserError where a segmentation would replace a file in a folder that no prediction has written to."""
    if any(outputs.folder.glob(RECORDS)):
        return
    for case in cases:
        path = outputs.segmentation(case)
        if path.exists():
            raise UserError(
                f"{path}: is there already, and no prediction has written to this folder (it has no run.json); name "
                "another --output, or replace such files with --overwrite"
            )


def clear_answers(folder: Path, cases: Sequence[Case]) -> None:
    """Removes what an earlier run wrote about `cases`, and its tables: they are of segmentations that are replaced."""
    tables = [folder / f"{STATISTICS}.csv", folder / f"{STATISTICS}.json"]
    for case in cases:
        tables += [
            case_file(folder, case.name),
            folder / PREVIEW / f"{case.name}.png",
            folder / DICOM / f"{case.name}.dcm",
        ]
    for path in tables:
        path.unlink(missing_ok=True)
