import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.dataset.dataset import Case, load_dataset
from data_preprocessing.dataset.memory import PROCESS_BYTES, estimate_reading
from data_preprocessing.images.image_file import read_header
from data_preprocessing.jobs.free_memory import free_memory
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards.prepare import estimate_memory


@pytest.fixture
def plan(small_config, small_data):
    return make_plan(small_config, load_dataset(small_data, small_config.dataset), 3)  # 1.5 mm


@pytest.mark.parametrize(("spacing", "growth"), [(1.5, 1.0), (3.0, 8.0), (0.75, 1.0)])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_the_estimate_is_four_float_volumes_of_the_larger_size(tmp_path, plan, spacing, growth, suffix):
    path = tmp_path / f"case{suffix}"
    nib.save(nib.Nifti1Image(np.zeros((10, 20, 30), np.int16), np.diag([spacing] * 3 + [1])), path)
    assert estimate_memory(Case("case", (path,)), plan) == PROCESS_BYTES + int(10 * 20 * 30 * growth * 4 * 4)


def test_reading_takes_less_than_preparing(tmp_path, plan):
    path = tmp_path / "case.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((10, 20, 30), np.int16), np.eye(4) * 1.5), path)
    case = Case("case", (path,))
    assert PROCESS_BYTES < estimate_reading(case) < estimate_memory(case, plan)


def test_all_channels_count(tmp_path, plan):
    paths = [tmp_path / f"case_{index:04d}.nii.gz" for index in range(2)]
    for path in paths:
        nib.save(nib.Nifti1Image(np.zeros((10, 10, 10), np.int16), np.eye(4) * 1.5), path)
    nib.save(nib.Nifti2Image(np.zeros((10, 10, 10, 2), np.int16), np.eye(4) * 1.5), tmp_path / "both.nii.gz")
    apart = estimate_memory(Case("case", tuple(paths)), plan)
    assert apart == estimate_memory(Case("both", (tmp_path / "both.nii.gz",)), plan) > PROCESS_BYTES


@pytest.mark.parametrize("content", [b"", b"not a NIfTI file", b"\x1f\x8b cut off"])
def test_an_unreadable_file_has_no_header_and_counts_as_nothing(tmp_path, plan, content):
    path = tmp_path / "case.nii.gz"
    path.write_bytes(content)
    assert read_header(path) is None
    assert estimate_reading(Case("case", (path,))) == PROCESS_BYTES
    assert estimate_memory(Case("case", (path,)), plan) == PROCESS_BYTES


def test_free_memory_leaves_some_to_others():
    import psutil

    assert 0 < free_memory() < psutil.virtual_memory().total
