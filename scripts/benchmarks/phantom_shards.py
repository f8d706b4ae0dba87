"""Shards of a small phantom data set, for benchmarks of how training runs rather than of what it learns."""

from pathlib import Path

from data_preprocessing.common.task import load_task
from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.jobs.backend import Processes
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards.pipeline import preprocess
from data_preprocessing.synthetic.phantom import write_dataset
from tests.conftest import SMALL_CONFIG, SMALL_PHANTOM


def write_shards(folder: Path) -> list[object]:
    """Writes 3D shards of six cases below `folder`; returns the options with which train.py reads them."""
    config_file = folder / "phantom.yaml"
    config_file.write_text(SMALL_CONFIG)
    config = load_task(str(config_file))
    write_dataset(folder / "data" / config.dataset, SMALL_PHANTOM)
    dataset = load_dataset(folder / "data", config.dataset)
    plan = make_plan(config, dataset, 3)
    preprocess(config, dataset, plan, folder / "shards" / plan.name, Processes())
    return ["--task", config_file, "--shards", folder / "shards"]
