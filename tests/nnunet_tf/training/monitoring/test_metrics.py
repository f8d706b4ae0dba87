import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.training.monitoring.metrics import (
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


def validated_every(epochs, *scores):
    """A history whose every so many epochs end with a validation."""
    return history(*(score for each in scores for score in (*[None] * (epochs - 1), each)))


@pytest.mark.parametrize("gap", [1, 2, 3, 10])
def test_the_average_starts_at_the_first_dice_and_remembers_nine_tenths_an_epoch(gap):
    best = best_epoch(validated_every(gap, 0.5, 0.9))
    assert best.epoch == 2 * gap - 1
    assert best.average_dice == pytest.approx(0.9**gap * 0.5 + (1 - 0.9**gap) * 0.9)


@pytest.mark.parametrize("gap", [1, 4, 10])
def test_epochs_between_validations_count_as_if_they_had_the_next_ones_dice(gap):
    scores = [0.3, 0.5, 0.4, 0.7, 0.2]
    average = scores[0]
    for score in scores[1:]:
        for _ in range(gap):  # nnU-Net's average, an epoch at a time
            average = 0.9 * average + 0.1 * score
    assert best_epoch(validated_every(gap, *scores)).latest_average == pytest.approx(average)


def test_validations_need_not_be_equally_far_apart():
    best = best_epoch(history(0.5, None, None, 0.9, None, 0.7))
    expected = 0.9**3 * 0.5 + (1 - 0.9**3) * 0.9
    assert best.latest_average == pytest.approx(0.9**2 * expected + (1 - 0.9**2) * 0.7)


FALLING = (0.50, 0.80, 0.90, 0.88, 0.85, 0.82, 0.80, 0.78, 0.76, 0.74)


def test_a_run_that_gets_worse_keeps_an_epoch_near_its_best_validation_not_its_last():
    assert best_epoch(validated_every(10, *FALLING)).epoch == 39  # of 0.88, an epoch of 0.90 before it


def test_patience_ends_a_run_that_gets_worse():
    falling = validated_every(10, *FALLING)
    stops = [end for end in range(1, len(falling) + 1) if out_of_patience(falling[:end], 30)]
    assert stops[0] == 70


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


@pytest.mark.parametrize("lost", ["all", "first line", "half a line", "file", "bytes"])
def test_metrics_that_are_not_those_of_the_checkpoint_are_a_line(tmp_path, lost):
    write_metrics(tmp_path, history(0.5, None, 0.9))
    path = tmp_path / "metrics.jsonl"
    text = path.read_text()
    path.write_text({"all": "", "first line": text.split("\n", 1)[1], "half a line": text[:-20]}.get(lost, text))
    if lost == "bytes":
        path.write_bytes(b"\xff\xfe\x00\n" * 3)
    if lost == "file":
        path.unlink()
    with pytest.raises(UserError, match=f"^{path}.*--overwrite"):
        read_metrics(tmp_path, 3)
    assert read_metrics(tmp_path, 0) == []


def test_a_run_with_and_without_validations_is_drawn(tmp_path):
    for scores in [(None, None), (0.5, None, 0.9)]:
        draw_metrics(tmp_path, history(*scores))
        picture = (tmp_path / "progress.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
        (tmp_path / "progress.png").rename(tmp_path / f"{len(scores)}.png")
    assert (tmp_path / "2.png").read_bytes() != (tmp_path / "3.png").read_bytes()
