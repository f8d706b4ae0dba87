"""Steps of augmentation that move voxels, of image and label alike, as DALI operators for CPU and GPU.

A patch that does not draw a step is not computed again (conditional execution).
"""

from nvidia.dali import fn, types
from nvidia.dali.data_node import DataNode


def warp(
    image: DataNode, label: DataNode, warped: DataNode, matrix: DataNode, patch: tuple[int, ...]
) -> tuple[DataNode, DataNode]:
    """Returns image and label resampled to size `patch` by `matrix`, linear and nearest, where `warped` is true.

    What lies outside the region is 0; where `warped` is false, the region must be the patch.
    """
    if warped:
        image = fn.warp_affine(image, matrix=matrix, size=patch, interp_type=types.INTERP_LINEAR, fill_value=0)
        label = fn.warp_affine(label, matrix=matrix, size=patch, interp_type=types.INTERP_NN, fill_value=0)
    return image, label


def rearrange(image: DataNode, order: DataNode, lengths: DataNode) -> DataNode:
    """Returns an image of which the voxels along each axis are those that `order` names, some of them several times.

    For 2D images, on the CPU: `order` `(3, longest)` and `lengths` `(3,)` are those of z, y and x, of which z counts
    for nothing; only `lengths` entries of `order` count.
    """
    for axis in (1, 2):
        places = fn.slice(order[axis], 0, lengths[axis], axes=[0])
        image = fn.sequence_rearrange(fn.reshape(image, layout="FWC"), new_order=places)
        image = fn.transpose(image, perm=[1, 0, 2], transpose_layout=False)
    return fn.reshape(image, layout="HWC")


def mirror(image: DataNode, label: DataNode, axes: DataNode, spatial_axes: int) -> tuple[DataNode, DataNode]:
    """Returns image and label mirrored along those of the `spatial_axes` last axes for which `axes` holds a 1."""
    if fn.reductions.max(axes) > 0:
        directions = ("depthwise", "vertical", "horizontal")[-spatial_axes:]
        flips = {name: axes[index] for index, name in enumerate(directions)}
        image, label = fn.flip(image, **flips), fn.flip(label, **flips)
    return image, label
