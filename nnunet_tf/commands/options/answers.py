"""Options of prediction about what people take away: statistics, pictures, DICOM, and which structures."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from data_preprocessing.common.text import counted
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.commands.types import positive_float

if TYPE_CHECKING:
    from pathlib import Path

    from data_preprocessing.dataset.dataset import Case
    from nnunet_tf.answers.case_answers import Answers
    from nnunet_tf.inference.models.folder import ModelFiles


def add_answers(parser: CommandParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    add(
        "--statistics",
        action="store_true",
        help="also volume, intensities, place and components of each structure, and which cases to look at",
    )
    add("--preview", action="store_true", help="also a picture of each case")
    add("--dicom", choices=("seg",), help="also a DICOM segmentation object of each DICOM series")
    add("--roi-subset", nargs="+", metavar="NAME", help="structures to write; else all")
    add(
        "--min-volume",
        nargs="+",
        type=min_volume,
        default=[],
        metavar="[NAME=]MM3",
        help="drop components smaller than this, of all structures or of one; of pictures in pixels",
    )


def min_volume(text: str) -> tuple[str, float]:
    """Returns the name of a structure, empty for all, and a volume from the command line."""
    name, _, volume = text.rpartition("=")
    return name, positive_float(volume)


def answers_of(
    options: argparse.Namespace, models: "Sequence[ModelFiles]", scans: "Sequence[Case]"
) -> "Answers | None":
    """Returns what is asked for beside the segmentations, None where nothing is.

    Raises UserError for a name that is no structure of the model, and where DICOM is asked for of other scans.
    """
    from data_preprocessing.common.errors import UserError
    from nnunet_tf.answers.case_answers import Answers
    from nnunet_tf.answers.description import predicted_structures
    from nnunet_tf.answers.flags import read_ranges
    from nnunet_tf.inference.cases.outputs import prediction_names
    from nnunet_tf.inference.postprocessing.selection import Selection

    plan = models[0].plan
    chosen = Selection.of_names(plan, options.roi_subset, options.min_volume).numbers
    if options.dicom:
        for scan in scans:
            if len(scan.images) != 1 or not scan.images[0].is_dir():
                raise UserError(f"{scan.images[0]}: is no DICOM series, which --dicom needs; leave --dicom out")
    if not (options.statistics or options.preview or options.dicom):
        return None
    return Answers(
        plan,
        predicted_structures(plan, chosen),
        {number: name for number, name in prediction_names(plan).items() if chosen is None or number in {0, *chosen}},
        read_ranges(models[0].folder) if options.statistics else None,
        options.statistics,
        options.preview,
        options.dicom is not None,
    )


def summarize_statistics(folder: "Path", names: Sequence[str], compared: bool = True) -> None:
    """Writes the tables over all cases in `folder`, and says which of the cases `names` a person should look at.

    `compared` says that there was a model's training to compare them with.
    """
    from nnunet_tf.answers.statistics_files import read_cases, write_tables

    cases = read_cases(folder)
    tables = write_tables(folder, cases)
    print(f"statistics of {counted(len(cases), 'case')} in {tables[0]} and {tables[1].name}")
    of_run = [case for case in cases if case.case in set(names)]
    flagged = [case for case in of_run if case.flags]
    for case in flagged:
        print(f"look at {case.case}: {'; '.join(flag.text for flag in case.flags)}")
    if of_run and not compared:
        print("not compared with what training has seen; name the model with --model")
    elif of_run:
        print(f"{len(flagged)} of {counted(len(of_run), 'case')} to look at")
