import subprocess
import sys
from xml.dom import minidom

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.common.colors import PALETTE, distinct_colors
from data_preprocessing.images.label_table import label_names, set_label_names
from data_preprocessing.images.volume_io import read_image, write_label
from tests.data_preprocessing.samples import OBLIQUE, RAS, anatomy, save

NAMES = {0: "background", 4: "left & <right>", 7: "Tumeur n° 1 ]]> fin"}


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_names_are_read_as_totalsegmentator_reads_them_and_voxels_stay(tmp_path, suffix, kind):
    layout = OBLIQUE[0]
    source = read_image((save(tmp_path / f"scan{suffix}", layout.voxels(anatomy()), layout.affine(), kind),)).source
    labels = np.random.default_rng(0).choice(np.array([0, 4, 7], np.uint8), (5, 4, 3)[: source.ndim])
    labels = np.resize(labels, tuple(reversed(anatomy().shape)))
    write_label(tmp_path / f"plain{suffix}", labels, source)
    write_label(tmp_path / f"label{suffix}", labels, source, NAMES)
    plain, image = nib.load(tmp_path / f"plain{suffix}"), nib.load(tmp_path / f"label{suffix}")
    np.testing.assert_array_equal(np.asarray(image.dataobj), np.asarray(plain.dataobj))
    np.testing.assert_array_equal(image.affine, plain.affine)
    first = image.header.extensions[0]
    assert first.get_code() == 0
    table = minidom.parseString(first.get_content()).getElementsByTagName("LabelTable")[0]  # no byte after the XML
    found = {
        int(label.getAttribute("Key")): "".join(node.data for node in label.childNodes)
        for label in table.getElementsByTagName("Label")
    }
    assert found == NAMES == label_names(image.header)
    assert "]]>" not in first.get_content().decode().replace("]]></", "").replace("]]]]><![CDATA[>", "")


def test_names_replace_older_ones_and_keep_other_extensions(tmp_path):
    image = nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), np.eye(4))
    image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"a comment"))
    set_label_names(image.header, {1: "old"})
    copy = image.header.copy()
    set_label_names(copy, {1: "new"})
    assert label_names(copy) == {1: "new"}
    assert label_names(image.header) == {1: "old"}
    assert [each.get_code() for each in copy.extensions] == [0, 6]


def test_a_broken_table_names_nothing():
    image = nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), np.eye(4))
    image.header.extensions.append(nib.nifti1.Nifti1Extension(0, b"<CaretExtension><Label Key='x'>"))
    assert label_names(image.header) == {}


def test_simpleitk_reads_a_file_with_names(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    source = read_image((save(tmp_path / "scan.nii.gz", RAS.voxels(anatomy()), RAS.affine()),)).source
    labels = np.ones(tuple(reversed(anatomy().shape)), np.uint8)
    write_label(tmp_path / "label.nii.gz", labels, source, {number: "x" * number for number in range(200)})
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "label.nii.gz"))).sum() == labels.size


def test_colors_are_all_different_visible_and_stable():
    many = distinct_colors(255)
    assert len(set(many)) == 255
    assert many[: len(PALETTE)] == list(PALETTE)
    assert distinct_colors(20) == many[:20]
    channels = np.array([tuple(bytes.fromhex(color[1:])) for color in many], int)
    assert np.ptp(channels, axis=1).min() > 20  # none is gray
    assert channels.max(axis=1).min() > 60  # none is black


@pytest.mark.slow
def test_colors_take_no_time_to_import():
    code = "import sys, data_preprocessing.common.colors; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
