import os
import signal

import nibabel as nib
import numpy as np

from data_preprocessing.dataset.scans import find_images
from data_preprocessing.images.volume_io import write_label
from data_preprocessing.jobs.dask_cluster import DaskCluster
from nnunet_tf.inference.cases import cluster as module
from nnunet_tf.inference.cases.cluster import PredictorOptions, predict_on_cluster
from nnunet_tf.inference.cases.outputs import Outputs
from nnunet_tf.inference.cases.report import CaseReport
from nnunet_tf.inference.volume.inputs import read_scan
from tests.data_preprocessing.samples import save
from tests.nnunet_tf.inference.model_samples import make_plan_of_one_class


def threshold_and_be_killed_once(options, plans, case, outputs):
    """Stands in for `predict_case`, which needs TensorFlow: what is above 0 is the organ.

    Its worker is killed when half of a segmentation is written, the first time.
    """
    killed = outputs.folder / "killed"
    if case.name == "scan_1" and not killed.exists():
        killed.touch()
        (outputs.folder / f".{os.getpid()}.scan_1.nii.gz").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    volume = read_scan(case, plans)
    write_label(outputs.segmentation(case), (volume.array[..., 0] > 0).astype(np.uint8), volume.source)
    return CaseReport(list(volume.findings))


def test_every_scan_is_segmented_though_a_worker_is_killed_in_mid_case(cluster_address, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "predict_case", threshold_and_be_killed_once)
    random = np.random.default_rng(0)
    scans = {f"scan_{number}": random.normal(size=(10, 11, 12)).astype(np.float32) for number in range(3)}
    for name, voxels in scans.items():
        save(tmp_path / "scans" / f"{name}.nii.gz", voxels)
    plan, folder = make_plan_of_one_class(), tmp_path / "out"
    folder.mkdir()
    cluster = DaskCluster(cluster_address, print)
    try:
        options = PredictorOptions(run="once", model=(tmp_path,))
        cases = find_images(tmp_path / "scans", 1)
        assert predict_on_cluster(cluster, options, [plan], cases, Outputs(folder, plan)) == []
    finally:
        cluster.close()
    assert capsys.readouterr().err.splitlines()[-1].startswith("Predicting 3/3 ")
    assert sorted(path.name for path in folder.iterdir()) == ["killed", *(f"{name}.nii.gz" for name in scans)]
    for name, voxels in scans.items():
        np.testing.assert_array_equal(np.asarray(nib.load(folder / f"{name}.nii.gz").dataobj), voxels > 0)
