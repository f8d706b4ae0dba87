"""The optimiser and its learning rate."""

import keras

WARMUP_STEPS = 100
WEIGHT_DECAY = 1e-2
LARGEST_GRADIENT_NORM = 12.0  # nnU-Net (Nature Methods 2021, "Training")


def make_optimizer(learning_rate: float, steps: int, loss_scaling: bool) -> keras.optimizers.Optimizer:
    """Returns AdamW with a linear warm-up to `learning_rate` and a cosine decay to 0 over all `steps`.

    The gradient norm is clipped at 12; norms and biases do not decay. With `loss_scaling` (float16) it is wrapped in
    Keras' dynamic loss scaling, which skips steps whose gradients overflowed. Sources: Loshchilov and Hutter, Decoupled
    Weight Decay Regularization, 2019; SGDR, 2017 (cosine).
    """
    warmup = min(WARMUP_STEPS, steps // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=learning_rate / max(warmup, 1),
        decay_steps=max(steps - warmup, 1),
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY, global_clipnorm=LARGEST_GRADIENT_NORM)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return keras.optimizers.LossScaleOptimizer(optimizer) if loss_scaling else optimizer
