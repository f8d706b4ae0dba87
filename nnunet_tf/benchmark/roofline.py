"""How fast a step could be: its work against the machine's rates."""

from collections.abc import Iterable
from typing import get_args

from nnunet_tf.benchmark.operations import Kind, Work
from nnunet_tf.benchmark.rates import Rates
from nnunet_tf.benchmark.report import Part, Roofline


def make_roofline(work: Iterable[Work], rates: Rates, seconds: float) -> Roofline:
    """Returns the roofline of a step that takes `seconds`.

    The least time of a pass is that of its operations, at the higher of the two measured rates, or that of its bytes,
    whichever is longer (Williams, Waterman and Patterson, Roofline, 2009); passes follow one another. Layers that stay
    in a cache may take less.
    """
    passes = list(work)
    parts = [_part(kind, [each for each in passes if each.kind == kind], rates) for kind in get_args(Kind)]
    bound = sum(part.bound_seconds for part in parts)
    return Roofline(
        parts=tuple(part for part in parts if part.bytes),
        matrix_rate=rates.matrix,
        convolution_rate=rates.convolution,
        bandwidth=rates.bandwidth,
        share=bound / seconds,
    )


def _part(kind: Kind, passes: list[Work], rates: Rates) -> Part:
    peak = max(rates.matrix, rates.convolution)
    return Part(
        kind=kind,
        flops=sum(each.flops for each in passes),
        bytes=sum(each.bytes for each in passes),
        bound_seconds=sum(max(each.flops / peak, each.bytes / rates.bandwidth) for each in passes),
    )
