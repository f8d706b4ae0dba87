"""What comes before and after an exported network, in words and numbers, and its model card."""

from collections.abc import Sequence

from data_preprocessing.planning.plan import Plan
from data_preprocessing.transforms.resample import ANISOTROPY
from nnunet_tf.choices import ExportFormat
from nnunet_tf.evaluation.summaries.validation_scores import read_validation
from nnunet_tf.inference.models.folder import VALIDATION_NAME, ModelFiles
from nnunet_tf.inference.postprocessing.settings import Postprocessing
from nnunet_tf.inference.windows.sliding_window import SIGMA_SHARE, WindowOptions
from nnunet_tf.version import VERSION

STEPS_BEFORE = (
    "Bring the scan to RAS+ by flips and transpositions alone: an array (z, y, x, channel), float32.",
    "Transpose its axes into axis_order: (D, H, W, channel).",
    "Crop to the box of all voxels with any channel nonzero; the whole scan where there is none.",
    "Normalize each channel. With nonzero_mask z_score takes mean and standard deviation of the voxels with any "
    "channel nonzero, holes filled (6-connected), and leaves 0 outside. ct: clip to low and high, subtract mean, "
    "divide by std.",
    "Resample to spacing (mm; of a 2D network in plane only): shape = round(shape * before / after), cubic spline, "
    "half-pixel centers, edges extended, clipped to the channel's own range. Where the largest voxel side is over "
    "anisotropy times the smallest, before or else after, and is one alone, that axis takes the nearest plane.",
    "Cut windows of patch_size, evenly spread, the first at 0, the last flush with the end, a share of overlap between "
    "neighbors; a scan smaller than the patch lies in its middle, 0 around it. Where input_size is larger, the network "
    "sees so much around the patch, mirrored beyond the scan.",
)
STEPS_AFTER = (
    "Average the logits of all networks, window by window.",
    "Average overlapping windows, weighted by a Gaussian in the middle of the window whose standard deviation is "
    "sigma_share of each side.",
    "Resample the logits to the cropped scan: linear, nearest where the image was.",
    "Decide: of classes the first with the highest logit; of regions the last with a logit over 0, else none.",
    "Write numbers[decision]; for regions numbers[0] is the background. Outside the box all is numbers[0].",
    "Keep the largest component (26-connected) of all that is not background where keep_largest_foreground says so, "
    "then of each number in keep_largest.",
    "Transpose the axes back and undo the flips.",
)


def preprocessing(files: ModelFiles) -> dict[str, object]:
    """Returns the content of `preprocessing.json`."""
    plan, options = files.plan, WindowOptions()
    return {
        "format": 1,
        "steps": STEPS_BEFORE,
        "dim": plan.dim,
        "channels": plan.channels,
        "axis_order": plan.axis_order,
        "nonzero_mask": plan.nonzero_mask,
        "normalization": [each.model_dump(exclude_none=True) for each in plan.normalization],
        "spacing": plan.spacing,
        "anisotropy": ANISOTROPY,
        "patch_size": plan.patch_size,
        "input_size": files.network.input_size(plan.patch_size),
        "overlap": options.overlap,
        "sigma_share": SIGMA_SHARE,
    }


def postprocessing(
    files: ModelFiles, chosen: Postprocessing | None, networks: Sequence[str], layout: str
) -> dict[str, object]:
    """Returns the content of `postprocessing.json`; `networks` are the files beside it, of axes named by `layout`."""
    plan, chosen = files.plan, chosen or Postprocessing()
    return {
        "format": 1,
        "steps": STEPS_AFTER,
        "networks": networks,
        "layout": layout,
        "outputs": plan.outputs,
        "names": [region.name for region in plan.regions] or plan.classes,
        "regions": bool(plan.regions),
        "numbers": [0, *(region.value for region in plan.regions)] if plan.regions else plan.label_values,
        "keep_largest_foreground": chosen.keep_largest_foreground,
        "keep_largest": chosen.keep_largest,
        "flips_learned": files.network.mirror_axes,
    }


def model_card(files: Sequence[ModelFiles], kind: ExportFormat, networks: Sequence[str]) -> str:
    """Returns the text of `README.md`."""
    first = files[0]
    plan, settings = first.plan, first.network
    return f"""# {plan.dataset}, {plan.dim}D

Segmentation network exported by nnunet-tf {VERSION} as {kind}: {", ".join(networks)}.

## Use
- Input: scans of {" + ".join(plan.channels)}, prepared as `preprocessing.json` says.
- Output: {", ".join(f"{number} {name}" for number, name in _labels(plan))}, as `postprocessing.json` says.
- `python example.py scan.npy labels.npy 1.0 1.0 1.0` does both (its first lines say what to give).
- Intended for research on scans like those it was trained on. It is no medical device; have results checked.

## Training
- Data: {plan.dataset} (task {plan.task}). License of data and weights: not stated here; that of the data set applies.
- Network: {settings.network}, {settings.encoder} encoder, {settings.norm} normalization,
  patch {_by(plan.patch_size)} voxels of {_by(plan.spacing)} mm, {len(files)} network(s) whose logits are averaged.

## Scores
{_scores(files)}
"""


def _labels(plan: Plan) -> list[tuple[int, str]]:
    if plan.regions:
        return [(0, "background"), *((region.value, region.name) for region in plan.regions)]
    return list(zip(plan.label_values, plan.classes, strict=True))


def _scores(files: Sequence[ModelFiles]) -> str:
    lines = []
    for each in files:
        if (each.folder / VALIDATION_NAME).is_file():
            summary = read_validation(each.folder, "copy the model again, or remove the file")
            classes = ", ".join(f"{score.name} {_number(score.mean_dice)}" for score in summary.classes)
            mean = _number(summary.mean_dice)
            lines.append(f"- {each.folder.name}: mean Dice {mean} on {len(summary.cases)} validation cases ({classes})")
    return "\n".join(lines) or "Not kept with the model."


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _by(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)
