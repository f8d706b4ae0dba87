import statistics

import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.benchmark.report import Report, append_report, check_appendable, last_of_kind, latency, read_reports
from tests.nnunet_tf.benchmark.samples import make_report


def test_latencies_are_the_percentiles_of_the_standard_library():
    seconds = np.random.default_rng(0).gamma(2, size=(2, 100))  # two workers
    found = latency(seconds)
    expected = statistics.quantiles(seconds.ravel(), n=100, method="inclusive")
    for percent, value in ((50, found.p50), (90, found.p90), (95, found.p95), (99, found.p99)):
        assert value == pytest.approx(expected[percent - 1])
    assert found.mean == pytest.approx(statistics.fmean(seconds.ravel()))


def test_a_single_step_is_all_percentiles():
    assert set(latency(np.array([0.25])).model_dump().values()) == {0.25}


def test_reports_are_appended_a_line_each_and_read_back_the_same(tmp_path):
    path = tmp_path / "reports.json"
    reports = [make_report(0.5), make_report(0.25, mode="predict")]
    for report in reports:
        append_report(path, report)
    assert len(path.read_text().splitlines()) == 2
    assert read_reports(path) == reports


def test_the_last_report_of_the_mode_and_dimension_is_compared_with(tmp_path):
    path = tmp_path / "reports.json"
    for report in (make_report(1), make_report(2), make_report(3, dim=2), make_report(4, mode="predict")):
        append_report(path, report)
    assert last_of_kind(path, "train", 3) == make_report(2)
    with pytest.raises(UserError, match="none of its 4 reports is of --mode predict --dim 2"):
        last_of_kind(path, "predict", 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no such file"), ("{", "Invalid JSON"), ('{"format": 1}', "measured_at: Field required"), ("\xff", "read")],
)
def test_a_file_that_holds_no_reports_is_told_in_one_line(tmp_path, content, said):
    path = tmp_path / "reports.json"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=said) as told:
        read_reports(path)
    assert str(path) in str(told.value)


def test_a_report_that_cannot_be_written_names_the_file(tmp_path):
    with pytest.raises(UserError, match=str(tmp_path / "missing" / "reports.json")):
        append_report(tmp_path / "missing" / "reports.json", make_report())


def test_a_line_without_roofline_is_read_too():
    report = make_report().model_copy(update={"roofline": None})
    assert Report.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize("content", ["{}\n", "task: 04\n", '{"format": 1}', b"\xff\xfe"])
def test_reports_are_not_added_to_a_file_of_another_kind(tmp_path, content):
    path = tmp_path / "plan.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError):
        check_appendable(path)
    with pytest.raises(UserError):
        check_appendable(tmp_path)
    check_appendable(tmp_path / "new" / "reports.json")
    append_report(tmp_path / "new" / "reports.json", make_report(1.0))
    check_appendable(tmp_path / "new" / "reports.json")
