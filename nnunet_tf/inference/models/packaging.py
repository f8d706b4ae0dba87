"""Packs a trained model, or all its folds, into one file that predict.py takes as --model on any machine."""

from collections.abc import Sequence
from pathlib import Path
from zipfile import is_zipfile

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.inputs_kept import Inputs
from data_preprocessing.common.script import user_path
from nnunet_tf.inference.models.folder import MODEL_NAMES, is_fold, open_models
from nnunet_tf.inference.models.package_file import PACKAGE_SUFFIX, write_package
from nnunet_tf.inference.postprocessing.settings import POSTPROCESSING_NAME
from nnunet_tf.runtime.command_line import CommandParser


def package(model: Path, target: Path) -> None:
    """Writes `model`, the folder of a model or of its folds, to the zip `target`, atomically.

    What goes in: plan, network and best weights of every fold, postprocessing, and a manifest with checksums. Raises
    UserError when a fold is incomplete, `model` is a package itself, or `target` a file that is no package.
    """
    if model.is_file():
        raise UserError(f"{model}: is a file; copy a package as it is, or name the folder of a model")
    files: dict[str, Path] = {}
    for folder in (each.folder for each in open_models(model)):
        prefix = f"{folder.name}/" if is_fold(folder) else ""
        files |= {prefix + name: folder / name for name in (*MODEL_NAMES, POSTPROCESSING_NAME)}
        if prefix:
            files[POSTPROCESSING_NAME] = folder.parent / POSTPROCESSING_NAME
    packed = {name: path for name, path in files.items() if path.exists()}
    beside = {path for each in packed.values() for path in each.parent.iterdir() if path.suffix != PACKAGE_SUFFIX}
    Inputs(beside).refuse_file("FILE", target)
    if target.is_file() and not is_zipfile(target):
        raise UserError(f"{target}: is there already and is no package; name another file")
    write_package(target, packed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Packs the model that the command line names."""
    parser = CommandParser(description=__doc__)
    parser.prog = "python -m nnunet_tf.package"
    parser.add_argument(
        "model", type=user_path, metavar="MODEL", help="such as results/task04_3d/fold_0, or results/task04_3d"
    )
    parser.add_argument("target", type=user_path, metavar="FILE", help="such as model.zip")
    options = parser.parse_args(arguments)
    package(options.model, options.target)
    print(f"{options.target}: {options.target.stat().st_size / 2**20:.1f} MiB")
