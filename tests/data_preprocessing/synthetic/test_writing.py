import json
import subprocess
import sys
from pathlib import Path

import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.synthetic.writing import write_cases
from tests.commands import ROOT


def write(folder, count=4, name="Made up"):
    def write_case(index: int, image: Path, label: Path) -> None:
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)

    write_cases(folder, [f"case_{index:03d}.nii" for index in range(count)], write_case, {"name": name})


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_data_set_is_written_again_over_its_own_files(tmp_path):
    write(tmp_path / "data", 6)
    write(tmp_path / "data", 4)
    (tmp_path / "data" / "dataset.json").unlink()  # as a killed run leaves it
    write(tmp_path / "data", 5)
    assert len(json.loads((tmp_path / "data" / "dataset.json").read_text())["training"]) == 4


@pytest.mark.parametrize("holds", ["dataset.json", "imagesTr/scan.nii.gz", "labelsTs/case_x.nii"])
def test_other_data_are_never_written_over(tmp_path, holds):
    file = tmp_path / "data" / holds
    file.parent.mkdir(parents=True)
    file.write_text('{"name": "Hippocampus"}')
    before = contents(tmp_path)
    with pytest.raises(UserError):
        write(tmp_path / "data")
    assert contents(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("module", ["phantom", "surface"])
def test_what_the_user_must_mend_is_one_line(tmp_path, module):
    (tmp_path / "dataset.json").write_text("{}")
    command = [sys.executable, "-m", f"data_preprocessing.{module}", "--output", str(tmp_path), "--cases", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert str(tmp_path) in done.stderr


def test_fewer_cases_over_an_older_data_set_leave_none_of_the_older_ones(tmp_path):
    description = {"name": "Made up"}

    def write(index, image, label):
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    write_cases(tmp_path, [f"a_{number}.nii.gz" for number in range(8)], write, description)
    (tmp_path / "imagesTr" / "notes.txt").touch()
    write_cases(tmp_path, [f"a_{number}.nii.gz" for number in range(4)], write, description)
    assert sorted(path.name for path in (tmp_path / "imagesTr").iterdir()) == [
        *(f"a_{number}.nii.gz" for number in range(3)),
        "notes.txt",
    ]
    assert [path.name for path in (tmp_path / "labelsTs").iterdir()] == ["a_3.nii.gz"]
