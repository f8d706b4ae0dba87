"""Which engine is chosen, by device, what is installed and what is asked for."""

import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.inference.engines import choice
from nnunet_tf.inference.engines.choice import choose_engine
from nnunet_tf.runtime.processor import Processor

FAST = frozenset({"sse4_1", "avx", "avx2", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni", "avx512_bf16"})


@pytest.fixture
def machine(monkeypatch):
    def set_up(installed=("openvino", "onnxruntime", "tensorflow"), gpus=0, flags=FAST):
        monkeypatch.setattr(choice, "is_installed", lambda name: name in installed)
        monkeypatch.setattr(choice, "may_have_gpu", lambda: gpus > 0)
        monkeypatch.setattr(choice, "count_gpus", lambda: gpus)
        monkeypatch.setattr(choice, "read_processor", lambda: Processor("", None, None, flags))

    return set_up


@pytest.mark.parametrize(
    ("installed", "gpus", "device", "expected"),
    [
        (("openvino", "tensorflow"), 0, "auto", "openvino"),
        (("openvino", "tensorflow"), 1, "auto", "tensorflow"),
        (("openvino", "tensorflow"), 1, "cpu", "openvino"),
        (("openvino", "tensorflow"), 1, "gpu", "tensorflow"),
        (("openvino",), 1, "auto", "openvino"),
        (("onnxruntime", "tensorflow"), 0, "cpu", "tensorflow"),
        (("tensorflow",), 0, "auto", "tensorflow"),
    ],
)
def test_auto_is_openvino_on_a_processor_where_it_is_installed(machine, installed, gpus, device, expected):
    machine(installed, gpus)
    assert choose_engine("auto", device).engine == expected


@pytest.mark.parametrize(
    ("engine", "options", "installed"),
    [
        ("openvino", {}, ("tensorflow",)),
        ("tensorflow", {}, ("openvino",)),
        ("auto", {}, ()),
        ("openvino", {"device": "gpu"}, ("openvino", "tensorflow")),
        ("onnxruntime", {"precision": "bfloat16"}, ("onnxruntime",)),
        ("openvino", {"precision": "float32", "amp": True}, ("openvino",)),
    ],
)
def test_what_cannot_be_is_the_users_mistake(machine, engine, options, installed):
    machine(installed)
    with pytest.raises(UserError, match="--"):
        choose_engine(engine, **({"device": "cpu"} | options))


@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "float32"),
        ({"amp": True}, "bfloat16"),
        ({"precision": "bfloat16"}, "bfloat16"),
        ({"precision": "float32"}, "float32"),
    ],
)
def test_networks_compute_in_float32_unless_half_is_asked_for(machine, engine, options, expected):
    machine()
    assert choose_engine(engine, "cpu", **options).precision == expected


def test_without_instructions_for_bfloat16_the_user_is_told_and_float32_is_taken(machine):
    machine(flags=frozenset({"sse4_1", "avx", "avx2"}))
    for options in ({"amp": True}, {"precision": "bfloat16"}):
        found = choose_engine("openvino", "cpu", **options)
        assert (found.precision, len(found.notices)) == ("float32", 1)
    assert not choose_engine("openvino", "cpu").notices


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_are_none(monkeypatch, tmp_path, hidden):
    monkeypatch.setattr(choice, "DRIVERS", (tmp_path,))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert choice.may_have_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert not choice.may_have_gpu()
