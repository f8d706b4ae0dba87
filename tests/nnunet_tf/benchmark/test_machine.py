import platform

import keras
import psutil
import tensorflow as tf

from nnunet_tf.benchmark.machine import describe_machine, driver_version, versions


def test_this_machine_is_described():
    machine = describe_machine()
    assert machine.processor
    assert machine.memory_bytes == psutil.virtual_memory().total
    assert machine.instruction_set in str(machine)
    assert (machine.gpu is None) == (not tf.config.get_visible_devices("GPU"))


def test_the_driver_is_found_in_what_the_open_kernel_module_says_too():
    said = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86  Release Build  (builder)"
    assert driver_version(said) == "570.86"
    assert driver_version("") is None


def test_the_versions_are_those_that_run():
    found = versions()
    assert found["python"] == platform.python_version()
    assert (found["tensorflow"], found["keras"]) == (tf.__version__, keras.__version__)
    assert "nvidia-dali-cuda120" in found
