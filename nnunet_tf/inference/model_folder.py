"""The folder of one trained model: where it is, and what it was built for."""

from pathlib import Path

from data_preprocessing.errors import UserError
from data_preprocessing.files import read_model
from data_preprocessing.plan import Plan, read_plan
from nnunet_tf.choices import FoldName
from nnunet_tf.networks.settings import NetworkSettings

WEIGHTS_NAME = "model.weights.h5"  # of the best validated epoch
LAST_WEIGHTS_NAME = "last.weights.h5"  # of the last epoch
NETWORK_NAME = "network.json"
VALIDATION_NAME = "validation.json"  # scores of the best epoch


REMEDY = "train one with train.py, or name another with --model"


def model_folder(results: Path, name: str, fold: FoldName) -> Path:
    """Returns the folder of one model, such as `results/task04_3d/fold_0`."""
    return results / name / f"fold_{fold}"


def read_model_plan(folder: Path) -> Plan:
    """Returns the plan of a trained model; raises UserError when the folder holds none."""
    for path in (folder, folder / WEIGHTS_NAME):
        if not path.exists():
            raise UserError(f"{path}: there is no trained model; {REMEDY}")
    return read_plan(folder, REMEDY)


def read_network_settings(folder: Path) -> NetworkSettings:
    """Returns what the network was built with beside its plan; raises UserError when the folder does not say."""
    return read_model(folder / NETWORK_NAME, NetworkSettings, REMEDY)
