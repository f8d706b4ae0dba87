"""Numbers in headers do not depend on how the process writes a decimal."""

import locale
import os
import subprocess

import numpy as np
import pytest

from data_preprocessing.images.image_file import load_image
from data_preprocessing.images.volume_io import read_image, write_label
from tests.data_preprocessing.images.formats.test_metaimage import GRID, numbers
from tests.data_preprocessing.images.formats.test_metaimage import write as write_metaimage
from tests.data_preprocessing.images.formats.test_nrrd import DIRECTIONS, write


@pytest.fixture
def comma_locale(tmp_path, monkeypatch):
    """The process writes 1,5 for 1.5 while the test runs."""
    made = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", tmp_path / "de_DE.UTF-8"], check=False)
    if made.returncode:
        pytest.skip("localedef cannot make the locale here")
    monkeypatch.setitem(os.environ, "LOCPATH", str(tmp_path))
    before = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
    yield
    locale.setlocale(locale.LC_ALL, before)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_numbers_do_not_depend_on_the_locale(tmp_path, comma_locale, suffix):
    assert locale.str(1.5) == "1,5"
    voxels = numbers("i2")
    if suffix == ".nrrd":
        lines = ["space: LPS", f"space directions: {DIRECTIONS}", "space origin: (0.1,-2.7,3e-5)"]
        path = write(tmp_path / "a.nrrd", voxels.tobytes(order="F"), lines=lines)
        expected = [[0, -4, 0, -0.1], [-1.6, 0, 1.8, 2.7], [1.2, 0, 2.4, 3e-5]]
    else:
        path = write_metaimage(tmp_path / "a.mha", voxels.tobytes(order="F"), **GRID)
        expected = [[0, -0.9, 2, 7.25], [-0.5, 0, 0, -11], [0, 1.2, 1.5, 0.3]]
    np.testing.assert_allclose(load_image(path).affine[:3], expected, atol=1e-12)
    volume = read_image((path,))
    write_label(tmp_path / f"label{suffix}", (volume.array[..., 0] > 0).astype(np.uint8), volume.source)
    np.testing.assert_array_equal(load_image(tmp_path / f"label{suffix}").affine, load_image(path).affine)
