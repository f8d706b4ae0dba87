"""How each network is trained where neither the command line nor the task's config says otherwise."""

from dataclasses import dataclass

from data_preprocessing.common.task import TrainingDefaults
from nnunet_tf.choices import Loss, NetworkName, OptimizerName, Scheduler


@dataclass(frozen=True)
class Recipe:
    """What belongs to a network; the numbers of a config win over those of `training`."""

    training: TrainingDefaults
    loss: Loss
    optimizer: OptimizerName
    scheduler: Scheduler
    weight_decay: float | None = None
    warmup_steps: int | None = None


RECIPES: dict[NetworkName, Recipe] = {
    "nnunet": Recipe(TrainingDefaults(), loss="dice_ce", optimizer="adamw", scheduler="cosine"),
    # NVIDIA's U-Net Medical for TensorFlow 2; the batch is that of Ronneberger et al., 2015, section 3: one large tile.
    "unet": Recipe(
        TrainingDefaults(epochs=64, steps_per_epoch=100, learning_rate=1e-4, batch_size_2d=1, augmentation="crops"),
        loss="dice_ce",
        optimizer="adam",
        scheduler="none",
        weight_decay=5e-4,
        warmup_steps=0,
    ),
    # NVIDIA's UNet Industrial for TensorFlow.
    "tiny-unet": Recipe(
        TrainingDefaults(epochs=25, steps_per_epoch=100, learning_rate=1e-4, batch_size_2d=16, augmentation="flips"),
        loss="adaptive",
        optimizer="rmsprop",
        scheduler="step",
        weight_decay=1e-5,
        warmup_steps=0,
    ),
}


def training_defaults(stated: TrainingDefaults, network: NetworkName) -> TrainingDefaults:
    """Returns what a config states, and the recipe of `network` where it states nothing.

    A stated learning rate is for the config's own network, and counts for no other.
    """
    said = stated.model_fields_set - (set() if network == stated.network else {"learning_rate"})
    return RECIPES[network].training.model_copy(update=stated.model_dump(include=said) | {"network": network})
