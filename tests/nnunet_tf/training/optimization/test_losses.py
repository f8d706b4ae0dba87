import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.optimize import check_grad
from scipy.special import expit, log_expit, log_softmax

from nnunet_tf.training.config.loss_and_optimizer import LossSettings
from nnunet_tf.training.optimization.losses import make_loss

REGIONS = ((1, 2), (2,))
KINDS = [
    LossSettings(loss=loss, batch_dice=batch_dice, include_background=include_background)
    for loss in ("dice_ce", "dice_focal", "adaptive")
    for batch_dice in (False, True)
    for include_background in (False, True)
]


def by_hand(logits, target, settings, regions=None):
    """The loss of one output, written out in NumPy with a loop over classes or regions."""
    logits = logits.astype(np.float64)
    if regions is None:
        truth = np.eye(logits.shape[-1])[target]
        log_probabilities = log_softmax(logits, axis=-1)
        log_of_truth = (truth * log_probabilities).sum(-1)
        probabilities = np.exp(log_probabilities)
    else:
        truth = np.stack([np.isin(target, region) for region in regions], axis=-1).astype(float)
        log_of_truth = np.where(truth == 1, log_expit(logits), log_expit(-logits))
        probabilities = expit(logits)
    weight = (1 - np.exp(log_of_truth)) ** 2 if settings.loss == "dice_focal" else 1
    first = 1 if regions is None and not settings.include_background else 0
    groups = [slice(None)] if settings.batch_dice else [slice(i, i + 1) for i in range(len(target))]
    scores = []
    for group in groups:
        for index in range(first, logits.shape[-1]):
            p, g = probabilities[group][..., index], truth[group][..., index]
            scores.append((2 * (p * g).sum() + 1e-5) / (p.sum() + g.sum() + 1e-5))
    cross_entropy, dice_loss = np.mean(-weight * log_of_truth), 1 - np.mean(scores)
    if settings.loss == "adaptive":
        return dice_loss if dice_loss < 0.3 else cross_entropy
    return cross_entropy + dice_loss


def loss_and_gradient(settings, logits, target, regions=None):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = make_loss(settings, regions)([logits], target)
    return float(loss), np.array(tape.gradient(loss, logits))


@pytest.fixture
def batch():
    random = np.random.default_rng(0)
    logits = random.normal(size=(3, 4, 6, 5, 3)).astype(np.float32)
    target = random.integers(0, 3, logits.shape[:-1]).astype(np.int32)
    target[1, 1:] = 0  # samples of unlike size: there batch Dice differs from the mean of samples
    return logits, target


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_every_kind_of_loss_equals_its_formula(batch, settings):
    logits, target = batch
    np.testing.assert_allclose(make_loss(settings)([logits], target), by_hand(logits, target, settings), rtol=1e-5)


@pytest.mark.parametrize("settings", [kind for kind in KINDS if not kind.include_background], ids=str)
def test_the_loss_of_regions_is_that_of_sigmoids(batch, settings):
    logits, target = batch[0][..., :2], batch[1]
    loss = make_loss(settings, REGIONS)([logits], target)
    np.testing.assert_allclose(loss, by_hand(logits, target, settings, REGIONS), rtol=1e-5)


def test_each_setting_changes_the_loss(batch):
    sums = [settings for settings in KINDS if settings.loss != "adaptive"]  # that here is cross-entropy alone
    losses = [float(make_loss(settings)([batch[0]], batch[1])) for settings in sums]
    assert np.diff(sorted(losses)).min() > 1e-4


@pytest.mark.parametrize("regions", [None, REGIONS])
def test_the_adaptive_loss_is_cross_entropy_until_the_dice_loss_is_under_three_tenths(batch, regions):
    settings, target = LossSettings(loss="adaptive"), batch[1]
    truth = np.eye(3)[target] if regions is None else np.stack([np.isin(target, each) for each in regions], axis=-1)
    for certainty, is_dice in ((0.2, False), (2.0, True)):
        logits = ((2 * truth - 1) * certainty).astype(np.float32)
        loss, gradient = loss_and_gradient(settings, logits, target, regions)
        assert loss == pytest.approx(by_hand(logits, target, settings, regions), rel=1e-4)
        assert (loss < 0.3) == is_dice
        assert loss < by_hand(logits, target, LossSettings(), regions) - 0.01
        assert np.abs(gradient).max() > 0


def test_a_class_of_no_region_belongs_to_none(batch):
    logits, target = batch[0][..., :2], batch[1]
    loss = make_loss(LossSettings(), REGIONS)
    assert float(loss([logits], np.where(target == 0, 7, target))) == pytest.approx(float(loss([logits], target)))


def test_the_loss_in_two_dimensions_and_of_labels_in_bytes_is_the_same(batch):
    logits, target = batch[0][:, 0], batch[1][:, 0]
    for regions, outputs in ((None, logits), (REGIONS, logits[..., :2])):
        expected = by_hand(outputs, target, LossSettings(), regions)
        loss = make_loss(LossSettings(), regions)([outputs], target.astype(np.uint8))
        np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_a_perfect_prediction_costs_nothing(batch, settings):
    _, target = batch
    perfect = (np.eye(3)[target] * 100).astype(np.float32)
    assert float(make_loss(settings)([perfect], target)) == pytest.approx(0, abs=1e-5)


def test_logits_in_half_precision_are_computed_in_float32(batch):
    logits, target = batch
    loss = make_loss(LossSettings())([logits.astype(np.float16)], target)
    assert loss.dtype == "float32"
    np.testing.assert_allclose(loss, by_hand(logits.astype(np.float16), target, LossSettings()), rtol=1e-5)


@pytest.mark.parametrize("settings", KINDS, ids=str)
@pytest.mark.parametrize("regions", [None, ((1, 2), (2,), (1,))])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_extreme_logits_and_absent_classes_give_finite_losses_and_gradients(batch, settings, regions, label):
    logits, target = np.sign(batch[0]) * 100, np.full_like(batch[1], label)
    loss, gradient = loss_and_gradient(settings, logits, target, regions)
    assert loss == pytest.approx(by_hand(logits, target, settings, regions), rel=1e-5)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("settings", KINDS, ids=str)
@pytest.mark.parametrize("regions", [None, ((1, 2), (2,), (1,))])
def test_the_gradient_is_the_slope_of_the_formula(batch, settings, regions):
    logits, target = batch[0][:2, :2, :2, :2], batch[1][:2, :2, :2, :2]

    def formula(values):
        return by_hand(values.reshape(logits.shape), target, settings, regions)

    def gradient(values):
        return loss_and_gradient(settings, values.reshape(logits.shape).astype(np.float32), target, regions)[1].ravel()

    assert check_grad(formula, gradient, logits.ravel().astype(np.float64)) < 1e-5
    assert np.linalg.norm(gradient(logits.ravel())) > 1e-2


def test_deep_supervision_weighs_each_level_half_as_much_and_takes_every_second_voxel(batch):
    logits, target = batch
    coarse = np.random.default_rng(1).normal(size=(3, 2, 3, 5, 3)).astype(np.float32)  # last axis not downsampled
    settings = LossSettings()
    expected = (by_hand(logits, target, settings) + 0.5 * by_hand(coarse, target[:, 1::2, 1::2], settings)) / 1.5
    np.testing.assert_allclose(make_loss(settings)([logits, coarse], target), expected, rtol=1e-5)


def seen_target(target, steps):
    """What of `target` `(N, *spatial)` an output smaller by `steps` is trained on: the only logits without a loss."""
    coarse = [size // step for size, step in zip(target.shape[1:], steps, strict=True)]
    logits = np.zeros((len(target), *coarse, int(target.max()) + 1), np.float32)
    settings = LossSettings(loss="adaptive")  # cross-entropy alone: its gradient at 0 is least for the truth
    _, gradient = loss_and_gradient(settings, logits, target)
    return gradient.argmin(axis=-1)


@pytest.mark.parametrize(
    ("shape", "steps"),
    [
        ((12, 20), (2, 2)),
        ((24, 16), (4, 2)),
        ((12, 8, 16), (1, 4, 4)),
        ((18, 8, 6), (3, 2, 1)),
        ((16, 32, 64), (4, 8, 16)),
    ],
)
def test_a_coarser_level_is_trained_on_the_voxels_that_pillow_takes_for_the_nearest(shape, steps):
    target = np.random.default_rng(0).integers(0, 3, (2, *shape)).astype(np.int32)
    expected = target
    for axis, step in enumerate(steps, start=1):  # an axis at a time, as rows of a picture
        rows = np.moveaxis(expected, axis, 0)
        picture = Image.fromarray(rows.reshape(len(rows), -1))
        nearest = np.array(picture.resize((picture.width, len(rows) // step), Image.Resampling.NEAREST))
        expected = np.moveaxis(nearest.reshape(-1, *rows.shape[1:]), 0, axis)
    np.testing.assert_array_equal(seen_target(target, steps), expected)


@pytest.mark.parametrize("step", [2, 4, 8])
@pytest.mark.parametrize("dim", [2, 3])
def test_an_object_stays_where_it_is_at_every_level(dim, step):
    centre, side = 31.5, 64
    grid = np.indices((side,) * dim)
    ball = (np.square(grid - centre).sum(axis=0) <= 20**2).astype(np.int32)
    coarse = seen_target(ball[np.newaxis], (step,) * dim)[0]
    centroid = np.argwhere(coarse).mean(axis=0) * step + (step - 1) / 2  # in voxels of the ball
    assert np.abs(centroid - centre).max() < 0.5 + step / 8  # half a voxel, and the steps of its surface


def test_levels_that_are_no_blocks_of_the_target_are_refused(batch):
    logits, target = batch
    with pytest.raises(ValueError):
        make_loss(LossSettings())([logits, logits[:, :3]], target)


def test_a_model_of_unknown_batch_size_can_be_trained_with_it(batch):
    logits, target = batch
    inputs = keras.Input(logits.shape[1:])
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    model.compile("adam", lambda truth, outputs: make_loss(LossSettings())([outputs], truth))
    assert np.isfinite(model.train_on_batch(logits, target))


WORKERS = 2


@pytest.mark.parametrize("settings", KINDS, ids=str)
@pytest.mark.parametrize("regions", [None, REGIONS])
def test_the_mean_over_workers_is_the_loss_and_gradient_of_their_batches_as_one(settings, regions):
    random = np.random.default_rng(2)
    levels = [random.normal(size=(4, *shape, 3 - bool(regions))).astype(np.float32) for shape in ((4, 6), (2, 3))]
    target = random.integers(0, 3, (4, 4, 6)).astype(np.int32)
    target[2:, 1:] = 0  # the second worker sees another share of each class
    # Certain of the truth in the first worker: there the adaptive loss of its own batch would be the Dice loss.
    truth = np.eye(3)[target] if regions is None else np.stack([np.isin(target, each) for each in regions], axis=-1)
    levels[0][:2] += 9 * truth[:2]
    alone = make_loss(settings, regions)
    logits = [tf.constant(level) for level in levels]
    with tf.GradientTape() as tape:
        tape.watch(logits)
        expected = alone(logits, target)
    gradients = tape.gradient(expected, logits)

    halves = [[level[:2] for level in logits], [level[2:] for level in logits]]
    waiting = []

    def sum_over_workers(tensor):
        """Adds up what both workers hand in: the first half, told before, has been handed in already."""
        if len(waiting) < WORKERS - 1:
            waiting.append(tensor)
            raise Waiting
        return tensor + waiting.pop()

    loss = make_loss(settings, regions, sum_over_workers)
    with tf.GradientTape() as tape:
        flat = [level for half in halves for level in half]
        tape.watch(flat)
        total = both_workers(loss, halves, [target[:2], target[2:]], waiting)
    assert float(total) / WORKERS == pytest.approx(float(expected), rel=1e-5)
    found = tape.gradient(total, flat)
    for level, gradient in enumerate(gradients):
        whole = np.concatenate([found[level], found[len(levels) + level]]) / WORKERS
        np.testing.assert_allclose(whole, gradient, rtol=1e-4, atol=1e-7)


class Waiting(Exception):
    """Raised in a worker that waits for the other."""


def both_workers(loss, halves, targets, waiting):
    """The sum of the losses of two workers, of which each hands its sums to the other."""
    total = 0.0
    for first, second in ((0, 1), (1, 0)):
        if loss.crosses_workers:
            with pytest.raises(Waiting):
                loss(halves[first], targets[first])
        total += loss(halves[second], targets[second])
    assert not waiting
    return total


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_only_batch_dice_and_the_adaptive_loss_ask_the_other_workers(settings):
    needs = settings.batch_dice or settings.loss == "adaptive"
    assert make_loss(settings, None, lambda tensor: tensor).crosses_workers == needs
    assert not make_loss(settings).crosses_workers
