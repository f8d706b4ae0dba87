"""oneDNN, the library of fast convolutions on processors that comes with TensorFlow.

TensorFlow turns it on by itself only where a processor has AVX512_VNNI, AVX512_BF16 or AMX; without it a convolution on
the others takes three to four times as long. TensorFlow reads the choice when it is imported, so `enable` comes first.
"""

import os
from collections.abc import Set

SWITCH = "TF_ENABLE_ONEDNN_OPTS"
# Both names of the variable by which a user lowers what oneDNN makes use of; the first wins.
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")

# The instruction sets that oneDNN tells apart, lowest first, and the flags of /proc/cpuinfo that each adds. Source:
# oneDNN's documentation, "CPU Dispatcher Control".
_X86 = {
    "SSE41": {"sse4_1"},
    "AVX": {"avx"},
    "AVX2": {"avx2"},
    "AVX512_CORE": {"avx512f", "avx512bw", "avx512vl", "avx512dq"},
    "AVX512_CORE_VNNI": {"avx512_vnni"},
    "AVX512_CORE_BF16": {"avx512_bf16"},
    "AVX512_CORE_FP16": {"avx512_fp16"},
    "AVX512_CORE_AMX": {"amx_tile", "amx_int8", "amx_bf16"},
}
_SYNONYMS = {"AVX10_1_512": "AVX512_CORE_FP16", "AVX10_1_512_AMX": "AVX512_CORE_AMX"}
# Limits that lie between two of `_X86`: what remains of it.
_BETWEEN = {"AVX2_VNNI": "AVX2", "AVX2_VNNI_2": "AVX2"}
_X86_WITH_BFLOAT16 = ("AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX512_CORE_AMX")


def enable() -> None:
    """Turns oneDNN on for this process and those that it starts, unless the user has set TF_ENABLE_ONEDNN_OPTS."""
    if not os.environ.get(SWITCH):  # empty is unset to TensorFlow
        os.environ[SWITCH] = "1"


def is_enabled() -> bool:
    """Returns whether TensorFlow, imported here if it is not yet, computes with oneDNN."""
    try:
        from tensorflow.python.util import _pywrap_util_port
    except ImportError:  # a private module: without it the variable is all there is to know
        return os.environ.get(SWITCH, "0") == "1"
    return bool(_pywrap_util_port.IsMklEnabled())


def is_turned_off() -> bool:
    """Returns whether the user has turned oneDNN off."""
    return os.environ.get(SWITCH, "").lower() in ("0", "false")  # as TensorFlow reads it


def instruction_set(flags: Set[str]) -> str:
    """Returns the highest instruction set that oneDNN uses on a processor with these flags of /proc/cpuinfo.

    A limit that the user has set (ONEDNN_MAX_CPU_ISA) counts. "ARM" or "ARM_BF16" on an Arm processor, "unknown" where
    there are no flags to read.

    >>> instruction_set({"sse4_1", "avx", "avx2", "fma"})
    'AVX2'
    """
    if "asimd" in flags:
        return "ARM_BF16" if "bf16" in flags else "ARM"
    found = "unknown"
    for name, added in _X86.items():
        if not added <= flags:
            break
        found = name
        if name == _limit():
            break
    return found


def has_bfloat16(flags: Set[str]) -> bool:
    """Returns whether oneDNN computes bfloat16 by instructions on a processor with these flags of /proc/cpuinfo.

    AVX-512 without them is not enough: oneDNN then emulates them, and a training step takes two to four times as long
    as in float32 (`scripts/benchmarks/step.py` under ONEDNN_MAX_CPU_ISA=AVX512_CORE).
    """
    return instruction_set(flags) in (*_X86_WITH_BFLOAT16, "ARM_BF16")


def _limit() -> str:
    name = next((os.environ[variable].upper() for variable in LIMITS if os.environ.get(variable)), "")
    return _BETWEEN.get(name, _SYNONYMS.get(name, name))
