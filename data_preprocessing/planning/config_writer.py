"""A planned config as a YAML file that says of every line where it came from."""

from pathlib import Path

import numpy as np
import yaml

from data_preprocessing.common.defaults import AXES
from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import write_text
from data_preprocessing.common.script import other_command
from data_preprocessing.common.text import counted
from data_preprocessing.planning.fingerprint_rules import (
    FINE_PERCENTILE,
    MASK_SHARE,
    left_right_pair,
    median_box_share,
    normalization_name,
    slice_axis,
)
from data_preprocessing.planning.network_planner import NetworkPlan
from data_preprocessing.planning.planner import LOW_RESOLUTION_SHARE, PlannedConfig
from data_preprocessing.planning.planner_presets import SMALLEST_BATCH
from data_preprocessing.planning.topology import MAX_FEATURES


def write_config(path: Path, planned: PlannedConfig) -> None:
    """Writes a planned config as YAML with a comment on each line, atomically; `load_task` reads it back.

    Raises UserError as `refuse_existing` does.
    """
    refuse_existing(path)
    write_text(path, render_config(planned))


def refuse_existing(path: Path) -> None:
    """Raises UserError where `path` exists: a config may have been changed by hand, or be one of the fixed ones."""
    if path.exists():
        raise UserError(
            f"{path}: exists already, and planning overwrites nothing; go on with it, or remove it and plan again"
        )


def render_config(planned: PlannedConfig) -> str:
    """Returns the YAML text of a planned config: remarks and commands, then each field with its origin."""
    lines = [f"# {_one_line(remark)}" for remark in remarks(planned)]
    task = planned.config.task
    own = " ".join([_command("train", task), *planned.training_options])
    lines += [f"#     {command}" for command in (_command("preprocess", task), own, _command("predict", task))]
    lines += ["# Known result: none, this config was never run."]
    content = planned.config.model_dump(mode="json")
    every_origin = origins(planned)
    for key, origin in every_origin.items():
        parent, _, name = key.rpartition(".")
        has_children = any(other.startswith(f"{key}.") for other in every_origin)
        value = "" if has_children else " " + _flow(content[parent][name] if parent else content[name])
        lines.append(f"{'  ' if parent else ''}{name}:{value} # {_one_line(origin)}")
    return "\n".join(lines) + "\n"


def remarks(planned: PlannedConfig) -> list[str]:
    """Returns the sentences at the head of the file: what was planned from what, and what was left out."""
    fingerprint = planned.fingerprint
    sentences = [
        f"{planned.config.dataset}, planned by the method of nnU-Net v2 (Isensee et al., Nature Methods 2021) from "
        f"{counted(len(fingerprint.cases), 'case')}, channels {', '.join(fingerprint.channels)}, "
        f"for {planned.gpu_memory_gb:g} GB of GPU memory."
    ]
    if planned.encoder == "residual":
        sentences.append(
            f"Patch and batch are sized for the residual encoder by the preset {planned.network_2d.preset.name}: "
            "train with --encoder residual."
        )
    if planned.network_3d is None:
        sentences.append("The cases are single slices: there is a 2D network only.")
    if planned.low_resolution_share is not None:
        sentences.append(
            f"The 3D patch holds {planned.low_resolution_share:.2g} of the median volume, under "
            f"{LOW_RESOLUTION_SHARE:g}: nnU-Net would add a low-resolution stage (cascade), which is not planned here."
        )
    return sentences


def origins(planned: PlannedConfig) -> dict[str, str]:
    """Returns where each field of the config came from, in the order of the file (`ct`, or `training.batch_size_3d`).

    A field that is not named has its default.
    """
    in_plane = ", ".join(AXES[axis] for axis in planned.axis_order[1:])
    methods = {channel: normalization_name(channel) for channel in planned.fingerprint.channels}
    return {
        "task": "its number",
        "dataset": "its folder under --data",
        "spacing_3d": f"mm (z, y, x); {_spacing_origin(planned)}",
        **_network_origins(planned, 3, planned.network_3d),
        "spacing_2d": f"mm ({in_plane}); rule: spacing_3d in plane",
        **_network_origins(planned, 2, planned.network_2d),
        "normalization": f"rule: by modality ({', '.join(f'{channel}: {name}' for channel, name in methods.items())})",
        "ct": _ct_origin(list(methods.values())),
        "nonzero_mask": f"fingerprint: median of cropped / full voxels is {median_box_share(planned.fingerprint):.3g}; "
        f"rule: true where that is under {MASK_SHARE:g} and a channel is z-scored",
        **({"regions": "dataset.json; of several, the value of the last is written"} if planned.config.regions else {}),
        "training": "what is not named is at its default",
        "training.batch_size_2d": _batch_origin(planned, planned.network_2d),
        **({"training.batch_size_3d": _batch_origin(planned, planned.network_3d)} if planned.network_3d else {}),
        **_mirror_origin(planned),
    }


def _spacing_origin(planned: PlannedConfig) -> str:
    cases = planned.fingerprint.cases
    coarsest = planned.axis_order[0]
    spacing = planned.config.spacing_3d or ()
    text = f"fingerprint: median of {counted(len(cases), 'case')}"
    if slice_axis(planned.fingerprint) is not None:
        return f"{text}; rule: along {AXES[coarsest]}, across the slices, the coarsest"
    if spacing[coarsest] < float(np.median([case.spacing[coarsest] for case in cases])) * (1 - 1e-6):
        text += f"; rule: along {AXES[coarsest]}, the coarsest by far, percentile {FINE_PERCENTILE}"
    return text


def _network_origins(planned: PlannedConfig, dim: int, network: NetworkPlan | None) -> dict[str, str]:
    if network is None:
        return {f"patch_size_{dim}d": "single slices: no 3D network"}
    axes = planned.axis_order[3 - dim :]
    by_axis = sorted(zip(axes, network.median_shape, network.start_patch, strict=True))
    median, start = ([sizes[index] for sizes in by_axis] for index in (1, 2))
    patch = f"rule: proportional to 1 / spacing, up to the median size {_times(median)}, padded to halve evenly"
    if network.patch_size != network.start_patch:
        patch += f"; memory budget: shrunk from {_times(start)}"
    return {
        f"patch_size_{dim}d": f"voxels ({', '.join(AXES[axis] for axis in sorted(axes))}); {patch}",
        f"topology_{dim}d": f"rule: from patch and spacing, {len(network.topology.strides)} stages",
        f"topology_{dim}d.strides": "rule: halve an axis from 8 voxels on (alone: 12) while under twice the finest",
        f"topology_{dim}d.kernels": "rule: 1 on an axis until it is under twice the finest; 3 in the last stage",
        f"topology_{dim}d.features": f"rule: 32, doubling, at most {MAX_FEATURES[dim]}",
    }


def _ct_origin(methods: list[str]) -> str:
    match methods.count("ct"):
        case 0:
            return "no channel is CT"
        case 1:
            return "fingerprint: percentiles 0.5 and 99.5, mean and deviation of foreground voxels"
        case _:
            return "several channels are CT: each one's own numbers are collected when preprocessing"


def _batch_origin(planned: PlannedConfig, network: NetworkPlan) -> str:
    return (
        f"memory budget: {planned.gpu_memory_gb:g} GB hold {network.memory_batch}; "
        f"rule: {network.preset.dataset_share:.0%} of the "
        f"data set's voxels are {network.dataset_batch}; the smaller, at least {SMALLEST_BATCH}"
    )


def _mirror_origin(planned: PlannedConfig) -> dict[str, str]:
    pair = left_right_pair(planned.class_names)
    if pair is None:
        return {}
    return {"training.mirror_axes": f"rule: not along x, as {pair[0]} and {pair[1]} are told apart"}


def _command(script: str, task: str) -> str:
    return " ".join([*other_command(script), "--task", task])


def _times(sizes: list[float]) -> str:
    return "x".join(f"{size:g}" for size in sizes)


def _flow(value: object) -> str:
    """A value on one line, as YAML."""
    text: str = yaml.safe_dump([_shortened(value)], default_flow_style=True, width=float("inf"), sort_keys=False)
    return text.strip().removeprefix("[").removesuffix("]")


def _shortened(value: object) -> object:
    """`value` with 1.0 as 1: shorter to read, the same once loaded."""
    if isinstance(value, dict):
        return {key: _shortened(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shortened(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _one_line(text: str) -> str:
    """A comment ends at the end of its line, whatever a data set calls its channels."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
