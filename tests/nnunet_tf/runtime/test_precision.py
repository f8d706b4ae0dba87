import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.runtime.precision import choose_precision

FAST = frozenset(["sse4_1", "avx", "avx2", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni", "avx512_bf16"])
SLOW = frozenset(["sse4_1", "avx", "avx2"])

# amp, GPU, flags, oneDNN on, precision of the run that is resumed: the precision, and whether the user is told.
CHOICES = [
    (False, False, FAST, True, None, "float32", False),
    (False, True, SLOW, True, None, "float32", False),
    (True, True, SLOW, False, None, "mixed_float16", False),
    (True, False, FAST, True, None, "mixed_bfloat16", False),
    (True, False, FAST, False, None, "float32", True),
    (True, False, SLOW, True, None, "float32", True),
    (True, False, FAST, True, "float32", "float32", False),
    (True, False, FAST, True, "mixed_bfloat16", "mixed_bfloat16", False),
    (True, False, SLOW, True, "mixed_bfloat16", "float32", True),
    (True, False, SLOW, True, "float32", "float32", False),
    (True, True, SLOW, True, "mixed_bfloat16", "mixed_bfloat16", False),
    (True, True, SLOW, True, "mixed_float16", "mixed_float16", False),
]


@pytest.fixture(autouse=True)
def _no_limit(monkeypatch):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)


@pytest.mark.parametrize(("amp", "gpu", "flags", "enabled", "earlier", "expected", "told"), CHOICES)
def test_mixed_precision_is_used_where_it_is_faster(amp, gpu, flags, enabled, earlier, expected, told):
    choice = choose_precision(amp, gpu, flags, enabled, earlier)
    assert choice.precision == expected
    assert (choice.notice is not None) == told


def test_a_run_in_float16_is_not_resumed_without_a_gpu():
    with pytest.raises(UserError):
        choose_precision(True, False, FAST, True, "mixed_float16")
