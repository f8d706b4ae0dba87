"""Small data sets and folders that many tests share."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from data_preprocessing.common.task import Dimensions, TaskConfig
from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.jobs.backend import Processes
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards.pipeline import preprocess
from data_preprocessing.synthetic.phantom import Options, write_dataset
from nnunet_tf.runtime import onednn
from tests.clusters import dask_cluster

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
onednn.enable()  # before any test module imports TensorFlow

# The same examples in every run: what passes here passes everywhere.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

SMALL_PHANTOM = Options(cases=8, field_of_view_mm=42.0)
SMALL_CONFIG = """
task: "90"
dataset: Task90_Small
patch_size_3d: [16, 24, 16]
spacing_3d: [1.5, 1.5, 1.5]
patch_size_2d: [24, 16]
spacing_2d: [1.5, 1.5]
features: [4, 8]
nonzero_mask: false
training: {epochs: 2, steps_per_epoch: 3, batch_size_2d: 4}
"""


SLOW_FIXTURES = {"cluster_address"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs a slow fixture; puts the slow tests first, those of commands before all: the rest evens out."""
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
    here = Path(__file__).parent
    items.sort(key=lambda item: (item.get_closest_marker("slow") is None, item.path.parent != here))


@pytest.fixture(autouse=True)
def _python_is_started_by_slow_tests_only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test that starts a Python and is not marked `slow`."""
    if request.node.get_closest_marker("slow"):
        return
    start = subprocess.Popen.__init__

    def checked(process: subprocess.Popen, command: object, *arguments: object, **options: object) -> None:
        words = command if isinstance(command, list | tuple) else [command]
        assert str(words[0]) != sys.executable, "this test starts a process: mark it with pytest.mark.slow"
        start(process, command, *arguments, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", checked)


@pytest.fixture(scope="session")
def small_config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of the small phantom data set."""
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(SMALL_CONFIG)
    return path


@pytest.fixture(scope="session")
def small_config(small_config_file: Path) -> TaskConfig:
    """The same, loaded."""
    from data_preprocessing.common.task import load_task

    return load_task(str(small_config_file))


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `--data` folder with a small phantom data set: six training and two test cases."""
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder / "Task90_Small", SMALL_PHANTOM)
    return folder


@pytest.fixture(scope="session")
def small_shards(tmp_path_factory: pytest.TempPathFactory, small_config: TaskConfig, small_data: Path) -> Path:
    """A `--shards` folder with that data set in 2D and 3D."""
    folder = tmp_path_factory.mktemp("shards")
    dimensions: tuple[Dimensions, ...] = (2, 3)
    for dim in dimensions:
        dataset = load_dataset(small_data, small_config.dataset)
        plan = make_plan(small_config, dataset, dim)
        preprocess(small_config, dataset, plan, folder / plan.name, Processes())
    return folder


@pytest.fixture(scope="session")
def base(small_config_file: Path, small_shards: Path) -> list[Path | str]:
    """Options of train.py for the small config and its shards."""
    return ["--task", small_config_file, "--shards", small_shards]


@pytest.fixture(scope="session")
def cluster_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Dask scheduler with two workers."""
    with dask_cluster(tmp_path_factory.mktemp("cluster")) as address:
        yield address
