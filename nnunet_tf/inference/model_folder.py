"""The folder of one trained model: where it is, and what it was built for."""

from pathlib import Path

from data_preprocessing.errors import UserError
from data_preprocessing.plan import Plan, read_plan

WEIGHTS_NAME = "model.weights.h5"


def model_folder(results: Path, name: str, fold: int) -> Path:
    """Returns the folder of one model, such as `results/task04_3d/fold_0`."""
    return results / name / f"fold_{fold}"


def read_model_plan(folder: Path) -> Plan:
    """Returns the plan of a trained model; raises UserError when the folder holds none."""
    remedy = "train one with train.py, or name another with --model"
    for path in (folder, folder / WEIGHTS_NAME):
        if not path.exists():
            raise UserError(f"{path}: there is no trained model; {remedy}")
    return read_plan(folder, remedy)
