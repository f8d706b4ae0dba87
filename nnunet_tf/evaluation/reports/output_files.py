"""Keeping what evaluate.py writes from replacing what it reads."""

import argparse
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import make_folder
from data_preprocessing.common.inputs_kept import Inputs
from data_preprocessing.dataset.scans import find_files
from nnunet_tf.evaluation.scoring.structures import homes
from nnunet_tf.inference.cases.outputs import PROBABILITIES
from nnunet_tf.inference.models.folder import fold_folders

FILES = ("csv", "json", "plot")  # options that name one file
DESCRIPTIONS = "*.json"  # dataset.json, plan.json and what else lies beside a folder that is read


def refuse_among_images(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuses pictures in a folder of images, where they would be taken for more of these, or written over them."""
    pictures = {"--overlays": options.overlays, "--plot": options.plot and options.plot.parent}
    images = {"--predictions": options.predictions, "--labels": options.labels, "--images": options.images}
    for option, folder in pictures.items():
        for taken, other in images.items():
            if folder and other and folder.resolve() == other.resolve():
                parser.error(
                    f"{option}: {folder} is that of {taken}, and pictures count as images; name another folder"
                )


def refuse_overwriting(options: argparse.Namespace) -> None:
    """Raises UserError, naming the option, where a file to be written is one that is read, or another option's.

    Also where pictures would lie among images that the folders named hold as links.
    """
    inputs = Inputs(_read_files(options))
    targets: dict[Path, str] = {}
    for name in FILES:
        target = getattr(options, name)
        if target:
            inputs.refuse_file(f"--{name}", target)
            if target.is_dir():
                raise UserError(f"--{name} {target}: is a folder; name a file")
            other = targets.setdefault(target.resolve(), name)
            if other != name:
                raise UserError(f"--{other} and --{name} both name {target}; give each its own file")
    for name, folder in {"overlays": options.overlays, "plot": options.plot and options.plot.parent}.items():
        if folder:
            inputs.refuse_folder(f"--{name}", folder, "is a folder of images, and pictures count as images")
    if options.overlays:
        for case in _images(options.predictions):
            inputs.refuse_file("--overlays", options.overlays / f"{case}.png")


def make_folders(options: argparse.Namespace) -> None:
    """Makes the folders of the files to be written, so that a wrong path is told before the work."""
    for name in FILES:
        if getattr(options, name):
            make_folder(getattr(options, name).parent)
    if options.overlays:
        make_folder(options.overlays)


def _read_files(options: argparse.Namespace) -> Iterator[Path]:
    """All files that the command reads."""
    for folder in filter(None, (options.predictions, options.labels, options.images, options.against)):
        yield from (*_images(folder).values(), *_images(folder / PROBABILITIES).values())
        for home in (*homes(folder), folder, folder / PROBABILITIES):
            yield from home.glob(DESCRIPTIONS)
    for folder in filter(None, (options.cross_validation, options.model)):
        for home in (folder, *fold_folders(folder)):
            yield from (path for path in home.glob("*") if path.is_file())


def _images(folder: Path) -> dict[str, Path]:
    """The images in a folder by name, none where there is something wrong, which reading it will tell."""
    with suppress(UserError):
        return find_files(folder)
    return {}
