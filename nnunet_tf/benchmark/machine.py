"""What a measurement ran on."""

import importlib.metadata
import platform
import re
from pathlib import Path

import tensorflow as tf

from data_preprocessing.common.machine import available_cores, total_memory
from nnunet_tf.benchmark.report import Machine
from nnunet_tf.runtime import onednn
from nnunet_tf.runtime.processor import read_processor

PACKAGES = ("keras", "numpy", "nvidia-dali-cuda120", "horovod")
DRIVER_FILE = Path("/proc/driver/nvidia/version")


def describe_machine() -> Machine:
    """Returns the machine that this process runs on."""
    gpus = tf.config.get_visible_devices("GPU")
    gpu = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else None
    processor = read_processor()
    return Machine(
        processor=processor.name,
        family=processor.family,
        model=processor.model,
        instruction_set=onednn.instruction_set(processor.flags),
        onednn=onednn.is_enabled(),
        cores=available_cores(),
        memory_bytes=total_memory(),
        gpu=gpu,
        driver=driver_version(_text(DRIVER_FILE)) if gpu else None,
    )


def driver_version(text: str) -> str | None:
    """Returns the version of the kernel module in the text of /proc/driver/nvidia/version, None where there is none.

    >>> driver_version("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024")
    '550.54.15'
    """
    match = re.search(r"\s(\d{3,}\.\d+(?:\.\d+)?)\s", text)
    return match.group(1) if match else None


def versions() -> dict[str, str]:
    """Returns the versions of Python, of the packages that matter here and are installed, and of TensorFlow's CUDA."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES if _is_installed(name)}
    built_with = tf.sysconfig.get_build_info()
    cuda = {name: built_with[f"{name}_version"] for name in ("cuda", "cudnn") if f"{name}_version" in built_with}
    return {"python": platform.python_version(), "tensorflow": tf.__version__, **found, **cuda}


def _is_installed(package: str) -> bool:
    return any(importlib.metadata.distributions(name=package))


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""
