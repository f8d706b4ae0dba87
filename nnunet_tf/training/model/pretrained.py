"""Starting from the weights of another model."""

from pathlib import Path

import keras

from data_preprocessing.common.errors import UserError
from nnunet_tf.inference.models.folder import WEIGHTS_NAME, read_model_plan
from nnunet_tf.inference.predictor import load_network

HEADS = "logits"  # how their layers' names begin


def load_pretrained(folder: str, network: keras.Model) -> None:
    """Gives `network` the weights of the model in `folder`, its heads excepted: they may have other classes.

    Raises UserError, with nothing changed, when a layer is missing there or has other shapes.
    """
    remedy = "name the folder of one fold's model with --pretrained, such as results/task04_3d/fold_0"
    source = load_network(Path(folder), read_model_plan(Path(folder), WEIGHTS_NAME, remedy))
    known = {layer.name: layer for layer in source.layers}
    wanted = [layer for layer in network.layers if layer.weights and not layer.name.startswith(HEADS)]
    for layer in wanted:
        shapes = [tuple(weight.shape) for weight in layer.weights]
        given = known.get(layer.name)
        if given is None or [tuple(weight.shape) for weight in given.weights] != shapes:
            found = "has no such layer" if given is None else f"has shapes {[tuple(w.shape) for w in given.weights]}"
            raise UserError(
                f"--pretrained {folder}: {layer.name} needs {shapes}, that model {found}; "
                "it must have the same channels, topology and network options"
            )
    for layer in wanted:
        layer.set_weights(known[layer.name].get_weights())
