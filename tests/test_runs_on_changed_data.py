"""The commands on a data set of few cases, which grows between a run and its continuation."""

import json

import nibabel as nib
import numpy as np
import pytest

from tests.commands import call, call_well, refused

pytestmark = pytest.mark.slow
CONFIG = """
task: "95"
dataset: Task95_Few
patch_size_3d: [16, 16, 16]
spacing_3d: [1.5, 1.0, 1.0]
patch_size_2d: [16, 16]
spacing_2d: [1.0, 1.0]
nonzero_mask: false
features: [4, 8]
training: {augmentation: basic, epochs: 1, steps_per_epoch: 2, batch_size_3d: 3}
"""


class Few:
    """A data set of small scans, and the commands on it."""

    def __init__(self, folder):
        self.folder, self.data = folder, folder / "data" / "Task95_Few"
        (folder / "few.yaml").write_text(CONFIG)
        self.task = ["--task", folder / "few.yaml"]
        self.model = folder / "results" / "task95_3d"

    def write(self, cases):
        """Makes these the training cases; the scan of a case is always the same."""
        entries = []
        label = np.zeros((20, 22, 18), np.uint8)
        label[5:12, 6:13, 4:11] = 1
        for case in cases:
            noise = np.random.default_rng(ord(case)).normal(100, 10, label.shape)
            for part, voxels in (("imagesTr", (noise + 80 * label).astype(np.int16)), ("labelsTr", label)):
                (self.data / part).mkdir(parents=True, exist_ok=True)
                nib.save(nib.Nifti1Image(voxels, np.diag([1, 1, 1.5, 1])), self.data / part / f"{case}.nii.gz")
            entries.append({"image": f"imagesTr/{case}.nii.gz", "label": f"labelsTr/{case}.nii.gz"})
        labels = {"0": "background", "1": "organ"}
        description = {"modality": {"0": "MRI"}, "labels": labels, "training": entries}
        (self.data / "dataset.json").write_text(json.dumps(description))

    def preprocess(self, *options):
        places = ["--data", self.data.parent, "--shards", self.folder / "shards"]
        return call("preprocess.py", *self.task, *places, *options)

    def training(self, *options):
        places = ["--shards", self.folder / "shards", "--results", self.folder / "results"]
        return ["train.py", *self.task, *places, "--device", "cpu", *options]


@pytest.fixture
def few(tmp_path):
    return Few(tmp_path)


def test_a_run_does_not_go_on_when_cases_were_added(few):
    few.write("abcde")
    assert few.preprocess().status == 0
    call_well(*few.training())
    before = {path: path.read_bytes() for path in few.model.rglob("*") if path.is_file()}
    few.write("abcdefg")
    assert few.preprocess().status == 0
    refused(call(*few.training("--epochs", 2, "--resume")), "cases.json", "f, g", "--overwrite")
    refused(call(*few.training("--epochs", 2, "--cross-validate", "--resume")), "f, g", "--overwrite")
    refused(call(*few.training()), str(few.model / "fold_0"), "--overwrite", "--resume")
    assert {path: path.read_bytes() for path in few.model.rglob("*") if path.is_file()} == before
    few.write("abcde")  # as they were: the same shards again
    assert few.preprocess().status == 0
    call_well(*few.training("--epochs", 2, "--resume"))
    few.write("abcdefg")
    assert few.preprocess().status == 0
    call_well(*few.training("--overwrite"))
    cases = json.loads((few.model / "fold_0" / "cases.json").read_text())
    assert sorted([*cases["training"], *cases["validation"]]) == list("abcdefg")


def test_one_case_can_be_learnt_but_not_split(few):
    few.write("a")
    verified = few.preprocess("--verify", "--json")
    assert verified.status == 0
    (finding,) = json.loads(verified.out)["findings"]
    assert finding["level"] == "warning"
    assert few.preprocess().status == 0
    for options in (("--fold", 0), ("--cross-validate",), ("--nfolds", 2)):
        refused(call(*few.training(*options)), "--fold all")
    assert not few.model.exists()
    call_well(*few.training("--fold", "all"))
    assert (few.model / "fold_all" / "model.weights.h5").is_file()
    refused(call(*few.training("--fold", "all")), str(few.model / "fold_all"), "--overwrite")


def test_two_cases_make_two_folds(few):
    few.write("ab")
    refused(few.preprocess(), "2 training cases", "--nfolds")
    assert few.preprocess("--nfolds", 2).status == 0
    refused(call(*few.training()), "--nfolds 2")
    call_well(*few.training("--nfolds", 2))
    scores = json.loads((few.model / "fold_0" / "validation.json").read_text())
    assert len(scores["cases"]) == 1
    assert scores["last"]["mean_dice"] == scores["mean_dice"]
