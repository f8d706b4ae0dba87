import csv
import math

from nnunet_tf.evaluation.metrics.scores import Score
from nnunet_tf.evaluation.reports.csv_file import write_csv


def test_a_row_a_score_with_empty_fields_for_what_is_not_counted(tmp_path):
    found = Score(case="a", structure="liver, left", value=1, outcome="missed", dice=0.0, hd95_mm=math.inf)
    absent = Score(case="b", structure="liver, left", value=1, outcome="absent", dice=None)
    write_csv(tmp_path / "scores.csv", [found, absent])
    with open(tmp_path / "scores.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["case"], row["structure"], row["outcome"]) for row in rows] == [
        ("a", "liver, left", "missed"),
        ("b", "liver, left", "absent"),
    ]
    assert (float(rows[0]["dice"]), float(rows[0]["hd95_mm"])) == (0, math.inf)
    assert rows[1]["dice"] == rows[1]["nsd"] == ""
