import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from data_preprocessing.shards import report
from data_preprocessing.shards.format import CaseRecord, open_shards, record_path
from data_preprocessing.shards.pipeline import Summary
from data_preprocessing.shards.report import save_sheet, summary_table
from tests.data_preprocessing.samples import middle_of_colour, write_square

CASES = [f"phantom_{index:03d}" for index in range(6)]


@pytest.fixture(params=[2, 3])
def folder(request, small_shards):
    return small_shards / f"task90_{request.param}d"


def test_the_table_adds_up_the_cases(folder):
    plan, manifest = open_shards(folder, "")
    records = [CaseRecord.model_validate_json(record_path(folder, case).read_text()) for case in manifest.cases]
    console = Console(record=True, width=200)
    console.print(summary_table(Summary(folder, records), plan))
    text = console.export_text()
    lesions = sum(np.count_nonzero(np.load(folder / f"{case}_y.npy") == 2) for case in CASES)
    assert f"{lesions:,}" in next(line for line in text.splitlines() if "lesion" in line)
    assert "6" in next(line for line in text.splitlines() if "cases" in line)
    assert str(folder) in text


def test_the_sheet_shows_every_case_with_outlines(folder, tmp_path):
    assert save_sheet(tmp_path / "sheet.png", folder, CASES) == 6
    picture = imread(tmp_path / "sheet.png")[..., :3]
    columns = np.ptp(picture, axis=-1).max(axis=0) > 0.3  # coloured somewhere in this column of pixels
    tiles = np.array_split(columns, 6)
    assert all(tile.any() for tile in tiles)


def test_a_large_data_set_is_drawn_in_part(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "MOST_PICTURES", 4)
    assert save_sheet(tmp_path / "sheet.png", folder, CASES) == 4


@pytest.mark.parametrize(("suffix", "high"), [(".png", True), (".nii.gz", False)])
def test_pictures_stand_upright_in_the_sheet(tmp_path, suffix, high):
    folder, _ = write_square(tmp_path, suffix)
    save_sheet(tmp_path / "sheet.png", folder, ["square"])
    row, column = middle_of_colour(tmp_path / "sheet.png")
    assert (row < 0.5) == high
    assert column < 0.5
