"""A data set folder of either layout: the Medical Decathlon's, or nnU-Net v2's raw one."""

from pathlib import Path

from data_preprocessing.dataset.dataset import Dataset, description_file, load_dataset, read_json
from data_preprocessing.dataset.nnunet_raw import load_nnunet_raw


def open_dataset(data: Path, name: str) -> Dataset:
    """Returns the data set in the folder `data/name`; raises UserError as `load_dataset` and `load_nnunet_raw` do."""
    folder = description_file(data, name).parent
    return load_nnunet_raw(folder) if is_nnunet_raw(folder) else load_dataset(data, name)


def is_nnunet_raw(folder: Path) -> bool:
    """Returns whether the dataset.json in `folder` is of nnU-Net v2's kind, which lists no cases."""
    content = read_json(folder / "dataset.json")
    return "file_ending" in content and "training" not in content
