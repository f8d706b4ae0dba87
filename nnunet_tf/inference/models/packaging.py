"""Packs a trained model, or all its folds, into one file that predict.py takes as --model on any machine."""

from pathlib import Path
from zipfile import is_zipfile

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.inputs_kept import Inputs
from nnunet_tf.inference.models.folder import MODEL_NAMES, RANGES_NAME, is_fold, open_models
from nnunet_tf.inference.models.package_file import PACKAGE_SUFFIX, write_package
from nnunet_tf.inference.postprocessing.settings import POSTPROCESSING_NAME


def package(model: Path, target: Path) -> None:
    """Writes `model`, the folder of a model or of its folds, to the zip `target`, atomically.

    What goes in: plan, network and best weights of every fold, postprocessing, ranges, and a manifest with checksums.
    Raises UserError when a fold is incomplete, `model` is a package itself, or `target` a file that is no package.
    """
    if model.is_file():
        raise UserError(f"{model}: is a file; copy a package as it is, or name the folder of a model")
    files: dict[str, Path] = {}
    for folder in (each.folder for each in open_models(model)):
        prefix = f"{folder.name}/" if is_fold(folder) else ""
        files |= {prefix + name: folder / name for name in (*MODEL_NAMES, POSTPROCESSING_NAME, RANGES_NAME)}
        if prefix:
            files |= {name: folder.parent / name for name in (POSTPROCESSING_NAME, RANGES_NAME)}
    packed = {name: path for name, path in files.items() if path.exists()}
    beside = {path for each in packed.values() for path in each.parent.iterdir() if path.suffix != PACKAGE_SUFFIX}
    Inputs(beside).refuse_file("FILE", target)
    if target.is_file() and not is_zipfile(target):
        raise UserError(f"{target}: is there already and is no package; name another file")
    write_package(target, packed)
