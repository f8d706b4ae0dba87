"""Tell from the records of shards what training cases have, so that a model can flag what lies outside."""

import math
from collections.abc import Sequence
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import read_model
from data_preprocessing.planning.plan import Plan
from data_preprocessing.shards.format import CaseRecord, record_path
from nnunet_tf.answers.flags import Ranges, StructureRange, extremes, spacing_range

CUBIC_MM_PER_ML = 1000


def ranges_of_shards(shards: Path, cases: Sequence[str], plan: Plan) -> Ranges | None:
    """Returns volumes and spacings of the training `cases`, None where a case has no record.

    Volumes are those of the resampled labels. Of pictures there are pixels instead. No array is read.
    """
    try:
        records = [read_model(record_path(shards, case), CaseRecord, "run preprocess.py again") for case in cases]
    except UserError:
        return None
    in_pixels = any(record.of_picture for record in records)
    members = {region.name: region.classes for region in plan.regions} or {
        name: (index,) for index, name in enumerate(plan.classes) if index
    }
    structures = {}
    for name, classes in members.items():
        found = [(record, sum(record.class_voxels[index] for index in classes)) for record in records]
        there = [(record, voxels) for record, voxels in found if voxels]
        if there:
            volumes = [voxels * _voxel_ml(record, plan) for record, voxels in there]
            structures[name] = StructureRange(
                cases=len(there),
                volume_ml=None if in_pixels else extremes(volumes),
                voxels=extremes([voxels for _, voxels in there]) if in_pixels else None,
            )
    spacing = None if in_pixels or not records else spacing_range([record.spacing for record in records])
    return Ranges(cases=len(records), spacing=spacing, structures=structures)


def _voxel_ml(record: CaseRecord, plan: Plan) -> float:
    """Of a voxel of the shard; a 2D plan keeps the slices of the file."""
    spacing = plan.spacing if plan.dim == 3 else (record.spacing[0], *plan.spacing)
    return math.prod(spacing) / CUBIC_MM_PER_ML
