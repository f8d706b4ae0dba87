"""Training, prediction and evaluation of U-Nets for medical segmentation with TensorFlow and Keras.

What is public is listed in `__all__`, and documented in docs/api.md; nothing heavy is imported before it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from nnunet_tf.runtime import onednn
from nnunet_tf.version import VERSION as __version__

if TYPE_CHECKING:
    from data_preprocessing.common.errors import UserError
    from data_preprocessing.common.task import TaskConfig
    from data_preprocessing.planning.plan import Plan
    from nnunet_tf.api import evaluate, plan, preprocess, train
    from nnunet_tf.inference.predictor import Predictor
    from nnunet_tf.training.config.settings import TrainingSettings

__all__ = [
    "Plan",
    "Predictor",
    "TaskConfig",
    "TrainingSettings",
    "UserError",
    "__version__",
    "evaluate",
    "plan",
    "preprocess",
    "train",
]

_HOMES = {
    "Plan": "data_preprocessing.planning.plan",
    "Predictor": "nnunet_tf.inference.predictor",
    "TaskConfig": "data_preprocessing.common.task",
    "TrainingSettings": "nnunet_tf.training.config.settings",
    "UserError": "data_preprocessing.common.errors",
    "evaluate": "nnunet_tf.api",
    "plan": "nnunet_tf.api",
    "preprocess": "nnunet_tf.api",
    "train": "nnunet_tf.api",
}

onednn.enable()  # here, as every process that computes passes here before it imports TensorFlow


def __getattr__(name: str) -> object:
    """Returns what is public here, imported when it is first asked for."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
