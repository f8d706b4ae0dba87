"""Export a trained model for other programs."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import make_folder, write_json, write_text, writing
from nnunet_tf.choices import ExportFormat
from nnunet_tf.export.description import model_card, postprocessing, preprocessing
from nnunet_tf.inference.engines.weights import UnknownWeights, Weights, read_weights
from nnunet_tf.inference.models.folder import DAMAGED, ModelFiles, open_models
from nnunet_tf.inference.models.grouping import common_postprocessing, configurations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nnunet_tf.choices import FoldName

EXAMPLE = Path(__file__).with_name("example.py")
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "savedmodel": ""}


def export(model: Path, target: Path, kind: ExportFormat, folds: "Sequence[FoldName] | None" = None) -> list[str]:
    """Writes the networks of `model` to the new folder `target`; returns the names of its files.

    Beside the networks, one per fold, are `preprocessing.json`, `postprocessing.json`, `README.md` (a model card) and
    `example.py`. The folder appears when it is whole. Raises UserError where `target` is there and not empty, the model
    cannot be read, or its folds prepare scans differently.
    """
    files = open_models(model, folds)
    if len(configurations(files)) > 1:
        raise UserError(f"{model}: its folds prepare scans differently; export one of them with --fold")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError(f"{target}: is there already; name a new folder")
    make_folder(target.absolute().parent)
    with writing(target):
        temporary = Path(tempfile.mkdtemp(prefix=".export_", dir=target.absolute().parent))
        try:
            names = [_write_network(each, temporary, f"network_{index}", kind) for index, each in enumerate(files)]
            layout = "N, *spatial, C" if kind == "savedmodel" else "N, C, *spatial"
            after = postprocessing(files[0], common_postprocessing(files), names, layout)
            write_json(temporary / "preprocessing.json", preprocessing(files[0]))
            write_json(temporary / "postprocessing.json", after)
            write_text(temporary / "README.md", model_card(files, kind, names))
            shutil.copyfile(EXAMPLE, temporary / EXAMPLE.name)
            temporary.chmod(0o777 & ~_umask())  # that of mkdtemp is for its owner alone
            temporary.replace(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return sorted(path.name for path in target.iterdir())


def _write_network(files: ModelFiles, folder: Path, name: str, kind: ExportFormat) -> str:
    """Writes one network; returns the name of its file or folder."""
    path = folder / f"{name}{SUFFIXES[kind]}"
    if kind == "savedmodel":
        from nnunet_tf.inference.predictor import load_network
        from nnunet_tf.runtime.device import start_tensorflow

        start_tensorflow("cpu", amp=False)
        load_network(files.folder, files.plan, files.weights.name).export(path, "tf_saved_model", verbose=False)
    elif kind == "onnx":
        from nnunet_tf.inference.engines.onnxruntime_engine import make_model as make_onnx

        path.write_bytes(make_onnx(files, _weights(files)).SerializeToString())
    else:
        from nnunet_tf.inference.engines.openvino_engine import make_model
        from nnunet_tf.inference.engines.openvino_library import ov

        ov.save_model(make_model(files, _weights(files)), path, compress_to_fp16=False)
    return path.name


def _weights(files: ModelFiles) -> Weights:
    try:
        return read_weights(files.weights)
    except UnknownWeights as error:
        raise UserError(f"{files.weights}: does not hold this network's weights ({error}); {DAMAGED}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
