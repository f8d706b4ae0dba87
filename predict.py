"""Segments scans with a trained model; each result lies on the voxel grid of its scan."""

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_tf.choices import FoldName
from nnunet_tf.runtime.command_line import CommandParser, fold, overlap, positive_int, run, stop_in_order

if TYPE_CHECKING:
    from data_preprocessing.dataset import Case
    from nnunet_tf.inference.model_folder import ModelFiles
    from nnunet_tf.inference.outputs import Outputs


def main() -> None:
    """Parses the command line and writes one segmentation a case."""
    options = _parser().parse_args()
    stop_in_order()
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)

    from data_preprocessing.errors import UserError
    from data_preprocessing.scans import find_images
    from nnunet_tf.inference.inputs import check_headers, part_of
    from nnunet_tf.inference.outputs import Outputs, check_output

    models, home = _models(options)
    plan = models[0].plan
    source = options.input or [options.data / plan.dataset / "imagesTs"]
    cases = part_of(find_images(source, len(plan.channels), "name the images with --input"), *options.part)
    folder = options.output or (home / "predictions" if home else None)
    if folder is None:
        raise UserError("--output: name a folder, as packages and several models have none of their own")
    outputs = Outputs(folder, plan, options.save_probabilities, options.save_uncertainty)
    check_output(outputs.folder, cases)
    if options.go_on:
        outputs.clear_leftovers(cases)
        cases = [case for case in cases if not outputs.is_done(case)]
    check_headers(cases, plan)
    failures = _predict(options, models, cases, outputs) if cases else []
    if len(failures) == 1:
        raise UserError(failures[0])
    if failures:
        raise UserError(f"{len(failures)} of {len(cases)} scans failed: {' | '.join(failures)}")
    print(f"{len(cases)} segmentation{'s' * (len(cases) != 1)} in {outputs.folder}")


def _parser() -> CommandParser:
    parser = CommandParser(description=__doc__)
    parser.add_task()
    parser.add_argument(
        "--fold",
        type=_fold_list,
        metavar="FOLDS",
        help="such as 0, or 0,1,2,3,4: their mean; all: the model trained on every case; "
        "left out: 0 of a task, all folds that a --model has",
    )
    parser.add_folder("data", "data sets; the task's imagesTs is segmented")
    parser.add_folder("results", "models, such as results/task04_3d/fold_0")
    parser.add_device()
    parser.add_argument(
        "--model",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="folder of a model or of its folds, or model.zip, instead of --task and --dim; several: their mean",
    )
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best", help="which epoch's weights")
    parser.add_argument(
        "--input",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="images (NIfTI, NRRD, MHA, MGZ, DICOM folders, PNG, BMP, JPEG, TIFF), folders of them, or a .txt with a "
        "path a line, instead of imagesTs",
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="where to write; else predictions/ in the model folder"
    )
    parser.add_argument(
        "--continue", dest="go_on", action="store_true", help="leave out scans whose segmentation is there already"
    )
    parser.add_argument(
        "--part", type=_part, default="1/1", metavar="I/N", help="the I-th of N equal parts, for several machines"
    )
    parser.add_argument("--tta", action="store_true", help="average over all flips: slower, a little better")
    parser.add_argument("--tta-axes", metavar="AXES", help="flip along some axes only, such as zy: implies --tta")
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
    parser.add_argument("--save-uncertainty", action="store_true", help="also entropy, and spread over flips and folds")
    return parser


def _predict(
    options: argparse.Namespace, models: "list[ModelFiles]", cases: "list[Case]", outputs: "Outputs"
) -> list[str]:
    """Returns why cases failed, a line each."""
    from nnunet_tf.inference.predict_cases import predict_cases
    from nnunet_tf.inference.predictor import Predictor

    predictor = Predictor(
        models,
        tta=options.tta,
        tta_axes=options.tta_axes,
        overlap=options.overlap,
        blend_mode=options.blend_mode,
        window_batch=options.sw_batch_size,
        device=options.device,
        amp=options.amp,
        postprocessing=not options.no_postprocessing,
    )
    try:
        return predict_cases(predictor, cases, outputs)
    except KeyboardInterrupt as stopped:
        finished = f"what is finished is in {outputs.folder}, go on with --continue"
        raise type(stopped)(f"predict.py: stopped; {finished}") from None


def _models(options: argparse.Namespace) -> "tuple[list[ModelFiles], Path | None]":
    """The models asked for, and their folder where they lie in one."""
    from data_preprocessing.plan import folder_name
    from data_preprocessing.task import load_task
    from nnunet_tf.inference.model_folder import model_folder
    from nnunet_tf.inference.models import gather

    if options.model:
        models = gather(options.model, options.fold, options.checkpoint)
        return models, options.model[0] if len(options.model) == 1 and options.model[0].is_dir() else None
    folds = options.fold or [0]
    name = folder_name(load_task(options.task).task, options.dim)
    if len(folds) == 1:
        folder = model_folder(options.results, name, folds[0])
        return gather(folder, None, options.checkpoint), folder
    return gather(options.results / name, folds, options.checkpoint), options.results / name


def _fold_list(text: str) -> list[FoldName]:
    return [fold(part) for part in text.split(",")]


def _part(text: str) -> tuple[int, int]:
    part, slash, parts = text.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r} is no part such as 1/4, the first of four")
    return int(part), int(parts)


if __name__ == "__main__":
    run(main)
