"""The line with which every benchmark says what it ran on."""

import sys

from data_preprocessing.common.machine import available_cores
from nnunet_tf.runtime import onednn
from nnunet_tf.runtime.processor import read_processor


def print_machine() -> None:
    """Prints the processor with its class, the cores of this process and, once TensorFlow runs, what oneDNN uses."""
    processor = read_processor()
    words = [str(processor), f"{available_cores()} cores"]
    if "tensorflow" in sys.modules:
        words.append(f"oneDNN {onednn.instruction_set(processor.flags) if onednn.is_enabled() else 'off'}")
    print(", ".join(words), flush=True)
