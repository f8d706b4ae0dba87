"""Voxels are the numbers stored, then slope and intercept; GDCM, in SimpleITK, is the oracle where it does the same."""

import numpy as np
import pytest
import SimpleITK
from pydicom import Dataset, dcmread, uid
from pydicom.encaps import encapsulate

from data_preprocessing.images.image_file import load_image, read_header
from data_preprocessing.images.volume_io import read_image
from tests.data_preprocessing.images.formats.dicom_samples import (
    COLUMNS,
    ROWS,
    SPACING,
    encode,
    header,
    save_dataset,
    stored_numbers,
    write_enhanced,
    write_folder,
    write_slice,
)
from tests.data_preprocessing.samples import refused

PLAIN = [
    uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian
]  # fmt: skip
LOSSLESS = [
    uid.RLELossless, uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.JPEG2000
]  # fmt: skip


def voxels(folder):
    """`(slice, row, column)`, checked against what the header alone tells."""
    image = load_image(folder)
    assert read_header(folder).get_data_shape() == image.shape
    assert read_header(folder).get_data_dtype() == image.get_data_dtype()
    return np.asarray(image.dataobj).T


def gdcm(path):
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path), imageIO="GDCMImageIO"))[0]


@pytest.mark.parametrize("syntax", PLAIN + LOSSLESS, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize(
    ("low", "high", "dtype", "bits"),
    [(0, 65536, np.uint16, 16), (-2000, 3000, np.int16, 16), (0, 4096, np.uint16, 12), (0, 256, np.uint8, 8)],
)
def test_every_lossless_encoding_gives_the_numbers_stored(tmp_path, syntax, low, high, dtype, bits):
    stored = stored_numbers(low=low, high=high, dtype=dtype)
    files = write_folder(tmp_path / "s", stored, syntax=syntax, BitsStored=bits)
    np.testing.assert_array_equal(voxels(tmp_path / "s"), stored.astype(np.int32) - 1024)
    if not (syntax == uid.ExplicitVRBigEndian and bits == 8):
        np.testing.assert_array_equal(gdcm(files[2]), stored[2].astype(np.int32) - 1024)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.uint8])
def test_what_gdcm_compresses_is_read(tmp_path, dtype):
    stored = stored_numbers(1, 0, 200, dtype)
    image = SimpleITK.GetImageFromArray(stored)
    image.SetSpacing(SPACING)
    writer = SimpleITK.ImageFileWriter()
    writer.SetFileName(str(tmp_path / "one.dcm"))
    writer.SetUseCompression(True)
    writer.SetCompressor("JPEG")  # of JPEG2000 GDCM's writer spoils the memory of the process
    writer.Execute(image)
    dataset = dcmread(tmp_path / "one.dcm")
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [1, 1]
    dataset.save_as(tmp_path / "one.dcm")
    np.testing.assert_array_equal(voxels(tmp_path), stored)


def test_lossy_jpeg_is_read_as_gdcm_reads_it(tmp_path):
    stored = np.indices((1, ROWS, COLUMNS)).sum(axis=0).astype(np.uint8) * 9
    (file,) = write_folder(tmp_path / "s", stored, syntax=uid.JPEGBaseline8Bit)
    np.testing.assert_array_equal(voxels(tmp_path / "s")[0], gdcm(file))


@pytest.mark.parametrize("preamble", [True, False])
@pytest.mark.parametrize("syntax", PLAIN[:3], ids=lambda syntax: syntax.name)
def test_files_need_no_preamble(tmp_path, syntax, preamble):
    stored = stored_numbers()
    write_folder(tmp_path / "s", stored, syntax=syntax, preamble=preamble)
    np.testing.assert_array_equal(voxels(tmp_path / "s"), stored.astype(int) - 1024)


@pytest.mark.parametrize("shown", ["MONOCHROME1", "MONOCHROME2"])
def test_display_does_not_matter(tmp_path, shown):
    stored = stored_numbers()
    write_folder(
        tmp_path / "s", stored, PhotometricInterpretation=shown, WindowCenter=40, WindowWidth=400,
        PixelPaddingValue=7, SmallestImagePixelValue=100, LargestImagePixelValue=200,
        PresentationLUTShape="INVERSE",
    )  # fmt: skip
    np.testing.assert_array_equal(voxels(tmp_path / "s"), stored.astype(int) - 1024)


def test_a_table_for_display_is_not_applied(tmp_path):
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [2, 0, 16], [5, 9]
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    stored = stored_numbers()
    write_folder(tmp_path / "s", stored, VOILUTSequence=[table])
    np.testing.assert_array_equal(voxels(tmp_path / "s"), stored.astype(int) - 1024)


def test_each_slice_has_its_slope_and_intercept(tmp_path):
    stored = stored_numbers()
    slopes, intercepts = [1.5, 0.25, 3, 1, 2, 0.125], [-5, 0, 0.5, 10, -1024, 3]
    for k, pixels in enumerate(stored):
        write_slice(tmp_path / f"{9 - k}", pixels, k, RescaleSlope=slopes[k], RescaleIntercept=intercepts[k])
    expected = stored * np.reshape(slopes, (6, 1, 1)) + np.reshape(intercepts, (6, 1, 1))
    np.testing.assert_allclose(voxels(tmp_path), expected, rtol=1e-7)
    assert load_image(tmp_path).get_data_dtype() == np.float32


def test_without_slope_and_intercept_the_numbers_stay(tmp_path):
    stored = stored_numbers()
    write_folder(tmp_path / "s", stored, RescaleSlope=None, RescaleIntercept=None)
    np.testing.assert_array_equal(voxels(tmp_path / "s"), stored)


def test_slices_may_differ_in_type(tmp_path):
    write_slice(tmp_path / "a", np.full((ROWS, COLUMNS), 200, np.uint8), 0, RescaleIntercept=0)
    write_slice(tmp_path / "b", np.full((ROWS, COLUMNS), -2000, np.int16), 1, RescaleIntercept=0)
    write_slice(tmp_path / "c", np.full((ROWS, COLUMNS), 60000, np.uint16), 2, RescaleIntercept=0)
    assert voxels(tmp_path)[:, 0, 0].tolist() == [200, -2000, 60000]


@pytest.mark.parametrize(
    ("dtype", "low", "high"), [(np.int32, -(2**31), 2**31), (np.uint32, 0, 2**32), (np.int8, -128, 128)]
)
def test_numbers_of_every_width_are_kept(tmp_path, dtype, low, high):
    stored = np.random.default_rng(0).integers(low, high, (3, ROWS, COLUMNS)).astype(dtype)
    write_folder(tmp_path / "s", stored, RescaleIntercept=0)
    np.testing.assert_array_equal(voxels(tmp_path / "s"), stored)


@pytest.mark.parametrize("intercept", [-1024, 1000, -(2**31)])
def test_results_never_wrap_around(tmp_path, intercept):
    stored = np.array([0, 1, 32767, 32768, 65535] * 24, np.uint16).reshape(1, ROWS, COLUMNS)
    write_folder(tmp_path / "s", stored, RescaleIntercept=intercept, RescaleSlope=3)
    np.testing.assert_allclose(voxels(tmp_path / "s"), stored.astype(np.int64) * 3 + intercept, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "bits", "slope", "intercept"),
    [(np.uint8, 8, -1, 255), (np.uint16, 16, -1, 65535), (np.uint8, 1, 50000, -25000), (np.int16, 16, -1, 32767)],
)
def test_numbers_on_the_way_to_a_result_may_be_beyond_its_type(tmp_path, dtype, bits, slope, intercept):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if np.dtype(dtype).kind == "i" else (0, 2**bits)
    stored = stored_numbers(low=low, high=high, dtype=dtype)
    write_folder(tmp_path / "s", stored, BitsStored=bits, RescaleSlope=slope, RescaleIntercept=intercept)
    np.testing.assert_array_equal(voxels(tmp_path / "s"), stored.astype(np.int64) * slope + intercept)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("high", [11, 13, 15])
def test_other_bits_than_those_stored_do_not_matter(tmp_path, signed, high):
    numbers = np.random.default_rng(0).integers(-2048 if signed else 0, 2048 if signed else 4096, (3, ROWS, COLUMNS))
    words = (numbers & 0xFFF) << (high - 11)
    overlays = np.random.default_rng(1).integers(0, 65536, words.shape) & ~(0xFFF << (high - 11))
    dtype = np.int16 if signed else np.uint16
    stored = (words | overlays).astype(np.uint16).view(dtype)
    write_folder(tmp_path / "s", stored, BitsStored=12, HighBit=high, RescaleIntercept=0)
    np.testing.assert_array_equal(voxels(tmp_path / "s"), numbers)


@pytest.mark.parametrize("codestream", [np.int16, np.uint16])
@pytest.mark.parametrize("signed", [0, 1])
def test_the_header_says_whether_compressed_numbers_have_a_sign(tmp_path, codestream, signed):
    numbers = np.random.default_rng(0).integers(-2048 if signed else 0, 2048 if signed else 4096, (1, ROWS, COLUMNS))
    bits = (numbers & 0xFFF).astype(np.uint16)
    encoded = (bits << 4).view(np.int16) >> 4 if codestream == np.int16 else bits
    write_folder(
        tmp_path / "s", encoded.astype(codestream), syntax=uid.JPEG2000Lossless, BitsStored=12,
        PixelRepresentation=signed, RescaleIntercept=0,
    )  # fmt: skip
    np.testing.assert_array_equal(voxels(tmp_path / "s"), numbers)


@pytest.mark.parametrize(("name", "dtype"), [("FloatPixelData", np.float32), ("DoubleFloatPixelData", np.float64)])
def test_floats_are_read(tmp_path, name, dtype):
    values = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(dtype)
    dataset = header(values, RescaleIntercept=None, RescaleSlope=None, PixelRepresentation=None, BitsStored=None)
    setattr(dataset, name, values.tobytes())
    save_dataset(tmp_path / "s" / "one", dataset)
    np.testing.assert_allclose(voxels(tmp_path / "s")[0], values, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}, "colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        ({"ModalityLUTSequence": [Dataset()]}, "table"),
        ({"RescaleSlope": 0}, "RescaleSlope"),
        ({"BitsStored": 17}, "BitsStored"),
        ({"BitsStored": 12, "HighBit": 8}, "HighBit"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "directions"),
        ({"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]}, "directions"),
        ({"PixelSpacing": [0, 1]}, "place"),
        ({"PixelSpacing": None}, "place"),
        ({"ImageOrientationPatient": None}, "place"),
    ],
    ids=str,
)
def test_what_is_no_volume_of_numbers_is_refused(tmp_path, changes, word):
    files = write_folder(tmp_path / "s", stored_numbers(), **changes)
    with refused(files[3], word):
        load_image(tmp_path / "s")


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept", "SliceThickness", "ImagePositionPatient"])
@pytest.mark.parametrize("text", [b"1,5 ", b"nan ", b"abc "])
def test_what_is_no_number_is_refused(tmp_path, keyword, text):
    number = {"ImagePositionPatient": [0.25, 1, 2]}.get(keyword, 0.25)
    path = write_folder(tmp_path / "s", stored_numbers(1), **{keyword: number})[0]
    path.write_bytes(path.read_bytes().replace(b"0.25", text))
    with refused(path, keyword):
        load_image(tmp_path / "s")


@pytest.mark.parametrize("name", ["de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8"])
def test_the_locale_does_not_matter(tmp_path, monkeypatch, name):
    import locale

    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_NUMERIC, name)
    except locale.Error:
        pytest.skip("not installed")
    try:
        write_folder(tmp_path / "s", stored_numbers(), RescaleSlope=0.5)
        np.testing.assert_allclose(voxels(tmp_path / "s"), stored_numbers() * 0.5 - 1024)
        assert read_image((tmp_path / "s",)).spacing == pytest.approx(SPACING[::-1])
    finally:
        locale.setlocale(locale.LC_ALL, before)


def test_frames_of_an_enhanced_file_lie_where_each_says(tmp_path):
    stored, order = stored_numbers(), [3, 0, 5, 1, 4, 2]
    write_enhanced(tmp_path / "s" / "one", stored, order)
    expected = np.empty(stored.shape)
    for index, k in enumerate(order):
        expected[k] = stored[k] * (1.0 + index) + 10 * index
    np.testing.assert_array_equal(voxels(tmp_path / "s"), expected)
    assert read_image((tmp_path / "s",)).spacing == pytest.approx(SPACING[::-1])


@pytest.mark.parametrize("frames", [5, 7])
def test_another_number_of_frames_than_places_is_refused(tmp_path, frames):
    path = write_enhanced(tmp_path / "s" / "one", stored_numbers(), range(6), NumberOfFrames=frames)
    with refused(path, "frames"):
        load_image(tmp_path / "s")


def test_frames_without_places_are_refused(tmp_path):
    dataset = header(stored_numbers()[0], NumberOfFrames=6)
    dataset.PixelData = stored_numbers().tobytes()
    dataset["PixelData"].VR = "OW"
    path = save_dataset(tmp_path / "s" / "one", dataset)
    with refused(path, "frames"):
        load_image(tmp_path / "s")


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.JPEGLosslessSV1, uid.JPEG2000Lossless])
def test_more_frames_than_the_header_says_are_refused(tmp_path, syntax):
    pixels = stored_numbers()[0]
    dataset = header(pixels)
    one = encode(pixels, syntax, dataset) if syntax.is_encapsulated else pixels.tobytes()
    dataset.PixelData = encapsulate([one, one], has_bot=False) if syntax.is_encapsulated else 2 * one
    dataset["PixelData"].VR = "OB" if syntax.is_encapsulated else "OW"
    path = save_dataset(tmp_path / "s" / "one", dataset, syntax)
    with refused(path, "2 frames"):
        load_image(tmp_path / "s")


@pytest.mark.parametrize(
    "changes", [{"Rows": ROWS + 1}, {"Columns": COLUMNS - 1}, {"BitsAllocated": 8, "BitsStored": 8}]
)
@pytest.mark.parametrize("syntax", [uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.RLELossless])
def test_compressed_pixels_are_held_against_the_header(tmp_path, syntax, changes):
    pixels = stored_numbers()[0]
    dataset = header(pixels)
    encoded = encode(pixels, syntax, dataset)
    dataset.PixelData = encapsulate([encoded])
    dataset["PixelData"].VR = "OB"
    for name, value in changes.items():
        setattr(dataset, name, value)
    dataset.HighBit = dataset.BitsStored - 1
    path = save_dataset(tmp_path / "s" / "one", dataset, syntax)
    with refused(path):
        load_image(tmp_path / "s")


@pytest.mark.parametrize("syntax", [*PLAIN, *LOSSLESS, uid.JPEGBaseline8Bit], ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("cut", [0.05, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused(tmp_path, syntax, cut, capfd):
    dtype = np.uint8 if syntax == uid.JPEGBaseline8Bit else np.uint16
    files = write_folder(tmp_path / "s", stored_numbers(high=200, dtype=dtype), syntax=syntax)
    content = files[3].read_bytes()
    start = 200  # further in than preamble and the length of the file meta information
    files[3].write_bytes(content[: start + int((len(content) - start) * cut) - 3])
    with refused(files[3] if cut > 0.1 else tmp_path / "s"):
        load_image(tmp_path / "s")
    assert "".join(capfd.readouterr()) == ""


def test_an_encoding_that_is_not_read_is_named(tmp_path):
    path = write_slice(tmp_path / "s" / "one", stored_numbers()[0])
    dataset = dcmread(path)
    dataset.PixelData = encapsulate([bytes(100)])
    dataset["PixelData"].VR = "OB"
    save_dataset(path, dataset, uid.MPEG2MPML)
    with refused(path, "MPEG2"):
        load_image(tmp_path / "s")
