import pytest
from matplotlib.lines import Line2D

from data_preprocessing.common.figure import new_figure


@pytest.mark.parametrize(
    "name", ["$", "a $x$ b", "$\\no{such$", "$\\frac{1$", "[/x]", "_hidden", "a_b^c", "%#&~", "肝"]
)
def test_any_name_can_be_drawn_and_stays_as_it_is(tmp_path, name, recwarn):
    figure = new_figure(3, 3)
    axes = figure.subplots()
    axes.set_title(name)
    axes.set_yticks([0], [name])
    legend = figure.legend(handles=[Line2D([], [], label=name)], loc="outside lower center")
    figure.suptitle(name)
    figure.savefig(tmp_path / "a.png", dpi=20)
    assert [text.get_text() for text in legend.get_texts()] == [name]
    assert not axes.title.get_parse_math()
    assert all("Glyph" in str(warning.message) for warning in recwarn)
