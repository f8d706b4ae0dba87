"""Makes a data set of your own files: finds the cases in folders of any layout and writes their dataset.json."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from data_preprocessing.common.script import INSTALLED, user_path
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.commands.types import pattern

if TYPE_CHECKING:
    from data_preprocessing.dataset.layouts.make import Made

FIRST_NUMBER = 100  # of the tasks that are numbered by themselves
ROWS_SHOWN = 25
CASES_PER_FOLD = 5  # folds by default


def add_options(parser: CommandParser) -> None:
    """Adds the options of the command."""
    parser.add_argument(
        "source", type=user_path, nargs="?", metavar="SOURCE",
        help="folder of the cases: one folder per patient, a DICOM tree, an nnU-Net v2 raw folder; or a MONAI datalist",
    )  # fmt: skip
    where = parser.add_argument_group("where the files are")
    where.add_argument("--images", type=user_path, metavar="DIR", help="folder of the images (with --labels)")
    where.add_argument("--labels", type=user_path, metavar="DIR", help="folder of the labels, paired by their names")
    where.add_argument("--image", metavar="PATTERN", help="image in SOURCE or each folder in it, such as ct.nii.gz")
    where.add_argument("--label", metavar="PATTERN", help="label map or DICOM segmentation, such as *_seg.nii.gz")
    where.add_argument("--masks", metavar="PATTERN", help="folder of one binary mask per structure, to be combined")
    where.add_argument(
        "--channel", type=pattern, action="append", metavar="NAME=PATTERN", dest="channels",
        help="files of one channel, such as T1=*_t1.nii.gz; once per channel",
    )  # fmt: skip
    where.add_argument("--table", type=user_path, metavar="CSV", help="columns case, image, label, patient, split")
    what = parser.add_argument_group("what they are")
    what.add_argument("--modality", nargs="+", metavar="NAME", help="modality of each channel, such as CT")
    what.add_argument(
        "--names", nargs="+", type=_name, metavar="NUMBER=NAME", help="class names, such as 1=liver 2=tumor"
    )
    out = parser.add_argument_group("what is written")
    out.add_argument(
        "--output",
        type=user_path,
        metavar="DIR",
        help="folder to make (default: data/Task100_NAME, the next free number)",
    )
    out.add_argument("--overwrite", action="store_true", help="replace the dataset.json there")
    transfer = out.add_mutually_exclusive_group()
    transfer.add_argument("--copy", action="store_const", const="copy", dest="transfer", help="copy the files there")
    transfer.add_argument("--link", action="store_const", const="link", dest="transfer", help="link the files there")
    out.add_argument("--relative", action="store_true", help="write paths from that folder, not in full")
    out.add_argument("--schema", action="store_true", help="print the JSON Schema of dataset.json, and do no more")
    parser.add_jobs()


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Writes the data set, and prints what it found and the next command."""
    import json

    from data_preprocessing.common.text import counted
    from data_preprocessing.dataset.description import dataset_schema
    from data_preprocessing.dataset.layouts.find import Request, find_cases
    from data_preprocessing.dataset.layouts.make import Choices, make_dataset
    from data_preprocessing.jobs.backend import Processes
    from data_preprocessing.planning.planner import task_number
    from nnunet_tf.runtime.progress import track

    if options.schema:
        print(json.dumps(dataset_schema(), indent=1))
        return
    request = Request(
        options.source, options.images, options.labels, options.image, options.label, options.masks,
        tuple(options.channels or ()), options.table,
    )  # fmt: skip
    layout = find_cases(request)
    folder = options.output or _default_folder(request.place)
    task_number(folder.absolute().name)  # which the commands that follow need
    choices = Choices(
        tuple(options.modality or ()),
        _class_names(options.names),
        options.transfer,
        options.relative,
        options.overwrite,
    )
    memory = int(options.memory * 2**30) if options.memory else None
    with track("Reading labels", total=len(layout.cases), unit="cases") as tracker:
        made = make_dataset(layout, folder, choices, Processes(options.n_jobs, memory), tracker.update)
    print(f"{layout.kind}: {counted(len(made.cases), 'case')}, channels {', '.join(made.channels)}")
    _print_cases(made)
    _print_classes(made)
    for line in made.warnings:
        print(f"warning: {line}")
    print(f"{made.path} written" + (f", and {made.splits}" if made.splits else ""))
    print(f"next: {_next_command(folder, made)}")


def _next_command(folder: Path, made: "Made") -> str:
    import shlex

    training = sum(case.label is not None and case.split != "test" for case in made.cases)
    options = ["--task", folder.absolute().name]
    if folder.parent != Path("data"):
        options += ["--data", str(folder.parent)]
    if 1 < training < CASES_PER_FOLD:
        options += ["--nfolds", str(training)]
    return shlex.join([INSTALLED, "plan", *options])


def _print_cases(made: "Made") -> None:
    """Which label belongs to which image."""
    from nnunet_tf.evaluation.reports.layout import print_rows

    rows = []
    for case in made.cases[:ROWS_SHOWN]:
        facts = made.facts[case.name]
        label = case.label.name if case.label else f"none: {case.split if case.split == 'test' else 'not trained on'}"
        shape, spacing = " x ".join(map(str, facts.shape)), " x ".join(f"{size:.3g}" for size in facts.spacing)
        rows.append((case.name, " + ".join(path.name for path in case.images), label, shape, spacing))
    if len(made.cases) > ROWS_SHOWN:
        rows.append(("...", f"and {len(made.cases) - ROWS_SHOWN} more, in dataset.json", "", "", ""))
    print_rows("Cases", ("case", "image", "label", "voxels in the file", "spacing (z, y, x), mm"), rows)


def _print_classes(made: "Made") -> None:
    from nnunet_tf.evaluation.reports.layout import print_rows

    rows = []
    for name, stated in made.labels.items():
        numbers = stated if isinstance(stated, list) else [stated]
        counts = [sum(each.voxels.get(number, 0) for number in numbers) for each in made.facts.values()]
        rows.append((name, " ".join(map(str, numbers)), f"{sum(counts):,}", str(sum(map(bool, counts)))))
    print_rows("Classes", ("class", "number", "voxels", "cases"), rows)


def _default_folder(place: Path) -> Path:
    """`data/Task100_Name` after the source: the one there is of that name, else one whose number is free."""
    from data_preprocessing.common.defaults import OWN_CONFIGS

    name = "".join(word[:1].upper() + word[1:] for word in re.findall(r"\w+", place.absolute().name.split(".")[0]))
    data = Path("data")
    mine = next(iter(sorted(data.glob(f"Task[0-9]*_{name}"))), None)
    if mine:
        return mine
    used = [path.name for folder in (data, OWN_CONFIGS) for path in folder.glob("*")]
    taken = {int(found[1]) for each in used if (found := re.match(r"(?:Task|Dataset|task)0*(\d+)", each))}
    number = next(number for number in range(FIRST_NUMBER, 1000) if number not in taken)
    return data / f"Task{number}_{name or 'Mine'}"


def _name(text: str) -> tuple[int | None, str]:
    number, _, name = text.rpartition("=")
    if (number and not number.isdecimal()) or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number and a name, such as 1=liver")
    return int(number) if number else None, name


def _class_names(stated: list[tuple[int | None, str]] | None) -> dict[int, str] | None:
    """Names by number; those without one are numbered from 1 on."""
    from data_preprocessing.common.errors import UserError

    if not stated:
        return None
    numbered = [(index if number is None else number, name) for index, (number, name) in enumerate(stated, start=1)]
    if len(dict(numbered)) < len(stated) or len({name for _, name in numbered}) < len(stated):
        raise UserError("--names: has a number or a name twice; give each class its own")
    return dict(numbered)
