"""Training, prediction and evaluation of U-Nets for medical segmentation with TensorFlow and Keras.

`from nnunet_tf import Predictor` segments scans from Python; nothing heavy is imported before that.
"""

from typing import TYPE_CHECKING

from nnunet_tf.runtime import onednn

if TYPE_CHECKING:
    from nnunet_tf.inference.predictor import Predictor

__all__ = ["Predictor"]

onednn.enable()  # here, as every process that computes passes here before it imports TensorFlow


def __getattr__(name: str) -> object:
    """Returns what is public here, imported when it is first asked for."""
    if name == "Predictor":
        from nnunet_tf.inference.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
