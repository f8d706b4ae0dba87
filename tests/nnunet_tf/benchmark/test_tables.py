import io

import pytest
from rich.console import Console

from nnunet_tf.benchmark.tables import differences, print_comparison, print_report
from tests.nnunet_tf.benchmark.samples import make_report


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


def row(console, name):
    """The cells of a table's row, after its name."""
    lines = (line.strip("│").split("│") for line in console.file.getvalue().splitlines() if line.startswith("│"))
    (cells,) = (cells for cells in lines if cells[0].strip() == name)
    return [cell.strip() for cell in cells[1:]]


def test_the_report_is_shown_in_its_units(console):
    print_report(console, make_report(0.5))
    assert row(console, "throughput (img/s)") == ["4.00"]
    assert row(console, "latency (ms): p99") == ["500.0"]
    assert row(console, "waiting for batches (% of a step)") == ["25.0"]
    assert row(console, "peak memory (GiB)") == ["3.00"]
    assert row(console, "peak GPU memory (GiB)") == ["-"]
    assert "train 3D, patch 8 x 8 x 8 x 1, batch 2, 1 worker, float32; synthetic data" in console.file.getvalue()


def test_the_roofline_is_shown_with_the_share_reached(console):
    print_report(console, make_report(0.5))
    assert row(console, "convolution") == ["1.0", "0.001", "100.0"]
    assert "Reached: 2 GFLOP/s, 10% of the matrix rate; 20% of the roofline" in console.file.getvalue()


def test_the_comparison_gives_this_over_the_other(console):
    print_comparison(console, make_report(0.5), make_report(1.0))
    assert row(console, "throughput (img/s)") == ["4.00", "2.00", "2.000"]
    assert row(console, "latency (ms): mean") == ["500.0", "1000.0", "0.500"]
    assert row(console, "peak GPU memory (GiB)") == ["-", "-", "-"]


def test_what_else_is_different_is_named():
    other = make_report(xla=True, batch_size=4).model_copy(update={"versions": {"python": "3.12.0"}})
    assert differences(make_report(), other) == [
        ("batch_size", 2, 4),
        ("xla", False, True),
        ("python", "3.11.7", "3.12.0"),
    ]
    assert differences(make_report(1), make_report(2)) == []
