import os

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.dataset.dataset import Case, Dataset
from data_preprocessing.jobs import process_pool as scheduler
from data_preprocessing.jobs.backend import Processes
from data_preprocessing.planning import fingerprint as module
from data_preprocessing.planning.fingerprint import (
    FINGERPRINT_NAME,
    Fingerprint,
    channel_intensities,
    collect,
    collect_case,
    files_hash,
    load_or_collect,
    read_fingerprint,
    write_fingerprint,
)
from tests.data_preprocessing.fingerprints import make_case, same_cases
from tests.data_preprocessing.samples import LAYOUTS, OBLIQUE, RAS_SHAPE, anatomy, refused, save

SHAPE = (6, 5, 4)  # (x, y, z) of the files written here


def write_case(folder, name, image, label, affine=None) -> Case:
    """Writes voxels `(x, y, z)` or `(x, y, z, channel)` and their label."""
    affine = np.eye(4) if affine is None else affine
    image_path = save(folder / "imagesTr" / f"{name}.nii.gz", np.asarray(image, np.float32), affine)
    return Case(name, (image_path,), save(folder / "labelsTr" / f"{name}.nii.gz", np.asarray(label, np.uint8), affine))


def dataset_of(folder, *cases, channels=("MRI",)) -> Dataset:
    return Dataset(folder, channels, {0: "background", 1: "organ", 4: "lesion"}, cases)


def random_dataset(folder, count=5, channels=("MRI",)) -> Dataset:
    random = np.random.default_rng(0)
    cases = [
        write_case(
            folder, f"case_{index}", random.normal(100, 20, (*SHAPE, len(channels))), random.integers(0, 3, SHAPE)
        )
        for index in range(count)
    ]
    return dataset_of(folder, *cases, channels=channels)


@pytest.mark.parametrize("layout", [*LAYOUTS[::5], *OBLIQUE], ids=str)
def test_shape_and_spacing_are_those_of_the_ras_volume_whatever_the_file_s_axes(tmp_path, layout):
    case = write_case(tmp_path, "a", layout.voxels(anatomy()), layout.voxels(anatomy()) > 0, layout.affine())
    geometry, _ = collect_case(case, dataset_of(tmp_path, case), samples=1)
    assert geometry.shape == RAS_SHAPE[::-1] == (5, 4, 3)
    np.testing.assert_allclose(geometry.spacing, (2.5, 1.5, 0.5), rtol=1e-6)


def test_spacing_comes_from_the_affine_and_not_from_pixdim(tmp_path):
    case = write_case(tmp_path, "a", np.ones(SHAPE), np.ones(SHAPE))
    image = nib.Nifti1Image(np.ones(SHAPE, np.float32), None)
    image.set_sform(np.diag([2.0, 3.0, 4.0, 1.0]), code=1)
    image.header["pixdim"][1:4] = 9
    for path in (*case.images, case.label):
        nib.save(image, path)
    assert nib.load(case.images[0]).header.get_zooms() == (9, 9, 9)
    geometry, _ = collect_case(case, dataset_of(tmp_path, case), samples=1)
    assert geometry.spacing == (4.0, 3.0, 2.0)


@pytest.mark.parametrize("value", [7, -7])
def test_the_box_holds_what_is_not_zero(tmp_path, value):
    image = np.zeros(SHAPE)
    image[1, 2, 3] = image[4, 3, 3] = value
    case = write_case(tmp_path, "a", image, np.ones(SHAPE))
    geometry, _ = collect_case(case, dataset_of(tmp_path, case), samples=1)
    assert geometry.box_shape == (1, 2, 4)
    assert geometry.box_share == pytest.approx(8 / 120)


def test_the_box_is_that_of_all_channels_together(tmp_path):
    image = np.zeros((*SHAPE, 2))
    image[0, 0, 0, 0] = image[2, 1, 0, 1] = 1
    case = write_case(tmp_path, "a", image, np.ones(SHAPE))
    geometry, _ = collect_case(case, dataset_of(tmp_path, case, channels=("T1", "T2")), samples=1)
    assert geometry.box_shape == (1, 2, 3)


def test_an_all_zero_image_keeps_its_extent(tmp_path):
    case = write_case(tmp_path, "a", np.zeros(SHAPE), np.ones(SHAPE))
    geometry, _ = collect_case(case, dataset_of(tmp_path, case), samples=1)
    assert (geometry.box_shape, geometry.box_share) == (SHAPE[::-1], 1.0)


def test_a_case_gives_as_many_voxels_as_asked_for_all_from_its_foreground(tmp_path):
    image, label = anatomy(SHAPE).astype(np.float32), np.zeros(SHAPE)
    label[2:4, 1:3, 0] = (1, 4)
    case = write_case(tmp_path, "a", np.stack([image, -image], axis=-1), label)
    _, voxels = collect_case(case, dataset_of(tmp_path, case, channels=("T1", "T2")), samples=500)
    assert (voxels.shape, voxels.dtype) == ((500, 2), np.float32)
    assert set(voxels[:, 0]) == set(image[label > 0])
    np.testing.assert_array_equal(voxels[:, 1], -voxels[:, 0])


def test_foreground_outside_the_box_does_not_count(tmp_path):
    image, label = np.zeros(SHAPE), np.ones(SHAPE)
    image[:3] = 5
    case = write_case(tmp_path, "a", image, label)
    _, voxels = collect_case(case, dataset_of(tmp_path, case), samples=500)
    assert set(voxels[:, 0]) == {5.0}


def test_each_case_weighs_the_same_however_large_its_foreground(tmp_path):
    small, large = np.zeros(SHAPE), np.ones(SHAPE)
    small[0, 0, 0] = 1
    cases = [write_case(tmp_path, "a", np.full(SHAPE, 10), small), write_case(tmp_path, "b", np.full(SHAPE, 20), large)]
    (found,) = collect(dataset_of(tmp_path, *cases)).intensities
    assert (found.mean, found.std, found.low, found.high) == (15.0, 5.0, 10.0, 20.0)


def test_a_case_without_foreground_counts_for_its_size_only(tmp_path):
    cases = [
        write_case(tmp_path, "a", np.full(SHAPE, 10), np.zeros(SHAPE)),
        write_case(tmp_path, "b", np.full(SHAPE, 20), np.ones(SHAPE)),
    ]
    fingerprint = collect(dataset_of(tmp_path, *cases))
    assert [case.name for case in fingerprint.cases] == ["a", "b"]
    assert fingerprint.intensities[0].mean == 20.0


def test_channels_are_kept_apart(tmp_path):
    image = np.stack([np.full(SHAPE, 3), np.full(SHAPE, 8)], axis=-1)
    case = write_case(tmp_path, "a", image, np.ones(SHAPE))
    fingerprint = collect(dataset_of(tmp_path, case, channels=("T1", "T2")))
    assert [channel.mean for channel in fingerprint.intensities] == [3.0, 8.0]


def test_percentiles_mean_and_deviation_are_those_of_the_voxels():
    found = channel_intensities(np.arange(1001, dtype=np.float32))
    assert (found.low, found.high, found.mean) == (5.0, 995.0, 500.0)
    assert found.std == pytest.approx(np.sqrt((1001**2 - 1) / 12))


def test_large_values_do_not_lose_their_mean_in_single_precision():
    assert channel_intensities(np.full(1_000_003, 16_777_213, np.float32)).mean == 16_777_213


def test_the_voxels_of_a_whole_data_set_are_bounded(tmp_path, monkeypatch):
    pooled = []
    monkeypatch.setattr(module, "SAMPLED_VOXELS", 33)
    monkeypatch.setattr(
        module, "channel_intensities", lambda voxels: pooled.append(len(voxels)) or channel_intensities(voxels)
    )
    collect(random_dataset(tmp_path, count=5, channels=("T1", "T2")))
    assert pooled == [30, 30]


def test_the_result_does_not_depend_on_the_number_of_processes_or_the_order_of_cases(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAMPLED_VOXELS", 200)  # few, so that another draw would show
    dataset = random_dataset(tmp_path)
    fingerprint = collect(dataset)
    reversed_order = collect(dataset_of(tmp_path, *dataset.training[::-1]))
    monkeypatch.setattr(scheduler, "BYTES_WORTH_PROCESSES", 0)  # otherwise so small a data set is left to one process
    assert collect(dataset, Processes(2)) == fingerprint
    assert (reversed_order.cases, reversed_order.intensities) == (fingerprint.cases, fingerprint.intensities)


def test_two_cases_with_the_same_voxels_draw_differently(tmp_path):
    cases = [write_case(tmp_path, name, anatomy(SHAPE), np.ones(SHAPE)) for name in "ab"]
    (_, first), (_, second) = (collect_case(case, dataset_of(tmp_path, *cases), samples=50) for case in cases)
    assert (first != second).any()


def test_progress_is_told_after_each_case(tmp_path):
    told = []
    collect(random_dataset(tmp_path, count=3), on_case=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_case_with_other_channels_than_the_data_set_is_refused(tmp_path):
    case = write_case(tmp_path, "a", np.ones(SHAPE), np.ones(SHAPE))
    with refused(case.images[0], "1 channel where dataset.json lists 2"):
        collect(dataset_of(tmp_path, case, channels=("T1", "T2")))


def test_a_case_without_a_label_is_refused(tmp_path):
    case = write_case(tmp_path, "a", np.ones(SHAPE), np.ones(SHAPE))
    with refused("case a", "has no label"):
        collect(dataset_of(tmp_path, Case("a", case.images)))


def test_a_label_on_another_grid_is_refused_unless_trusted(tmp_path):
    case = write_case(tmp_path, "a", np.full(SHAPE, 10), np.ones(SHAPE))
    save(case.label, np.ones(SHAPE, np.uint8), np.diag([1.0, 1.0, 1.1, 1.0]))
    with refused(case.label):
        collect(dataset_of(tmp_path, case))
    assert collect(dataset_of(tmp_path, case), trust_grid=True).intensities[0].mean == 10


def test_a_data_set_without_any_foreground_is_refused(tmp_path):
    case = write_case(tmp_path, "a", np.ones(SHAPE), np.zeros(SHAPE))
    with refused(tmp_path, "no label file holds any foreground"):
        collect(dataset_of(tmp_path, case))


def test_a_damaged_file_is_refused_from_a_worker_process_too(tmp_path):
    dataset = random_dataset(tmp_path, count=2)
    dataset.training[1].images[0].write_bytes(b"")
    with refused(dataset.training[1].images[0], "empty"):
        collect(dataset, Processes(2))


def test_a_fingerprint_reads_back_as_it_was_written(tmp_path):
    fingerprint = same_cases(3, (7, 8, 9), (1 / 3, 0.1, 2.0), channels=("CT", "PET"))
    write_fingerprint(tmp_path, fingerprint)
    assert read_fingerprint(tmp_path, "collect it again") == fingerprint


def test_a_missing_fingerprint_is_refused_ending_in_the_remedy(tmp_path):
    with refused(tmp_path / FINGERPRINT_NAME, "no such file; collect it again$"):
        read_fingerprint(tmp_path, "collect it again")


def test_half_a_fingerprint_is_refused(tmp_path):
    path = tmp_path / FINGERPRINT_NAME
    write_fingerprint(tmp_path, same_cases(3, (7, 8, 9), (1, 1, 1)))
    path.write_bytes(path.read_bytes()[:100])
    with refused(path, "collect it again$"):
        read_fingerprint(tmp_path, "collect it again")


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_share_that_cannot_be_is_refused(share):
    with pytest.raises(ValueError, match="box_share"):
        make_case(box_share=share)


def test_the_hash_of_the_files_tells_a_changed_file_and_another_set_of_cases(tmp_path):
    dataset = random_dataset(tmp_path, count=3)
    before = files_hash(dataset)
    assert before == files_hash(dataset) == collect(dataset).files_hash
    assert files_hash(dataset_of(tmp_path, *dataset.training[:2])) != before
    status = dataset.training[0].label.stat()
    os.utime(dataset.training[0].label, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    assert files_hash(dataset) != before


def test_a_fingerprint_is_frozen():
    fingerprint: Fingerprint = same_cases(1, (7, 8, 9), (1, 1, 1))
    with pytest.raises(ValueError, match="frozen"):
        fingerprint.dataset = "other"


def test_a_kept_fingerprint_is_used_until_a_file_changes(tmp_path):
    dataset = random_dataset(tmp_path / "data", count=5)
    first = load_or_collect(tmp_path, dataset)
    told = []
    assert load_or_collect(tmp_path, dataset, on_case=lambda done, total: told.append(done)) == first
    assert told == []
    os.utime(dataset.training[0].images[0], ns=(1, 1))
    assert load_or_collect(tmp_path, dataset, on_case=lambda done, total: told.append(done)).cases == first.cases
    assert told == [1, 2, 3, 4, 5]


def test_a_fingerprint_that_cannot_be_read_is_collected_anew(tmp_path):
    dataset = random_dataset(tmp_path / "data", count=5)
    first = load_or_collect(tmp_path, dataset)
    (tmp_path / FINGERPRINT_NAME).write_text("{}")
    assert load_or_collect(tmp_path, dataset) == first
