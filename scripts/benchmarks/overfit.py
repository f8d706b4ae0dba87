"""A network trained on one CT alone must give its labels back, on another grid and in another orientation:
python -m scripts.benchmarks.overfit CT LABELS [--folder DIR] [--epochs N]

Trains on the scan as it is, predicts a copy of it resampled to 1.5 mm and stored as LPS, and scores that against the
labels brought to the same grid: each class resampled linearly, the largest wins.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from scripts.benchmarks.machine import print_machine

ROOT = Path(__file__).resolve().parents[2]
SPACING_MM = 1.5
SMALLEST_ML = 5.0
CONFIG = """
task: "94"
dataset: Task94_CT
patch_size_3d: [32, 96, 112]
spacing_3d: [3, 3, 3]
patch_size_2d: [96, 112]
spacing_2d: [3, 3]
features: [16, 32, 64, 128]
training: {steps_per_epoch: 50, learning_rate: 3.0e-3, batch_size_3d: 1}
"""


def main() -> None:
    """Prints the Dice of every structure above 5 ml, and how many of them are over 0.9."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("scan", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--folder", type=Path, help="where to write; else a temporary folder")
    parser.add_argument("--epochs", type=int, default=24, help="of 50 steps")
    options = parser.parse_args()
    print_machine()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="overfit_"))
    write_dataset(folder / "data" / "Task94_CT", options.scan, options.labels)
    copy, truth = folder / "copy", folder / "truth"
    write_lps(resampled(sitk.ReadImage(options.scan), sitk.sitkBSpline), copy / "ct.nii.gz")
    write_lps(resampled_labels(sitk.ReadImage(options.labels)), truth / "ct.nii.gz")
    config = folder / "task94.yaml"
    config.write_text(CONFIG)
    start = time.monotonic()
    places = ["--task", config, "--nfolds", 2, "--shards", folder / "shards"]
    run("preprocess.py", *places, "--data", folder / "data")
    length = ["--epochs", options.epochs, "--fold", "all", "--augmentation", "none"]
    run("train.py", *places, "--results", folder / "results", "--overwrite", "--amp", "--deep-supervision", *length)
    print(f"trained in {(time.monotonic() - start) / 60:.1f} minutes")
    model, output = folder / "results" / "task94_3d" / "fold_all", folder / "predictions"
    run("predict.py", "--model", model, "--input", copy, "--output", output)
    scores = folder / "scores.json"
    run("evaluate.py", "--predictions", output, "--labels", truth, "--json", scores)
    report(json.loads(scores.read_text())["cases"]["ct"], truth / "ct.nii.gz")


def write_dataset(folder: Path, scan: Path, labels: Path) -> None:
    """Writes a Decathlon folder of one labelled scan, twice: the least that two folds can be made of."""
    training = []
    for name in ("ct_1.nii.gz", "ct_2.nii.gz"):
        for path, kind in ((scan, "imagesTr"), (labels, "labelsTr")):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / kind / name)
        training.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    numbers = np.unique(sitk.GetArrayFromImage(sitk.ReadImage(labels))).tolist()
    names = {str(number): f"label {number}" if number else "background" for number in numbers}
    description = {"modality": {"0": "CT"}, "labels": names, "training": training, "numTraining": 2, "test": []}
    (folder / "dataset.json").write_text(json.dumps(description))


def resampled(image: sitk.Image, interpolator: int) -> sitk.Image:
    """Returns `image` at 1.5 mm; the grids fill the same box, and the border is extended."""
    size = [round(count * step / SPACING_MM) for count, step in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    direction = np.array(image.GetDirection()).reshape(3, 3)
    shift = direction @ [(SPACING_MM - step) / 2 for step in image.GetSpacing()]
    origin = (np.array(image.GetOrigin()) + shift).tolist()
    place = (origin, [SPACING_MM] * 3, image.GetDirection())
    return sitk.Resample(image, size, sitk.Transform(), interpolator, *place, 0, image.GetPixelID(), True)


def resampled_labels(image: sitk.Image) -> sitk.Image:
    """Returns the number, for each voxel at 1.5 mm, of the class whose linearly resampled mask is largest there."""
    numbers = np.unique(sitk.GetArrayFromImage(image)).tolist()
    masks = (resampled(sitk.Cast(image == number, sitk.sitkFloat32), sitk.sitkLinear) for number in numbers)
    labels = best = None
    for number, mask in zip(numbers, masks, strict=True):
        share = sitk.GetArrayFromImage(mask)
        if labels is None or best is None:
            labels, best, grid = np.full(share.shape, number, np.uint8), share, mask
            continue
        labels[share > best] = number
        best = np.maximum(best, share)
    result = sitk.GetImageFromArray(labels)
    result.CopyInformation(grid)
    return result


def write_lps(image: sitk.Image, target: Path) -> None:
    """Writes `image` with its axes turned to left, posterior, superior."""
    target.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.DICOMOrient(image, "LPS"), target)


def report(dice: dict[str, float | None], truth: Path) -> None:
    """Prints the structures above 5 ml."""
    image = sitk.ReadImage(truth)
    voxel_ml = float(np.prod(image.GetSpacing())) / 1000
    numbers, counts = np.unique(sitk.GetArrayFromImage(image), return_counts=True)
    large = {f"label {number}": count * voxel_ml for number, count in zip(numbers, counts, strict=True) if number}
    rows = sorted((dice[name] or 0.0, name, volume) for name, volume in large.items() if volume > SMALLEST_ML)
    for score, name, volume in rows:
        print(f"{name:>9}: {volume:7.1f} ml   Dice {score:.3f}")
    good = sum(score > 0.9 for score, _, _ in rows)
    print(f"{good} of {len(rows)} structures above {SMALLEST_ML:g} ml have Dice over 0.9")


def run(*words: object) -> None:
    """Runs a command of the project; ends the benchmark where it fails."""
    if subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, check=False).returncode:
        sys.exit(f"{words[0]} failed")


if __name__ == "__main__":
    main()
