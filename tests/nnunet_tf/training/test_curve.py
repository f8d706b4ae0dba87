import pytest

from nnunet_tf.training.curve import (
    EpochMetrics,
    best_epoch,
    draw_metrics,
    out_of_patience,
    read_metrics,
    write_metrics,
)


def history(*scores):
    """One epoch for each mean Dice; None where there was no validation."""
    return [
        EpochMetrics(
            epoch=epoch,
            loss=1 / (epoch + 1),
            learning_rate=0.1,
            seconds=1,
            loader_seconds=0.1,
            patches_per_second=2,
            dice=None if score is None else {"organ": score, "lesion": None},
            mean_dice=score,
        )
        for epoch, score in enumerate(scores)
    ]


def test_without_a_validation_no_epoch_is_best():
    assert best_epoch(history(None, None)) is None


def test_the_average_starts_at_the_first_dice_and_remembers_nine_tenths():
    best = best_epoch(history(0.5, None, 0.9))
    assert best.epoch == 2
    assert best.average_dice == pytest.approx(0.9 * 0.5 + 0.1 * 0.9)


def test_one_lucky_validation_is_not_best_for_long():
    best = best_epoch(history(0.8, 0.9, 0.85, 0.86, 0.2))
    assert best.epoch == 3  # the average still rises where the Dice has fallen from 0.9
    assert best.latest_average < best.average_dice


def stops_after(scores, patience):
    """How many of these epochs are trained."""
    ends = (end for end in range(1, len(scores) + 1) if out_of_patience(history(*scores[:end]), patience))
    return next(ends, None)


@pytest.mark.parametrize(
    ("scores", "patience", "epochs"),
    [
        ([0.9, 0.5, 0.5, 0.5, 0.5], 1, 2),
        ([0.9, 0.5, 0.5, 0.5, 0.5], 3, 4),
        ([0.5, 0.9, 0.5, 0.5, 0.5], 3, 5),
        ([None, 0.9, None, 0.5, None, 0.5], 3, 6),  # two epochs after the best are too few, and the next has no score
        ([None, 0.5, None, 0.6, None, 0.7], 1, None),  # it gets better at every validation
        ([None] * 6, 1, None),
        ([0.9, 0.5, 0.5], None, None),
        ([0.9, 0.5, 0.5], 3, None),
    ],
)
def test_patience_counts_epochs_after_the_best_and_ends_at_a_validation(scores, patience, epochs):
    assert not out_of_patience([], patience)
    assert stops_after(scores, patience) == epochs


def test_metrics_come_back_and_are_cut_to_the_epochs_asked_for(tmp_path):
    written = history(0.5, None, 0.9)
    write_metrics(tmp_path, written)
    assert read_metrics(tmp_path, 3) == written
    assert read_metrics(tmp_path, 2) == written[:2]


def test_a_run_with_and_without_validations_is_drawn(tmp_path):
    for scores in [(None, None), (0.5, None, 0.9)]:
        draw_metrics(tmp_path, history(*scores))
        picture = (tmp_path / "progress.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
        (tmp_path / "progress.png").rename(tmp_path / f"{len(scores)}.png")
    assert (tmp_path / "2.png").read_bytes() != (tmp_path / "3.png").read_bytes()
