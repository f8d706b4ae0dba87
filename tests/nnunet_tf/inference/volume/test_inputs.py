import dataclasses

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.dataset import Case
from data_preprocessing.images.checks.finding import Row
from data_preprocessing.transforms.normalize import Normalization
from nnunet_tf.inference.volume.inputs import (
    check_headers,
    memory_findings,
    memory_needed,
    part_of,
    read_scan,
    scan_of,
    sentence,
)
from tests.data_preprocessing.samples import RAS_SHAPE, anatomy, save
from tests.nnunet_tf.inference.samples import tiny_plan

CT = Normalization(name="ct", low=-100.0, high=200.0, mean=50.0, std=40.0)
CT_PLAN = tiny_plan(channels=("CT",), normalization=(CT,))
TWO = tiny_plan(channels=("T1", "T2"))


def rows(volume):
    return [finding.row for finding in volume.findings]


def scan(path, voxels, **options):
    return Case("scan", (save(path / "scan.nii.gz", voxels, **options),))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("plan", "background"), [(CT_PLAN, -1000.0), (tiny_plan(), 0.0)])
def test_voxels_that_are_no_numbers_become_background_and_are_told_of(tmp_path, value, plan, background):
    voxels = anatomy(dtype=np.float32)
    voxels[0, 0, 0], voxels[1:, 2, 3] = -1000, value
    volume = read_scan(scan(tmp_path, voxels), [plan])
    expected = np.where(np.isfinite(voxels), voxels, background)
    np.testing.assert_array_equal(volume.array[..., 0], expected.transpose(2, 1, 0))
    (finding,) = [each for each in volume.findings if each.row == Row.NOT_FINITE]
    said = f"{tmp_path / 'scan.nii.gz'}: 2 voxels are NaN or Inf; taken for background, {background:g}"
    assert (finding.level, sentence(finding)) == ("warning", said)


def test_an_image_without_any_number_is_background_throughout(tmp_path):
    volume = read_scan(scan(tmp_path, np.full(RAS_SHAPE, np.nan, np.float32)), [CT_PLAN])
    assert not volume.array.any()
    assert Row.CONSTANT in rows(volume)


def test_the_channel_file_that_has_nan_is_named_and_the_other_stays(tmp_path):
    bad = anatomy(dtype=np.float32)
    bad[0, 0, 0] = np.nan
    files = save(tmp_path / "p_0000.nii", anatomy()), save(tmp_path / "p_0001.nii", bad)
    volume = read_scan(Case("p", files), [TWO])
    assert [finding.file for finding in volume.findings] == [str(files[1])]
    np.testing.assert_array_equal(volume.array[..., 0], anatomy().transpose(2, 1, 0))
    assert volume.array[0, 0, 0, 1] == 0


def test_a_scan_of_unknown_orientation_gets_the_warning_of_checking(tmp_path):
    image = nib.Nifti1Image(anatomy(), None)
    image.set_sform(np.eye(4), code=0)
    image.set_qform(np.eye(4), code=0)
    nib.save(image, tmp_path / "scan.nii")
    volume = read_scan(Case("scan", (tmp_path / "scan.nii",)), [tiny_plan()])
    assert rows(volume) == [Row.NO_ORIENTATION]
    assert "left and right are assumed" in sentence(volume.findings[0])


def test_a_single_slice_for_a_3d_network_is_told_of(tmp_path):
    case = scan(tmp_path, anatomy((4, 5)), affine=np.eye(4))
    for plans, expected in (
        ([tiny_plan()], [Row.SINGLE_SLICE]),
        ([tiny_plan(2)], []),
        ([tiny_plan(2), tiny_plan()], [Row.SINGLE_SLICE]),
    ):
        volume = read_scan(case, plans)
        assert rows(volume) == expected
        assert {finding.level for finding in volume.findings} <= {"warning"}


def test_a_ct_that_is_none_and_a_blank_channel_are_told_of():
    volume = scan_of(nib.Nifti1Image(anatomy(), np.eye(4)), [CT_PLAN])
    assert rows(volume) == [Row.NOT_HOUNSFIELD]
    blank = np.stack([anatomy(), np.zeros_like(anatomy())], axis=-1)
    assert rows(scan_of(nib.Nifti1Image(blank, np.eye(4)), [TWO])) == [Row.CONSTANT]


def test_a_normal_scan_is_passed_on_without_a_word(tmp_path):
    volume = read_scan(scan(tmp_path, anatomy()), [tiny_plan()])
    assert volume.findings == ()
    in_memory = scan_of(nib.load(tmp_path / "scan.nii.gz"), [tiny_plan()])
    np.testing.assert_array_equal(in_memory.array, volume.array)
    assert in_memory.spacing == volume.spacing


def test_another_number_of_channels_is_refused_by_the_headers_alone(tmp_path):
    good = scan(tmp_path, anatomy((*RAS_SHAPE, 2)))
    split = Case("p", tuple(save(tmp_path / f"p_000{n}.nii", anatomy()) for n in range(2)))
    check_headers([good, split], TWO)
    short = dataclasses.replace(split, images=split.images[:1])
    header_alone = tmp_path / "cut.nii"
    header_alone.write_bytes(split.images[0].read_bytes()[:352])
    for case, found in ((short, "1 channel"), (Case("cut", (header_alone,)), "1 channel")):
        with pytest.raises(UserError, match=f"{case.images[0]}: {found} where Task91_Tiny has 2"):
            check_headers([good, case], TWO)
    (tmp_path / "junk.nii").write_bytes(b"junk")
    check_headers([Case("junk", (tmp_path / "junk.nii",))], TWO)


def test_a_case_that_takes_more_memory_than_is_free_is_told_of(tmp_path):
    case = scan(tmp_path, anatomy())
    needed = memory_needed(case, [tiny_plan(), tiny_plan(2)])
    assert memory_findings(case, [tiny_plan()], free=needed) == []
    (finding,) = memory_findings(case, [tiny_plan()], free=needed - 1)
    assert (finding.level, finding.row) == ("warning", Row.MEMORY)
    finer = tiny_plan(spacing=(0.1, 0.1, 0.1))
    assert memory_needed(case, [tiny_plan(), finer]) == memory_needed(case, [finer]) > needed


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 9])
def test_parts_are_disjoint_complete_and_equally_long(parts):
    cases = [Case(str(number), ()) for number in range(7)]
    split = [part_of(cases, part, parts) for part in range(1, parts + 1)]
    assert sorted(case.name for part in split for case in part) == [case.name for case in cases]
    assert max(map(len, split)) - min(map(len, split)) <= 1
