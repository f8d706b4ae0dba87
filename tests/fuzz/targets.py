"""What takes input, by the names of files: each function reads one and raises UserError where it is no good."""

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import write_model
from data_preprocessing.common.task import load_task
from data_preprocessing.dataset.dataset import Case
from data_preprocessing.dataset.open_dataset import open_dataset
from data_preprocessing.dataset.scans import find_images
from data_preprocessing.images.volume_io import load_label
from data_preprocessing.planning.plan import read_plan, write_plan
from nnunet_tf.inference.models.folder import NETWORK_NAME, PACKAGED, read_network_settings
from nnunet_tf.inference.models.package_file import unpack_package, write_package
from nnunet_tf.inference.postprocessing.settings import POSTPROCESSING_NAME, read_postprocessing
from nnunet_tf.inference.volume.inputs import check_headers, memory_findings, memory_needed, read_scan
from nnunet_tf.networks.settings import NetworkSettings
from tests.fuzz import images
from tests.nnunet_tf.inference.samples import tiny_plan

TEXT_SUFFIXES = (".json", ".jsonl", ".yaml", ".txt", *images.TEXTS)
PLAN = tiny_plan()


@dataclass(frozen=True)
class Target:
    """One kind of input: a valid file's content, and what reads a file of that name."""

    name: str
    content: bytes
    read: Callable[[Path], object]

    @property
    def is_text(self) -> bool:
        """Whether words of it are replaced, rather than numbers."""
        return self.name.endswith(TEXT_SUFFIXES)


def make_targets(folder: Path) -> list[Target]:
    """Returns every kind of input; what is needed to make one is written to `folder`."""
    targets = []
    for name, write in images.WRITERS.items():
        write(folder / name)
        targets.append(Target(name, (folder / name).read_bytes(), read_image_everywhere))
    return targets + [_of_file(path, read) for path, read in _other_files(folder)]


def read_image_everywhere(path: Path) -> None:
    """Looks at and reads a scan as prediction does, then as a label."""
    if path.suffix == ".dcm":
        home = path.parent / "series"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        path = path.rename(home / path.name).parent
    case = Case("case", (path,), None)
    with np.errstate(all="raise", under="ignore"), warnings.catch_warnings(action="error"):
        memory_needed(case, [PLAN])
        memory_findings(case, [PLAN], 2**30)
        for read in (lambda: check_headers([case], PLAN), lambda: read_scan(case, [PLAN]), lambda: load_label(path)):
            try:
                read()
            except UserError as error:
                one_line(error)


def one_line(error: UserError) -> None:
    """Raises AssertionError where the error would not be one line, or is very long."""
    assert len(str(error).splitlines()) == 1, str(error)
    assert len(str(error)) < 2000, len(str(error))


def _of_file(path: Path, read: Callable[[Path], object]) -> Target:
    return Target(path.name, path.read_bytes(), read)


def _other_files(folder: Path) -> list[tuple[Path, Callable[[Path], object]]]:
    """What is no image: the files of data sets, configs, shards, models and packages."""
    write_plan(folder, PLAN)
    write_model(folder / NETWORK_NAME, NetworkSettings())
    (folder / POSTPROCESSING_NAME).write_text('{"keep_largest": [4]}\n')
    labels = {"background": 0, "organ": 1}
    description = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": 1, "file_ending": ".nii.gz"}
    (folder / "nnunet.json").write_text(json.dumps(description))
    listed = {
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "organ"},
        "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}],
        "test": ["./imagesTs/b.nii.gz"],
    }
    (folder / "decathlon.json").write_text(json.dumps(listed, indent=1))
    config = {"task": "90", "dataset": "Task90_Small", "patch_size_3d": [16, 24, 16], "spacing_3d": [1.5, 1.5, 1.5]}
    (folder / "task.yaml").write_text(yaml.safe_dump(config))
    (folder / "scans.txt").write_text("a.nii.gz\nb.nii.gz\n")
    write_package(folder / "model.zip", {name: folder / name for name in ("plan.json", NETWORK_NAME)})
    return [
        (folder / "plan.json", lambda path: read_plan(path.parent, "copy it")),
        (folder / NETWORK_NAME, lambda path: read_network_settings(path.parent, PLAN)),
        (folder / POSTPROCESSING_NAME, lambda path: read_postprocessing(path.parent)),
        (folder / "nnunet.json", _read_dataset),
        (folder / "decathlon.json", _read_dataset),
        (folder / "task.yaml", lambda path: load_task(str(path))),
        (folder / "scans.txt", lambda path: find_images([path], 1, "name them")),
        (folder / "model.zip", lambda path: unpack_package(path, PACKAGED)),
    ]


def _read_dataset(path: Path) -> None:
    home = path.parent / "Task01_A"
    home.mkdir(exist_ok=True)
    path.rename(home / "dataset.json")
    open_dataset(path.parent, home.name)
