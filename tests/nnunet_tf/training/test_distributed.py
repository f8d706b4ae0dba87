import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("horovod", reason="Horovod is not installed: make setup")

ROOT = Path(__file__).resolve().parents[3]
WORKER = """
import numpy as np, tensorflow as tf
from nnunet_tf.training.distributed import join_group
group = join_group()
rank = float(group.rank)
mean = group.mean_gradients([tf.constant([rank, 2 * rank]), tf.constant(10 * rank)])
variable = tf.Variable([rank + 5])
group.broadcast([variable])
if rank == 0:
    print("size", group.size)
    print("mean", mean[0].numpy().tolist(), float(mean[1]))
    print("sum", group.sum(np.array([[rank + 1]])).tolist())
else:
    group.sum(np.array([[rank + 1]]))
assert variable.numpy() == [5.0]
"""


def test_two_workers_average_gradients_add_up_arrays_and_start_from_the_same_values(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    code = f"from nnunet_tf.training.launch import launch; launch(2, [{str(script)!r}])"
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"size 2", "mean [0.5, 1.0] 5.0", "sum [[3.0]]"} <= set(done.stdout.splitlines())
