"""Segments scans with a trained model; each result lies on the voxel grid of its scan."""

import argparse
import sys
import warnings
from typing import get_args

from data_preprocessing.common.script import user_path
from data_preprocessing.common.text import counted
from nnunet_tf.choices import EngineName, PrecisionName
from nnunet_tf.commands.options.answers import add_answers, answers_of, summarize_statistics
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.commands.prediction import find_scans, predict_recorded, sources
from nnunet_tf.commands.types import axes, fold_list, overlap, pattern, positive_int
from nnunet_tf.runtime.stopping import stop_in_order


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Writes one segmentation per scan."""
    parser.check_backend(options)
    if options.model:
        parser.refuse_given(
            ("task", "dim", "results"), "does not go with --model, which says what to load; leave one out"
        )
    stop_in_order()
    warned: list[str] = []
    warnings.showwarning = lambda message, *_: _warn(str(message), warned)

    if not options.model:
        from nnunet_tf.runtime.dimensions import set_dim

        set_dim(options)
    from data_preprocessing.common.errors import UserError
    from data_preprocessing.dataset.scan_names import numbered_as_channels
    from nnunet_tf.answers.earlier_run import RECORDS, clear_answers, refuse_foreign_files
    from nnunet_tf.inference.cases.outputs import Outputs, check_output
    from nnunet_tf.inference.models.folder import PREDICTIONS_NAME
    from nnunet_tf.inference.models.grouping import gather
    from nnunet_tf.inference.volume.inputs import check_headers, part_of

    paths, folds = sources(options)
    models = gather(paths, folds, options.checkpoint)
    plan = models[0].plan
    scans = find_scans(options, plan)
    numbered = numbered_as_channels([scan.name for scan in scans])
    if numbered:
        warnings.warn(
            f"{counted(len(numbered), 'file')} numbered like channels ({', '.join(numbered[:3])}"
            f"{', ...' * (len(numbered) > 3)}): each is segmented as its own scan; if they are channels, give the "
            f"model's ({', '.join(plan.channels)}) with --input",
            stacklevel=1,
        )
    cases = asked_for = part_of(scans, *options.part)
    if not cases:
        print(
            "part {}/{}: ".format(*options.part)
            + f"has none of the {len(scans)} scans; there are more parts than scans"
        )
        return
    home = paths[0] if len(paths) == 1 and paths[0].is_dir() else None
    folder = options.output or (home / PREDICTIONS_NAME if home else None)
    if folder is None:
        raise UserError("--output: name a folder, as packages and several models have none of their own")
    answers = answers_of(options, models, scans)
    outputs = Outputs(
        folder, plan, options.save_probabilities, options.save_uncertainty, answers, options.keep_header_text
    )
    outputs.refuse_overwriting(check_output(outputs.folder, scans), scans)
    if options.go_on:
        outputs.clear_leftovers(cases)
        cases = [case for case in cases if not outputs.is_done(case)]
    elif options.output and not options.overwrite:
        refuse_foreign_files(outputs, cases)
    check_headers(cases, plan)
    if not options.go_on and any(outputs.folder.glob(RECORDS)):
        clear_answers(outputs.folder, cases)
    if cases:
        predict_recorded(options, models, cases, outputs, warned)
    print(f"{counted(len(cases), 'segmentation')} in {outputs.folder}")
    if options.statistics:
        summarize_statistics(outputs.folder, [case.name for case in asked_for])


def _warn(message: str, warned: list[str]) -> None:
    warned.append(message)
    print(f"warning: {message}", file=sys.stderr)


def add_options(parser: CommandParser) -> None:
    """Adds the options of the command."""
    parser.add_task()
    parser.add_argument(
        "--fold",
        type=fold_list,
        metavar="FOLDS",
        help="such as 0, or 0,1,2,3,4: their mean; all: the model trained on every case; "
        "left out: 0 of a task, all folds that a --model has",
    )
    parser.add_folder("data", "data sets; the task's imagesTs is segmented")
    parser.add_folder("results", "models, such as results/task04_3d/fold_0")
    parser.add_device()
    parser.add_argument(
        "--engine",
        choices=get_args(EngineName),
        default="auto",
        help="library that computes; auto: OpenVINO on a processor where it is installed, else TensorFlow",
    )
    parser.add_argument(
        "--precision",
        choices=get_args(PrecisionName),
        default="auto",
        help="number format of the networks; auto: float32, with --amp that of mixed precision",
    )
    parser.add_backend()
    parser.add_argument(
        "--model",
        type=user_path,
        nargs="+",
        metavar="PATH",
        help="folder of a model or of its folds, or model.zip, instead of --task and --dim; several: their mean",
    )
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best", help="which epoch's weights")
    parser.add_argument(
        "--input",
        type=user_path,
        nargs="+",
        metavar="PATH",
        help="images (NIfTI, NRRD, MHA, MGZ, DICOM folders, PNG, BMP, JPEG, TIFF), folders of them, or a .txt with a "
        "path a line, instead of imagesTs; DICOM series further down are called after their path (PAT1-ST1-SE02)",
    )
    parser.add_argument(
        "--channel", type=pattern, action="append", metavar="NAME=PATTERN", dest="channels",
        help="files of one channel in --input or each folder in it, such as T1=*_t1.nii.gz; once per channel",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=user_path, metavar="DIR", help="where to write; else predictions/ in the model folder"
    )
    parser.add_argument(
        "--continue", dest="go_on", action="store_true", help="leave out scans whose segmentation is there already"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files in --output that no prediction has written"
    )
    parser.add_argument(
        "--part", type=_part, default="1/1", metavar="I/N", help="the I-th of N equal parts, for several machines"
    )
    parser.add_argument("--tta", action="store_true", help="average over all flips learnt: slower, a little better")
    parser.add_argument(
        "--tta-axes", type=axes, metavar="AXES", help="flip along some axes only, such as zy: implies --tta"
    )
    parser.add_argument("--overlap", type=overlap, default=0.5, help="share of a window that its neighbour covers")
    parser.add_argument("--blend-mode", choices=("gaussian", "constant"), default="gaussian", help="window weights")
    parser.add_argument("--sw-batch-size", type=positive_int, help="windows at once; else found by itself")
    parser.add_argument("--no-postprocessing", action="store_true", help="leave out what validation has decided on")
    parser.add_argument(
        "--save-probabilities",
        nargs="?",
        choices=("4d", "per-class"),
        const="4d",
        help="also probabilities, as one 4D NIfTI or one 3D NIfTI a class",
    )
    parser.add_argument(
        "--keep-header-text",
        action="store_true",
        help="copy the scan's description and extensions too, which may name the patient",
    )
    parser.add_argument("--save-uncertainty", action="store_true", help="also entropy, and spread over flips and folds")
    add_answers(parser)


def _part(text: str) -> tuple[int, int]:
    part, slash, parts = text.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r} is no part such as 1/4, the first of four")
    return int(part), int(parts)
