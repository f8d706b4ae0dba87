"""The precision that networks compute in: Keras' policy by device, instructions and what the user asks for."""

from collections.abc import Set
from dataclasses import dataclass
from typing import Literal

from data_preprocessing.common.errors import UserError
from nnunet_tf.runtime import onednn

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


@dataclass(frozen=True)
class PrecisionChoice:
    """A precision, and a line for the user where it is not the one that was asked for."""

    precision: Precision
    notice: str | None = None


def choose_precision(
    amp: bool, gpu: bool, flags: Set[str], onednn_enabled: bool, earlier: Precision | None = None
) -> PrecisionChoice:
    """Returns the precision to compute in; `amp` asks for mixed precision.

    On a GPU that is float16. On a processor it is bfloat16 where there are instructions for it, by the `flags` of
    /proc/cpuinfo, and oneDNN, which uses them, is on; elsewhere float32, which is faster there. `earlier` is the
    precision of a run that is resumed, kept where this machine can. Raises UserError where it cannot: float16 needs a
    GPU, as its checkpoint holds the loss scale.
    """
    fast = onednn_enabled and onednn.has_bfloat16(flags)
    if not amp or gpu:
        return PrecisionChoice(earlier or ("mixed_float16" if amp else "float32"))
    if earlier == "mixed_float16":
        raise UserError("--resume: the run computes in float16, which needs a GPU; resume it on one, or start over")
    if earlier == "float32":
        return PrecisionChoice("float32")
    if fast:
        return PrecisionChoice("mixed_bfloat16")
    lack = "this processor has no bfloat16 instructions" if onednn_enabled else "oneDNN is off, which bfloat16 needs"
    if earlier == "mixed_bfloat16":
        return PrecisionChoice("float32", f"--resume: the run computed in bfloat16, but {lack}; it goes on in float32")
    return PrecisionChoice("float32", f"--amp: {lack}; computing in float32, which is faster here")
