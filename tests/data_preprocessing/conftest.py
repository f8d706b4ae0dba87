"""Files that several test modules of this folder start from."""

from pathlib import Path

import pytest

from tests.data_preprocessing.samples import anatomy, save


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """An uncompressed NIfTI file of int16."""
    return save(tmp_path / "case.nii", anatomy())
