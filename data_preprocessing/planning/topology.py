"""The shape of a U-Net, from a patch size and a spacing."""

from collections.abc import Sequence

from data_preprocessing.common.task import StatedTopology

MAX_DOWNSAMPLINGS = 5
SMALLEST_SPLIT = 8  # an axis shorter than this is not halved
ANISOTROPY = 2.0  # an axis this much coarser than the finest waits until the others have caught up
MAX_FEATURES = {2: 512, 3: 320}
PLAIN_CONVOLUTIONS = 2  # a stage, in the encoder and the decoder
# Of the residual encoder, the last for all deeper stages; its decoder has one convolution a stage. The presets M, L and
# XL of nnU-Net share them: they differ in the memory that patch and batch are planned for.
RESIDUAL_BLOCKS = (1, 3, 4, 6)
RESIDUAL_DECODER_CONVOLUTIONS = 1


class Topology(StatedTopology):
    """The stages of a U-Net as a plan has them; axes in network order."""

    @property
    def downsampling(self) -> list[int]:
        """By how much each axis has shrunk at the bottleneck."""
        factors = [1] * len(self.strides[0])
        for stride in self.strides:
            factors = [factor * step for factor, step in zip(factors, stride, strict=True)]
        return factors


def plan_topology(
    patch_size: Sequence[int], spacing: Sequence[float], features: Sequence[int] | None = None
) -> Topology:
    """Returns the topology for a fixed patch (voxels) and spacing (mm), both in network axis order.

    An axis is halved while it has at least 8 voxels and its spacing is at most twice the finest; its kernel is 3 under
    the same condition on spacing, else 1. Ends when no axis is halved or after five downsamplings; the bottleneck's
    kernel is all 3. Source: NVIDIA's nnU-Net for TensorFlow 2 (fixed-patch rule). `features` a stage default to 32,
    doubling, at most 320 in 3D and 512 in 2D; a shorter list than there are stages repeats its last entry.
    """
    dim = len(patch_size)
    sizes, spacings = list(patch_size), list(spacing)
    strides = [(1,) * dim]
    kernels: list[tuple[int, ...]] = []
    while len(strides) <= MAX_DOWNSAMPLINGS:
        near_finest = [mm / min(spacings) <= ANISOTROPY for mm in spacings]
        stride = tuple(
            2 if near and size >= SMALLEST_SPLIT else 1 for near, size in zip(near_finest, sizes, strict=True)
        )
        if all(step == 1 for step in stride):
            break
        kernels.append(tuple(3 if near else 1 for near in near_finest))
        strides.append(stride)
        sizes = [size // step for size, step in zip(sizes, stride, strict=True)]
        spacings = [mm * step for mm, step in zip(spacings, stride, strict=True)]
    kernels.append((3,) * dim)
    stages = len(strides)
    chosen = list(features) if features else [min(32 * 2**stage, MAX_FEATURES[dim]) for stage in range(stages)]
    chosen = (chosen + [chosen[-1]] * stages)[:stages]
    return Topology(strides=tuple(strides), kernels=tuple(kernels), features=tuple(chosen))
