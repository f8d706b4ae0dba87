"""The moving average of a network's weights, which generalises better than the weights of the last step."""

import keras
from keras import ops


class WeightAverage:
    """Exponential moving average of the weights of `network`, in float32 whatever their precision.

    Update `t`, counted from 0, weighs what was before by `min(decay, (1 + t) / (10 + t))`: the random weights of the
    beginning are soon forgotten. Only trainable weights are averaged; the others, such as the statistics of batch
    normalisation, are averages themselves. Sources: Polyak and Juditsky, 1992; the warm-up is that of
    `tf.train.ExponentialMovingAverage`.
    """

    def __init__(self, network: keras.Model, decay: float) -> None:
        self.network, self.decay = network, decay
        self._share = keras.Variable(1.0, dtype="float32", trainable=False, name="share")
        self._updates = keras.Variable(0, dtype="int64", trainable=False, name="updates")
        self._averages = [
            keras.Variable(ops.cast(weight, "float32"), dtype="float32", trainable=False, name="average")
            for weight in network.trainable_weights
        ]

    @property
    def variables(self) -> list[keras.Variable]:
        """The whole state: the number of updates, then one float32 average for each trainable weight."""
        return [self._updates, *self._averages]

    def start(self) -> None:
        """Begins anew with the weights of the moment."""
        for average, weight in zip(self._averages, self.network.trainable_weights, strict=True):
            average.assign(ops.cast(weight, "float32"))
        self._updates.assign(0)

    def keep_pace(self, share: float) -> None:
        """Takes `decay` to the power of `share` from now on, the global batch being that many times as large.

        So the average looks back over as many patches as before. Source: Busbridge et al., How to Scale Your EMA, 2023.
        """
        self._share.assign(share)

    def update(self) -> None:
        """Takes the weights of the moment into the average, after an optimiser's step; may be traced."""
        updates = ops.cast(self._updates, "float32")
        decay = ops.minimum(ops.power(self.decay, self._share), (1 + updates) / (10 + updates))
        for average, weight in zip(self._averages, self.network.trainable_weights, strict=True):
            average.assign_sub((1 - decay) * (average - ops.cast(weight, "float32")))
        self._updates.assign_add(1)

    def copy_to(self, model: keras.Model) -> None:
        """Gives `model` the averages, and the weights that are not trained as they are in the network.

        Raises ValueError where its weights have other shapes than those of the network.
        """
        sources = [*self._averages, *self.network.non_trainable_weights]
        targets = [*model.trainable_weights, *model.non_trainable_weights]
        shapes, wanted = ([tuple(each.shape) for each in some] for some in (sources, targets))
        if shapes != wanted:
            raise ValueError(f"{model.name} is not of the structure of {self.network.name}, whose average this is")
        for source, target in zip(sources, targets, strict=True):
            target.assign(ops.cast(source, target.dtype))
