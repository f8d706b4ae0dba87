import json
import subprocess
import sys
import threading

import pytest

from data_preprocessing.dataset.dataset import Case
from nnunet_tf.answers.run_record import DeviceRecord, Recorder, RunRecord, run_file
from nnunet_tf.inference.cases.outputs import Outputs
from nnunet_tf.inference.cases.report import CaseReport, PeakMemory
from nnunet_tf.inference.models.folder import ModelFiles
from nnunet_tf.networks.settings import NetworkSettings
from scripts.run_schema import SCHEMA, schema
from tests.commands import ROOT
from tests.nnunet_tf.inference.samples import tiny_plan

DEVICE = DeviceRecord(kind="cpu", name="some", engine="openvino", precision="float32")


def recorder(folder, part=(1, 1), go_on=False):
    weights = folder / "model.weights.h5"
    weights.write_bytes(b"weights")
    plan = tiny_plan()
    model = ModelFiles(plan, NetworkSettings(), weights, None, folder)
    return Recorder(Outputs(folder, plan), [model], {0: "background"}, {"tta": True}, part, go_on)


def read(folder, part=(1, 1)):
    return RunRecord.model_validate_json(run_file(folder, part).read_text())


def case(folder, name):
    return Case(name, (folder / f"{name}.nii.gz",))


def test_the_schema_in_the_reference_is_that_of_the_program():
    assert json.loads(SCHEMA.read_text()) == json.loads(schema())


def test_a_run_that_never_began_leaves_no_record(tmp_path):
    recorder(tmp_path).close("failed", 2)
    assert not run_file(tmp_path, (1, 1)).exists()


def test_a_running_record_ends_with_all_cases_of_all_threads(tmp_path):
    log = recorder(tmp_path)
    log.start(DEVICE)
    assert (read(tmp_path).status, read(tmp_path).exit_status) == ("running", None)
    names = [f"case_{number:03d}" for number in range(50)]
    threads = [threading.Thread(target=log.done, args=(case(tmp_path, name), CaseReport())) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.failed(case(tmp_path, "bad"), "bad.nii.gz: damaged; copy it again")
    log.close("failed", 2, ["a warning"])
    record = read(tmp_path)
    assert (record.status, record.exit_status, record.warnings) == ("failed", 2, ["a warning"])
    assert list(record.cases) == ["bad", *names]
    assert record.cases["bad"].failure.startswith("bad.nii.gz")


def test_parts_have_records_of_their_own_and_a_run_that_goes_on_keeps_the_cases(tmp_path):
    for index in (1, 2):
        log = recorder(tmp_path, (index, 2))
        log.start(DEVICE)
        log.done(case(tmp_path, f"case_{index}"), CaseReport())
        log.close("complete", 0)
    assert list(read(tmp_path, (2, 2)).cases) == ["case_2"]
    log = recorder(tmp_path, (2, 2), go_on=True)
    log.start(DEVICE)
    log.done(case(tmp_path, "case_4"), CaseReport())
    log.close("complete", 0)
    assert list(read(tmp_path, (2, 2)).cases) == ["case_2", "case_4"]


@pytest.mark.slow
def test_the_record_imports_no_engine_that_does_not_compute():
    code = (
        "import sys; from nnunet_tf.answers.run_record import device_record; "
        "from nnunet_tf.inference.engines.choice import EngineChoice; "
        "record = device_record(EngineChoice('openvino', 'bfloat16')); "
        "assert (record.engine, record.precision) == ('openvino', 'bfloat16'); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_peak_of_memory_is_that_since_the_last_question():
    with PeakMemory() as memory:
        before = memory.take()
        taken = bytearray(300 * 2**20)
        high = memory.take()
        del taken
        low = memory.take()
    assert high - before > 250 * 2**20
    assert low < high
