"""The whole job on built-in data: phantom scans in, a trained network and scored segmentations out.

Everything is written below `demo/`; run it again and it starts over.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from data_preprocessing.dataset.dataset import read_labels  # noqa: E402
from data_preprocessing.images.volume_io import load_label, read_image  # noqa: E402
from nnunet_tf.commands.start import run  # noqa: E402
from nnunet_tf.evaluation.reports.overlay import save_overlay  # noqa: E402

DATASET = "Task00_Phantom"


def main() -> None:
    """Runs the commands one after another, as a user would type them, and draws one of the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "demo", help="where to write")
    parser.add_argument("--cases", type=int, default=24, help="phantom scans; a quarter of them are test cases")
    parser.add_argument("--training-options", default="", help='more options for train.py, such as "--epochs 2"')
    options = parser.parse_args()
    start = time.monotonic()
    folder: Path = options.folder
    data, model = folder / "data", folder / "results" / "task00_3d" / "fold_0"
    shards, results = ["--shards", folder / "shards"], ["--results", folder / "results"]
    _run("-m", "data_preprocessing.phantom", "--output", data / DATASET, "--cases", options.cases)
    _run("preprocess.py", "--task", "00", "--data", data, *shards)
    training = ["--overwrite", "--amp", "--deep-supervision", *shlex.split(options.training_options)]
    _run("train.py", "--task", "00", *shards, *results, *training)
    _run("predict.py", "--task", "00", "--data", data, *results, "--amp", "--tta")
    scores, labels = folder / "scores.json", data / DATASET / "labelsTs"
    _run("evaluate.py", "--predictions", model / "predictions", "--labels", labels, "--json", scores)
    picture = _draw(scores, data / DATASET, model / "predictions", folder)
    print(f"\nFinished in {(time.monotonic() - start) / 60:.1f} minutes. Have a look at {picture}")


def _run(*words: object) -> None:
    arguments = [str(word) for word in words]
    print(f"\n$ python {shlex.join(arguments)}", flush=True)
    status = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False).returncode
    if status:
        sys.exit(status)


def _draw(scores: Path, dataset: Path, predictions: Path, folder: Path) -> Path:
    """Draws the test case with the median score."""
    cases = json.loads(scores.read_text())["cases"]
    ranked = sorted(cases, key=lambda case: sum(score or 0 for score in cases[case].values()))
    case = ranked[len(ranked) // 2]
    image = read_image((dataset / "imagesTs" / f"{case}.nii.gz",))
    prediction, _ = load_label(predictions / f"{case}.nii.gz")
    truth, _ = load_label(dataset / "labelsTs" / f"{case}.nii.gz")
    names = {number: name for number, name in read_labels(dataset / "dataset.json").items() if number}
    title = f"{case}: " + ", ".join(f"{name} Dice {score or 0:.3f}" for name, score in cases[case].items())
    picture = folder / f"{case}.png"
    save_overlay(picture, image.array[..., 0], image.spacing, prediction, names, title, truth)
    return picture


if __name__ == "__main__":
    run(main)
