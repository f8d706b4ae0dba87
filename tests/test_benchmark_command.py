"""benchmark.py from end to end, on networks of a few features."""

import json

import pytest

from tests.commands import call, call_well, refused, run_well

SMALL = ["--patch-size", 8, 8, 8, "--features", 4, 8, "--device", "cpu", "--warmup", 1, "--steps", 3]


@pytest.mark.slow
def test_a_report_is_one_line_of_json_and_the_tables_stand_elsewhere():
    done = call_well("benchmark.py", *SMALL, "--mode", "predict", "--batch-size", 3, "--json", "-", "--roofline")
    report = json.loads(done.out)
    assert report["settings"] | {"mode": "predict", "batch_size": 3, "patch_size": [8, 8, 8]} == report["settings"]
    assert report["settings"]["features"] == [4, 8]
    assert report["machine"]["cores"] > 0
    assert report["roofline"]["share"] > 0
    latency = report["result"]["latency_seconds"]
    assert latency["p50"] <= latency["p90"] <= latency["p95"] <= latency["p99"]
    assert report["result"]["images_per_second"] == pytest.approx(3 / latency["mean"])
    assert "throughput (img/s)" in done.err
    assert "% of the roofline" in done.err


@pytest.mark.slow
def test_two_workers_on_real_patches_are_compared_with_one(small_config_file, small_shards, tmp_path):
    pytest.importorskip("horovod", reason="Horovod is not installed: make setup")
    reports = tmp_path / "reports.json"
    real = ["--task", small_config_file, "--data", "shards", "--shards", small_shards, "--dim", 2, "--device", "cpu"]
    words = [*real, "--warmup", 1, "--steps", 2, "--batch-size", 2, "--json", reports]
    call_well("benchmark.py", *words)
    done = run_well("benchmark.py", *words, "--gpus", 2, "--compare", reports)
    assert "workers: 2 here, 1 there" in done.out
    assert done.out.count("throughput (img/s)") == 2  # of one worker only: the report, and the comparison
    assert [json.loads(line)["settings"]["workers"] for line in reports.read_text().splitlines()] == [1, 2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--patch-size", 18, 16, 16], ["--patch-size", "20 16 16"]),
        (["--compare", "no/such.json"], ["no/such.json", "no such file"]),
        (["--data", "shards", "--shards", "no-such-folder"], ["no-such-folder", "preprocess.py"]),
        (["--data", "shards", "--channels", 3], ["--channels"]),
        (["--json", "/proc/none/report.json"], ["/proc/none"]),
        (["--steps", 0], ["--steps"]),
    ],
)
def test_mistakes_are_told_in_one_line_before_anything_is_measured(words, said):
    refused(call("benchmark.py", *words), *said)


def test_a_processor_gets_no_xla():
    refused(call("benchmark.py", *SMALL, "--xla"), "--xla", "GPU")
