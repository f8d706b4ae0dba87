"""Scores segmentations against labels; or tells defective images, finds a model's postprocessing, or pools folds."""

import argparse

from data_preprocessing.common.script import user_path
from nnunet_tf.commands import detect, evaluate, pool, postprocess
from nnunet_tf.commands.options.scores import add_files, add_folders, add_trust
from nnunet_tf.commands.parser import CommandParser


def add_options(parser: CommandParser) -> None:
    """Adds the options of the four commands that evaluate.py is."""
    add_folders(parser, required=False)
    add_files(parser)
    evaluate.add_scoring_options(parser)
    add_trust(parser)
    parser.add_jobs()
    parser.add_backend()
    add = parser.add_argument
    pooled = "instead: pool the folds in DIR, such as results/task04_3d"
    add("--cross-validation", type=user_path, metavar="DIR", help=pooled)
    detection = "instead: defect yes or no in each image, by the probabilities kept beside --predictions"
    add("--detection", action="store_true", help=detection)
    found = "instead: decide on --model's postprocessing and save it"
    add("--find-postprocessing", action="store_true", help=found)
    add("--model", type=user_path, metavar="DIR", help="folder of a model, or of its folds")


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Does one of the four."""
    _check(parser, options)
    if options.cross_validation:
        pool.run(options, parser)
    elif options.detection:
        detect.run(options, parser)
    elif options.find_postprocessing:
        postprocess.run(options, parser)
    else:
        evaluate.run(options, parser)


def _check(parser: CommandParser, options: argparse.Namespace) -> None:
    """Refuses options that belong to another of the four."""
    folders = {"--predictions": options.predictions, "--labels": options.labels}
    if options.cross_validation:
        given = [name for name, folder in folders.items() if folder]
        given += ["--backend"] * (options.backend != "processes")
        given += ["--find-postprocessing"] * options.find_postprocessing + ["--overlays"] * bool(options.overlays)
        given += ["--detection"] * options.detection + ["--include-background"] * options.include_background
        given += ["--trust-grid"] * options.trust_grid + ["--against"] * bool(options.against)
        if given:
            parser.error(f"{given[0]} does not go with --cross-validation, which reads what training has scored")
        return
    missing = [name for name, folder in folders.items() if not folder]
    if missing:
        parser.error(f"{' and '.join(missing)} missing: name the folders to compare")
    others = ("csv", "plot", "overlays", "against", "find_postprocessing", "include_background", "trust_grid")
    given = [f"--{name.replace('_', '-')}" for name in others if options.detection and getattr(options, name)]
    given += ["--backend"] * (options.detection and options.backend != "processes")
    if given:
        parser.error(f"{given[0]} does not go with --detection, which writes --json and nothing else")
    of_scoring = ("csv", "json", "plot", "overlays", "against", "include_background", "count_absent")
    given = [f"--{name.replace('_', '-')}" for name in of_scoring if getattr(options, name)]
    if options.find_postprocessing and given:
        parser.error(f"{given[0]} does not go with --find-postprocessing, which writes into the model's folder only")
    if options.model and not options.find_postprocessing:
        parser.error("--model belongs to --find-postprocessing; add that, or leave --model out")
    if options.find_postprocessing and not options.model:
        parser.error("--find-postprocessing saves into a model's folder; name it with --model")
