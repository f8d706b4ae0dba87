import pytest
from matplotlib.axes import Axes

from nnunet_tf.evaluation.metrics.scores import Score
from nnunet_tf.evaluation.reports.box_plot import save_box_plot
from nnunet_tf.evaluation.summaries.summary import evaluation


def scores(nsd):
    return [
        Score(case=case, structure=name, value=value, dice=dice, nsd=None if dice is None else nsd)
        for case, row in {"a": (0.5, None), "b": (0.9, 0.2)}.items()
        for value, (name, dice) in enumerate(zip(("liver", "tumour"), row, strict=True), start=1)
    ]


@pytest.mark.parametrize(
    ("nsd", "expected"),
    [(None, [[[0.5, 0.9], [0.2]]]), (0.7, [[[0.5, 0.9], [0.2]], [[0.7, 0.7], [0.7]]])],
    ids=["Dice alone", "with NSD"],
)
def test_a_box_holds_the_counted_scores_of_its_class(tmp_path, monkeypatch, nsd, expected):
    drawn = []
    original = Axes.boxplot

    def record(self, columns, **options):
        drawn.append(columns)
        return original(self, columns, **options)

    monkeypatch.setattr(Axes, "boxplot", record)
    save_box_plot(tmp_path / "plot.png", evaluation(scores(nsd), worst=1))
    assert drawn == expected
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_class_in_no_case_and_many_classes_can_be_drawn(tmp_path):
    rows = [Score(case="a", structure=f"organ {n}", value=n, dice=None if n == 3 else 0.5) for n in range(1, 42)]
    save_box_plot(tmp_path / "plot.png", evaluation(rows, worst=1))
    save_box_plot(tmp_path / "empty.png", evaluation(rows[2:3], worst=1))
    assert (tmp_path / "plot.png").stat().st_size > (tmp_path / "empty.png").stat().st_size
