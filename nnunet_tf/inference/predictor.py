"""A trained model, ready to segment scans."""

import warnings
from pathlib import Path

import keras
import numpy as np

from data_preprocessing.dataset import Case
from data_preprocessing.errors import UserError
from data_preprocessing.plan import Plan
from data_preprocessing.prepare import place, prepare_image, read_case
from data_preprocessing.volume_io import write_label
from nnunet_tf.inference.forward import make_forward
from nnunet_tf.inference.model_folder import WEIGHTS_NAME, read_network_settings
from nnunet_tf.inference.restore import restore
from nnunet_tf.inference.sliding_window import BlendMode, sliding_window
from nnunet_tf.networks.unet import build_network

WINDOWS_AT_ONCE = {2: 16, 3: 1}


class Predictor:
    """Segments images with one network; preprocessing is that of the network's own plan."""

    def __init__(
        self,
        network: keras.Model,
        plan: Plan,
        tta: bool = False,
        overlap: float = 0.5,
        blend_mode: BlendMode = "gaussian",
    ) -> None:
        self.plan, self.overlap, self.blend_mode = plan, overlap, blend_mode
        self.patch_size = plan.patch_size if plan.dim == 3 else (1, *plan.patch_size)
        self.forward = make_forward(network, plan.dim, tta)

    def logits(self, prepared: np.ndarray) -> np.ndarray:
        """Returns the logits `(D, H, W, outputs)` of a prepared image `(D, H, W, C)`."""
        return sliding_window(
            prepared,
            self.patch_size,
            self.forward,
            self.plan.outputs,
            self.overlap,
            self.blend_mode,
            WINDOWS_AT_ONCE[self.plan.dim],
        )

    def predict_file(self, case: Case, output: Path) -> None:
        """Writes the segmentation of a case to `output`, on the voxel grid and under the header of its (first) image.

        Raises UserError when the image is damaged or its channels are not the model's; nothing is written then.
        """
        volume = read_case(case, self.plan)
        placement = place(volume, self.plan)
        logits = self.logits(prepare_image(volume, placement, self.plan))
        write_label(output, restore(logits, placement, self.plan), volume.source)


def load_network(folder: Path, plan: Plan, weights: str = WEIGHTS_NAME) -> keras.Model:
    """Returns the network of a model folder with the weights of one of its files.

    Raises UserError when they are damaged or do not fit the plan.
    """
    path = folder / weights
    settings = read_network_settings(folder).model_copy(update={"deep_supervision": False})
    network = build_network(plan.topology, plan.patch_size, len(plan.channels), plan.outputs, settings)
    try:
        with warnings.catch_warnings(action="ignore"):  # Keras warns of each layer before it refuses
            network.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).partition(". ")[0].partition("\n")[0]
        raise UserError(f"{path}: does not hold this network's weights ({reason}); train the model again") from None
    return network
