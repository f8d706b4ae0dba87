"""What options may be. Imports nothing heavy, so that `--help` can list them at once."""

from typing import Literal

from data_preprocessing.defaults import Augmentation as Augmentation

Encoder = Literal["plain", "residual"]
Norm = Literal["instance", "batch", "group", "none"]
Loss = Literal["dice_ce", "dice_focal"]
OptimizerName = Literal["sgd", "adam", "adamw", "lion"]
Scheduler = Literal["none", "poly", "cosine", "cosine_annealing"]
FoldName = int | Literal["all"]
