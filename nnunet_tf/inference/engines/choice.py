"""Which engine computes, and in which precision. Imports no engine until one is chosen."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from data_preprocessing.common.errors import UserError
from nnunet_tf.choices import EngineName, PrecisionName
from nnunet_tf.inference.engines.weights import UnknownWeights, read_weights
from nnunet_tf.inference.models.folder import DAMAGED, ModelFiles
from nnunet_tf.runtime import onednn
from nnunet_tf.runtime.device import Device, count_gpus
from nnunet_tf.runtime.processor import read_processor

if TYPE_CHECKING:
    from nnunet_tf.inference.engines.engine import EngineNetwork

Named = Literal["openvino", "onnxruntime", "tensorflow"]

MODULES = {
    "openvino": ("openvino", "h5py"),
    "onnxruntime": ("onnxruntime", "onnx", "h5py"),
    "onnx": ("onnx", "h5py"),
    "tensorflow": ("tensorflow",),
    "savedmodel": ("tensorflow",),
}
EXTRAS = {"openvino": "openvino", "onnxruntime": "onnx", "onnx": "onnx"}
DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))  # NVIDIA's, AMD's, and of WSL


@dataclass(frozen=True)
class EngineChoice:
    """What computes. `fallback` says that TensorFlow may take over; `notices` are lines for the user."""

    engine: Named
    precision: Literal["float32", "bfloat16"]
    fallback: bool = False
    notices: tuple[str, ...] = ()


def choose_engine(
    engine: EngineName, device: Device, precision: PrecisionName = "auto", amp: bool = False
) -> EngineChoice:
    """Returns what computes predictions.

    `auto` is OpenVINO on a processor where it is installed, else TensorFlow. `precision` auto is float32, with `amp`
    bfloat16 where there are instructions for it. Raises UserError where the engine is not installed, or cannot compute
    on the device or in the precision.
    """
    if amp and precision == "float32":
        raise UserError("--amp: contradicts --precision float32; leave one out")
    if engine == "auto":
        name = _automatic(device)
    else:
        name = engine
        check_modules(f"--engine {name}", name)
        if name != "tensorflow" and device == "gpu":
            raise UserError(f"--engine {name}: computes on the processor; use --engine tensorflow, or --device cpu")
    if name == "onnxruntime" and precision == "bfloat16":
        raise UserError(
            "--precision bfloat16: ONNX Runtime computes in float32; use --engine openvino, or leave it out"
        )
    half = precision == "bfloat16" or (amp and precision == "auto")
    fallback = engine == "auto" and name != "tensorflow" and is_installed("tensorflow")
    if not half or name == "tensorflow":
        return EngineChoice(name, "bfloat16" if half else "float32", fallback)
    lack = None if name == "openvino" else "ONNX Runtime computes in float32"
    if lack is None and not onednn.has_bfloat16(read_processor().flags):
        lack = "this processor has no bfloat16 instructions; computing in float32, which is faster here"
    asked = "--precision bfloat16" if precision == "bfloat16" else "--amp"
    if lack:
        return EngineChoice(name, "float32", fallback, (f"{asked}: {lack}",))
    return EngineChoice(name, "bfloat16", fallback)


def load_networks(files: Sequence[ModelFiles], choice: EngineChoice) -> "list[EngineNetwork]":
    """Returns the networks of an engine that is not TensorFlow.

    Raises UserError where weights are damaged or do not fit their plan. Where the choice has a `fallback` that is
    UnknownWeights, as TensorFlow may know them.
    """
    load = import_module(f"nnunet_tf.inference.engines.{choice.engine}_engine").load
    networks = []
    for each in files:
        try:
            networks.append(load(each, read_weights(each.weights), choice.precision))
        except UnknownWeights as error:
            if choice.fallback:
                raise
            raise UserError(f"{each.weights}: does not hold this network's weights ({error}); {DAMAGED}") from None
    return networks


def is_installed(name: str) -> bool:
    """Returns whether all that an engine, or a format to export to, needs is installed."""
    return all(find_spec(module) is not None for module in MODULES[name])


def check_modules(option: str, name: str) -> None:
    """Raises UserError, naming the `option`, where what an engine or format needs is not installed."""
    if not is_installed(name):
        extra = EXTRAS.get(name)
        remedy = f"pip install 'nnunet-tf[{extra}]'" if extra else "pip install tensorflow"
        raise UserError(f"{option}: needs {' and '.join(MODULES[name])}, which is not installed; {remedy}")


def may_have_gpu() -> bool:
    """Returns whether this machine has a GPU's driver, and CUDA_VISIBLE_DEVICES does not hide all GPUs."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and any(path.exists() for path in DRIVERS)


def _automatic(device: Device) -> Named:
    if device == "gpu" or not is_installed("openvino"):
        check_modules("--engine auto", "tensorflow")
        return "tensorflow"
    asks_tensorflow = device == "auto" and may_have_gpu() and is_installed("tensorflow")
    return "tensorflow" if asks_tensorflow and count_gpus() else "openvino"
