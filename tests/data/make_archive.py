"""Makes what `tests/test_archive.py` reads: python -m tests.data.make_archive VERSION

A package of a small trained model, a scan with the labels that it gave, and shards, in `tests/data/archive/VERSION`.
Each version whose files users may have has one, made once by the program of that time, and never again.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from data_preprocessing.synthetic.phantom import Options, write_dataset

ARCHIVE = Path(__file__).parent / "archive"
CONFIG = """
task: "92"
dataset: Task92_Archive
patch_size_3d: [16, 16, 16]
spacing_3d: [2.0, 2.0, 2.0]
patch_size_2d: null
spacing_2d: null
nonzero_mask: false
features: [4, 8]
training: {epochs: 8, steps_per_epoch: 40, learning_rate: 1.0e-2, batch_size_3d: 4}
"""


def main(version: str) -> None:
    """Writes the archive of `version`; an existing one stays as it is."""
    target = ARCHIVE / version
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data, results = folder / "data", folder / "results"
        write_dataset(data / "Task92_Archive", Options(cases=4, field_of_view_mm=42.0))
        config = target / "task92.yaml"
        config.write_text(CONFIG)
        places = ["--task", config, "--shards", target / "shards"]
        _run("preprocess", *places, "--data", data, "--nfolds", 3, "--shard-dtype", "float16")
        _run("train", *places, "--results", results, "--nfolds", 3, "--deep-supervision", "--device", "cpu")
        _run("package", results / "task92_3d" / "fold_0", target / "model.zip")
        (scan,) = (data / "Task92_Archive" / "imagesTs").iterdir()
        shutil.copy(scan, target / "scan.nii.gz")
        _run("predict", "--model", target / "model.zip", "--input", target / "scan.nii.gz", "--output", folder / "out")
        shutil.copy(folder / "out" / "scan.nii.gz", target / "labels.nii.gz")


def _run(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "nnunet_tf.commands", *map(str, words)], check=True)


if __name__ == "__main__":
    main(sys.argv[1])
