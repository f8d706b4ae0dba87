import os
import subprocess
import sys

import pytest

from nnunet_tf.runtime.onednn import LIMITS, SWITCH, enable, has_bfloat16, instruction_set, is_turned_off
from nnunet_tf.runtime.processor import parse_cpuinfo

AVX2 = "fpu sse4_1 sse4_2 avx f16c fma bmi1 avx2 bmi2"
AVX512 = f"{AVX2} avx512f avx512dq avx512cd avx512bw avx512vl"
VNNI = f"{AVX512} avx512_vnni avx512ifma avx512vbmi"
BF16 = f"{VNNI} avx512_bf16"
# The flags of /proc/cpuinfo that decide, of kinds of machine that people have, and what oneDNN makes of them.
MACHINES = [
    ("AMD Zen 3, Intel Haswell", AVX2, "AVX2", False),
    ("Intel Alder Lake", f"{AVX2} avx_vnni", "AVX2", False),
    ("Intel Skylake-SP", AVX512, "AVX512_CORE", False),
    ("Intel Ice Lake", VNNI, "AVX512_CORE_VNNI", False),
    ("AMD Zen 4 and 5, Intel Cooper Lake", BF16, "AVX512_CORE_BF16", True),
    ("Intel Sapphire Rapids", f"{BF16} avx512_fp16 amx_bf16 amx_tile amx_int8", "AVX512_CORE_AMX", True),
    ("the same, AMX kept from a virtual machine", f"{BF16} avx512_fp16", "AVX512_CORE_FP16", True),
    ("AWS Graviton 2", "fp asimd evtstrm aes atomics fphp asimdhp cpuid asimdrdm", "ARM", False),
    ("AWS Graviton 3", "fp asimd aes atomics asimdhp sve svebf16 i8mm bf16", "ARM_BF16", True),
    ("a system that does not tell", "", "unknown", False),
]
# What the user may set to lower that, and what remains of the largest of them.
LOWERED = [
    ("AVX2", "AVX2", False),
    ("avx2_vnni_2", "AVX2", False),
    ("AVX512_CORE", "AVX512_CORE", False),
    ("AVX512_CORE_VNNI", "AVX512_CORE_VNNI", False),
    ("AVX512_CORE_BF16", "AVX512_CORE_BF16", True),
    ("AVX10_1_512", "AVX512_CORE_FP16", True),
    ("AVX10_1_512_AMX", "AVX512_CORE_AMX", True),
    ("ALL", "AVX512_CORE_AMX", True),
]


@pytest.fixture(autouse=True)
def _no_limit(monkeypatch):
    for variable in LIMITS:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(("flags", "expected", "fast"), [row[1:] for row in MACHINES], ids=[row[0] for row in MACHINES])
def test_the_flags_of_a_processor_say_what_onednn_uses(flags, expected, fast):
    processor = parse_cpuinfo(f"processor : 0\nflags : {flags}\n\nprocessor : 1\nflags : {flags}\n")
    assert (instruction_set(processor.flags), has_bfloat16(processor.flags)) == (expected, fast)


@pytest.mark.parametrize("variable", LIMITS)
@pytest.mark.parametrize(("limit", "expected", "fast"), LOWERED)
def test_what_the_user_keeps_from_onednn_does_not_count(monkeypatch, variable, limit, expected, fast):
    monkeypatch.setenv(variable, limit)
    flags = set(f"{BF16} avx512_fp16 amx_bf16 amx_tile amx_int8".split())
    assert (instruction_set(flags), has_bfloat16(flags)) == (expected, fast)


def python(code):
    """What a new process prints, without the variables of this one."""
    script = f"import os\nfor name in ('TF_ENABLE_ONEDNN_OPTS', 'OMP_NUM_THREADS'): os.environ.pop(name, None)\n{code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.slow
def test_importing_the_package_turns_it_on_and_a_choice_of_the_user_wins():
    ask = "print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    assert python(f"import nnunet_tf\n{ask}") == "1"
    assert python(f"os.environ['TF_ENABLE_ONEDNN_OPTS'] = '0'\nimport nnunet_tf\n{ask}") == "0"


@pytest.mark.parametrize(
    ("stated", "kept", "off"),
    [("", "1", False), ("1", "1", False), ("True", "True", False), ("0", "0", True), ("False", "False", True)],
)
def test_the_choice_of_the_user_is_read_as_tensorflow_reads_it(monkeypatch, stated, kept, off):
    monkeypatch.setenv(SWITCH, stated)
    enable()
    assert (os.environ[SWITCH], is_turned_off()) == (kept, off)


START = "from nnunet_tf.runtime.device import start_tensorflow\nprint(start_tensorflow('cpu', amp=False).notices)"
WITHOUT = "os.environ['TF_ENABLE_ONEDNN_OPTS'] = '0'\nimport tensorflow\n"


@pytest.mark.slow
def test_tensorflow_that_was_imported_before_without_it_is_noticed_unless_the_user_wants_it_off():
    said = python(f"{WITHOUT}{START}\ndel os.environ['TF_ENABLE_ONEDNN_OPTS']\n{START}").splitlines()
    assert said[0] == "()"
    assert "oneDNN" in said[1]
