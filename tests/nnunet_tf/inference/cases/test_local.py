import dataclasses
import gzip
import struct
from concurrent.futures import ThreadPoolExecutor

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.scans import find_images
from data_preprocessing.images.checks.finding import Row, warning
from nnunet_tf.inference.cases import local as module
from nnunet_tf.inference.cases.local import ReadingAhead, Warnings, predict_cases
from nnunet_tf.inference.cases.outputs import Outputs
from nnunet_tf.inference.predictor import Predictor
from nnunet_tf.inference.volume.inputs import check_headers, read_scan
from nnunet_tf.runtime import progress
from tests.data_preprocessing.samples import RAS_SPACING, anatomy, save
from tests.nnunet_tf.inference.samples import threshold_network, tiny_plan

PLAN = tiny_plan(spacing=RAS_SPACING[::-1])


@pytest.fixture(scope="module")
def predictor():
    return Predictor.of_network(threshold_network(PLAN, 30.5), PLAN)


@pytest.fixture
def cases(tmp_path):
    for number in range(4):
        save(tmp_path / "in" / f"scan_{number}.nii.gz", anatomy() + number)
    return find_images(tmp_path / "in", 1)


@pytest.fixture
def outputs(tmp_path):
    (tmp_path / "out").mkdir()
    return Outputs(tmp_path / "out", PLAN)


def written(outputs):
    return sorted(path.name for path in outputs.folder.iterdir())


def test_every_scan_gets_its_own_segmentation(predictor, cases, outputs):
    assert predict_cases(predictor, cases, outputs) == []
    for number, case in enumerate(cases):
        labels = np.asarray(nib.load(outputs.segmentation(case)).dataobj)
        np.testing.assert_array_equal(labels, np.where(anatomy() + number > 30.5, 4, 0))


HEADERS = {  # fields of the NIfTI header at these bytes
    "quatern_b": (256, struct.pack("<3f", 1e30, -7, np.nan)),
    "srow": (280, struct.pack("<4f", np.inf, 1e30, 0, np.nan)),
    "srow tiny": (280, struct.pack("<4f", 1e-38, 0, 0, 0)),
    "vox_offset": (108, struct.pack("<f", -np.inf)),
    "dim[0]": (40, struct.pack("<h", -9)),
    "dim": (40, struct.pack("<8h", 7, 32767, 32767, 32767, 32767, 1, 1, 1)),
    "datatype": (70, struct.pack("<h", 1234)),
    "both codes 0, pixdim": (76, struct.pack("<4f", 1, np.nan, -1, 0)),
}


@pytest.mark.parametrize("name", HEADERS)
def test_an_odd_header_fails_its_own_scan_alone(predictor, cases, outputs, name):
    place, field = HEADERS[name]
    for case in cases[1:3]:  # one is the first to be read ahead
        content = bytearray(gzip.decompress(case.images[0].read_bytes()))
        content[place : place + len(field)] = field
        if "quatern" in name or "codes" in name:
            content[254:256] = bytes(2)  # sform_code
        case.images[0].write_bytes(gzip.compress(content))
    check_headers(cases, PLAN)
    failures = predict_cases(predictor, cases, outputs)
    failed = {case for case in cases if any(str(case.images[0]) in failure for failure in failures)}
    assert failed <= set(cases[1:3])
    assert len(failures) == len(failed)
    assert written(outputs) == [f"{case.name}.nii.gz" for case in cases if case not in failed]


def test_a_bug_of_a_reader_fails_its_scan_alone(predictor, cases, outputs, monkeypatch):
    def read(case, plans):
        if case == cases[1]:
            raise ZeroDivisionError("a bug")
        return read_scan(case, plans)

    monkeypatch.setattr("nnunet_tf.inference.volume.inputs.read_scan", read)
    (failure,) = predict_cases(predictor, cases, outputs)
    assert str(cases[1].images[0]) in failure
    assert "ZeroDivisionError" in failure
    assert len(written(outputs)) == 3


def test_scans_that_fail_are_told_of_and_keep_nobody_waiting(predictor, cases, outputs, monkeypatch, capsys):
    cases[0].images[0].write_bytes(b"")
    save(cases[3].images[0], np.ones((4, 4, 4, 2), np.int16))
    predict = Predictor.predict

    def short_of_memory(self, volume, *others):
        if volume.array[0, 0, 0, 0] == 3:
            raise MemoryError
        return predict(self, volume, *others)

    monkeypatch.setattr(Predictor, "predict", short_of_memory)
    failures = predict_cases(predictor, cases, outputs)
    assert [line.partition(":")[0] for line in failures] == [str(cases[index].images[0]) for index in (0, 2, 3)]
    assert "takes more memory than there is" in failures[1]
    assert capsys.readouterr().err.splitlines()[-1].startswith("Predicting 1/4, 3 failed ")
    assert written(outputs) == ["scan_1.nii.gz"]


def test_a_result_that_cannot_be_written_ends_the_run(predictor, cases, outputs):
    outputs.segmentation(cases[1]).mkdir()
    with pytest.raises(UserError, match=r"scan_1.nii.gz: cannot be written"):
        predict_cases(predictor, cases, outputs)
    assert "scan_0.nii.gz" in written(outputs)
    assert not any(name.startswith(".") for name in written(outputs))


def test_what_is_being_written_when_the_user_stops_is_finished(predictor, cases, outputs, monkeypatch):
    predict = Predictor.predict

    def stopped_at_the_third(self, volume, *others):
        result = predict(self, volume, *others)
        if volume.array[0, 0, 0, 0] == 3:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(Predictor, "predict", stopped_at_the_third)
    outputs = dataclasses.replace(outputs, probabilities="4d")
    with pytest.raises(KeyboardInterrupt):
        predict_cases(predictor, cases, outputs)
    assert written(outputs) == ["probabilities", "scan_0.nii.gz", "scan_1.nii.gz"]
    assert all(outputs.is_done(case) for case in cases[:2])


def test_progress_tells_of_cases_windows_and_time_left(predictor, cases, outputs, monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    predict_cases(predictor, cases[:2], outputs)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Predicting 0/2")
    assert lines[0].endswith("left  scan_0, window 1/1")
    assert lines[-1].startswith("Predicting 2/2")


def test_warnings_are_lines_of_standard_error(predictor, cases, outputs, capsys):
    voxels = anatomy(dtype=np.float32)
    voxels[0, 0, 0] = np.nan
    save(cases[0].images[0], voxels)
    predict_cases(predictor, cases[:1], outputs)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert said == [f"warning: {cases[0].images[0]}: 1 voxel is NaN or Inf; taken for background, 0"]


def test_a_warning_about_many_files_is_said_once_and_counted():
    said = []
    warnings = Warnings(said.append)
    for name in ("a", "b", "c"):
        warnings.tell([warning(Row.NO_ORIENTATION, "not coded", "have a look").at(f"{name}.nii")])
    warnings.tell([warning(Row.UNIT, "in metres", "correct it").at("c.nii")])
    assert said == ["warning: a.nii: not coded; have a look", "warning: c.nii: in metres; correct it"]
    warnings.close()
    assert said[2:] == ["warning: 2 more files: not coded; have a look"]


@pytest.mark.parametrize(("free", "ahead"), [(2**60, 1), (0, 0)])
def test_one_scan_is_read_ahead_and_none_where_memory_is_short(cases, monkeypatch, free, ahead):
    read = []
    monkeypatch.setattr(module, "free_memory", lambda: free)
    monkeypatch.setattr(module, "read_case", lambda case, plans: read.append(case.name) or case.name)
    with ThreadPoolExecutor(1) as pool:
        reading = ReadingAhead(cases, [PLAN], pool)
        for taken, case in enumerate(cases, start=1):
            assert reading.take()[0] == case.name
            pool.submit(lambda: None).result()  # by then the thread has done what it was asked for before
            assert len(read) == min(taken + ahead, len(cases))


@pytest.mark.parametrize("spoilt", [np.nan, 0.0])
def test_a_scan_with_an_impossible_affine_keeps_nobody_waiting(predictor, cases, outputs, spoilt):
    image = nib.load(cases[1].images[0])
    header = image.header.copy()
    header["srow_x"], header["sform_code"] = (spoilt, 0, 0, 0), 1
    content = np.asarray(image.dataobj).copy()
    with open(cases[1].images[0], "wb") as stream:
        packed = header.binaryblock + b"\0\0\0\0" + content.tobytes(order="F")
        stream.write(gzip.compress(packed))
    (failure,) = predict_cases(predictor, cases, outputs)
    assert str(cases[1].images[0]) in failure
    assert written(outputs) == ["scan_0.nii.gz", "scan_2.nii.gz", "scan_3.nii.gz"]
