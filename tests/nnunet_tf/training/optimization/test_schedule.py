import keras
import numpy as np
import pytest
import tensorflow as tf

from nnunet_tf.training.config.loss_and_optimizer import OptimizerSettings
from nnunet_tf.training.optimization.schedule import PacedSchedule, make_schedule

STEPS, WARMUP, RATE = 240, 30, 0.5


def rates(scheduler, steps=STEPS, warmup_steps=WARMUP, last=None):
    """The rate of every step of the run, and what it is after the last one."""
    decay = {"decay_rate": 0.5, "decay_steps": 50}
    settings = OptimizerSettings(learning_rate=RATE, scheduler=scheduler, warmup_steps=warmup_steps, **decay)
    schedule = make_schedule(settings, steps)
    return np.array(schedule(np.arange((last or steps) + 1)))


def cosine_cycles(done):
    """SGDR written out: 210 steps and the one after them in cycles of a seventh, two and four sevenths."""
    for length in (211 / 7, 211 * 2 / 7, 211 * 4 / 7):
        if done < length:
            return (1 + np.cos(np.pi * done / length)) / 2
        done -= length
    raise AssertionError


FORMULAS = {
    "none": lambda done: 1,
    "poly": lambda done: (1 - done / (STEPS - WARMUP)) ** 0.9,
    "cosine": lambda done: (1 + np.cos(np.pi * done / (STEPS - WARMUP))) / 2,
    "cosine_annealing": cosine_cycles,
    "step": lambda done: 0.5 ** (done // 50),
    "exponential": lambda done: 0.5 ** (done / 50),
}


@pytest.mark.parametrize("scheduler", FORMULAS)
def test_the_rate_follows_its_formula_after_a_linear_warm_up(scheduler):
    expected = [RATE * (step + 1) / (WARMUP + 1) for step in range(WARMUP)]
    expected += [RATE * FORMULAS[scheduler](done) for done in range(STEPS - WARMUP + 1)]
    np.testing.assert_allclose(rates(scheduler), expected, atol=1e-5 * RATE)


@pytest.mark.parametrize("scheduler", ["poly", "cosine"])
def test_the_rate_is_zero_after_the_last_step_and_stays_so(scheduler):
    after = rates(scheduler, last=STEPS + 10)[STEPS:]
    np.testing.assert_allclose(after, 0, atol=1e-9)


@pytest.mark.parametrize("steps", [7, 8, 700, 25_000, 249_999])
def test_a_run_of_warm_restarts_ends_with_its_third_cycle(steps):
    schedule = make_schedule(OptimizerSettings(learning_rate=RATE, scheduler="cosine_annealing", warmup_steps=0), steps)
    values = np.array(schedule(np.arange(steps + 1)))
    assert np.count_nonzero(np.diff(values) > 0) == 2  # two restarts
    assert values[-1] < (0.2 if steps < 10 else 0.01) * RATE


@pytest.mark.parametrize("scheduler", FORMULAS)
def test_a_run_shorter_than_its_warm_up_rises_to_its_end(scheduler):
    np.testing.assert_allclose(rates(scheduler, steps=5), RATE * np.arange(1, 7) / (WARMUP + 1), rtol=1e-5)


@pytest.mark.parametrize("scheduler", FORMULAS)
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_every_step_of_a_very_short_run_has_a_positive_rate(scheduler, steps):
    assert (rates(scheduler, steps, warmup_steps=None)[:-1] > 0).all()


@pytest.mark.parametrize("scheduler", FORMULAS)
def test_without_warm_up_the_first_step_has_the_full_rate(scheduler):
    assert rates(scheduler, warmup_steps=0)[0] == pytest.approx(RATE)


def test_unless_told_the_steps_are_those_of_unet_industrial():
    settings = OptimizerSettings(learning_rate=1e-4, scheduler="step", warmup_steps=0)
    schedule = make_schedule(settings, 2500)
    for step, rate in ((0, 1e-4), (499, 1e-4), (500, 0.8e-4), (1000, 0.64e-4), (2499, 0.8**4 * 1e-4)):
        assert float(schedule(step)) == pytest.approx(rate)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (9, 0), (200, 20), (1000, 100), (250_000, 100)])
def test_the_default_warm_up_is_a_tenth_of_the_run_but_at_most_100_steps(steps, warmup):
    assert OptimizerSettings(learning_rate=RATE).warmup(steps) == warmup


@pytest.mark.parametrize("scheduler", FORMULAS)
def test_a_schedule_survives_being_written_as_a_config(scheduler):
    schedule = make_schedule(OptimizerSettings(learning_rate=RATE, scheduler=scheduler, warmup_steps=3), 50)
    serialize, deserialize = keras.optimizers.schedules.serialize, keras.optimizers.schedules.deserialize
    restored = deserialize(serialize(schedule))
    for step in (0, 2, 3, 20, 49, 50):
        assert float(restored(step)) == float(schedule(step))


def test_a_schedule_at_another_pace_ends_where_it_would_have_ended():
    settings = OptimizerSettings(learning_rate=RATE, scheduler="cosine", warmup_steps=WARMUP)
    plain = make_schedule(settings, STEPS)
    paced = PacedSchedule(plain)
    traced = tf.function(paced)
    np.testing.assert_allclose([traced(tf.constant(step)) for step in range(0, 100, 10)], plain(np.arange(0, 100, 10)))
    paced.change(updates=100, place=100, pace=0.5, factor=0.7)  # half of the workers: twice the updates
    assert float(traced(tf.constant(100))) == pytest.approx(0.7 * float(plain(100)))
    assert float(traced(tf.constant(101))) == pytest.approx(0.7 * float(plain(100.5)))
    assert float(traced(tf.constant(100 + 2 * (STEPS - 100)))) == pytest.approx(0, abs=1e-6)
