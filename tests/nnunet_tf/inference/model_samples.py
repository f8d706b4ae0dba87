"""Model folders whose weights are any bytes."""

from pathlib import Path

from data_preprocessing.common.files import write_model
from data_preprocessing.planning.plan import Plan, make_plan, write_plan
from nnunet_tf.choices import FoldName
from nnunet_tf.inference.models.folder import LAST_WEIGHTS_NAME, NETWORK_NAME, WEIGHTS_NAME
from nnunet_tf.networks.settings import NetworkSettings
from tests.data_preprocessing.samples import make_config, make_dataset


def make_plan_of_one_class() -> Plan:
    """A 3D plan."""
    return make_plan(make_config(), make_dataset(labels={0: "background", 1: "organ"}), 3)


def write_fold(home: Path, fold: FoldName) -> Path:
    """Writes the folder of a fold and returns it."""
    folder = home / f"fold_{fold}"
    folder.mkdir(parents=True)
    write_plan(folder, make_plan_of_one_class())
    write_model(folder / NETWORK_NAME, NetworkSettings(negative_slope=0.2))
    (folder / WEIGHTS_NAME).write_bytes(f"best of {fold}".encode() * 100)
    (folder / LAST_WEIGHTS_NAME).write_bytes(f"last of {fold}".encode() * 100)
    return folder
