import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from data_preprocessing.common.errors import CommandFailed, UserError
from nnunet_tf.training.distributed import Alone, check_same_device, loss_in_one_line

pytest.importorskip("horovod", reason="Horovod is not installed: make setup")

ROOT = Path(__file__).resolve().parents[3]
WORKER = """
import numpy as np, tensorflow as tf
from nnunet_tf.training.distributed import join_group
group = join_group()
rank = float(group.rank)
mean = group.mean_gradients([tf.constant([rank, 2 * rank]), tf.constant(10 * rank)])
value = tf.constant([rank, 3.0])
with tf.GradientTape() as tape:
    tape.watch(value)
    total = group.sum_tensor(value)
    loss = tf.reduce_sum(total * (rank + 1))
slope = tape.gradient(loss, value)
variable = tf.Variable([rank + 5])
group.broadcast([variable])
if rank == 0:
    print("size", group.size)
    print("mean", mean[0].numpy().tolist(), float(mean[1]))
    print("total", total.numpy().tolist(), slope.numpy().tolist())
    print("sum", group.sum(np.array([[rank + 1]])).tolist())
else:
    group.sum(np.array([[rank + 1]]))
assert variable.numpy() == [5.0]
"""


def test_two_workers_average_gradients_add_up_arrays_and_start_from_the_same_values(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    code = f"from nnunet_tf.launch.horovod.workers import Launch, start; start(Launch(workers=2), [{str(script)!r}])"
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"size 2", "total [1.0, 6.0] [3.0, 3.0]", "mean [0.5, 1.0] 5.0", "sum [[3.0]]"} <= set(
        done.stdout.splitlines()
    )


STEPS = """
import sys
import keras, numpy as np
from nnunet_tf.training.distributed import join_group
from nnunet_tf.training.config.loss_and_optimizer import LossSettings
from tests.nnunet_tf.training.optimization.test_step import PATCH, make_step

group = join_group(fp16_allreduce="fp16" in sys.argv)
loss = LossSettings(loss="adaptive" if "adaptive" in sys.argv else "dice_ce", batch_dice="batch_dice" in sys.argv)
settings = {"learning_rate": 0.1, "momentum": 0.9, "scheduler": "none", "warmup_steps": 0}
step = make_step(group=group, loss=loss, xla="xla" in sys.argv, optimizer="sgd", **settings)
random = np.random.default_rng(0)
for _ in range(5):
    image = random.normal(size=(2, *PATCH, 1)).astype(np.float32)
    label = (image[..., 0] > 0.5).astype(np.int32)
    share = slice(group.rank, group.rank + 1) if group.size == 2 else slice(None)
    step(image[share], label[share])
if group.rank == 0:
    np.savez(sys.argv[1], *[np.array(weight) for weight in step.network.weights])
"""


def weights_after_steps(tmp_path, workers, *options):
    script, result = tmp_path / "steps.py", tmp_path / f"{workers}{'_'.join(options)}.npz"
    script.write_text(STEPS)
    command = [str(script), str(result), *options]
    code = f"from nnunet_tf.launch.horovod.workers import Launch, start; start(Launch(workers={workers}), {command})"
    words = [sys.executable, "-c", code] if workers > 1 else [sys.executable, *command]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with np.load(result) as content:
        return [content[name] for name in content.files]


def test_two_processes_with_batch_1_give_the_weights_of_one_with_batch_2(tmp_path):
    one, two = weights_after_steps(tmp_path, 1), weights_after_steps(tmp_path, 2)
    for alone, together in zip(one, two, strict=True):
        np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    compressed = weights_after_steps(tmp_path, 2, "fp16")
    pairs = list(zip(one, compressed, strict=True))
    assert max(np.abs(alone - sent).max() for alone, sent in pairs) > 1e-6  # gradients did travel in float16
    for alone, sent in pairs:
        np.testing.assert_allclose(sent, alone, atol=2e-3)


@pytest.mark.parametrize("options", [("batch_dice",), ("batch_dice", "xla"), ("adaptive", "batch_dice"), ("adaptive",)])
def test_they_do_where_the_loss_is_one_of_the_whole_batch(tmp_path, options):
    one, two = (weights_after_steps(tmp_path, workers, *options) for workers in (1, 2))
    for alone, together in zip(one, two, strict=True):
        np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


def test_workers_with_and_without_a_gpu_do_not_train_together():
    class Four(Alone):
        size = 4

        def sum(self, array):
            return array + 3  # the other three have one

    check_same_device(Four(), gpu=True)
    check_same_device(Alone(), gpu=False)
    with pytest.raises(UserError, match="3 of 4 workers have a GPU"):
        check_same_device(Four(), gpu=False)


def lose(error):
    with loss_in_one_line(3):
        raise error


def test_losing_another_worker_is_one_line_and_a_bug_keeps_its_own_words():
    with pytest.raises(CommandFailed, match=r"^worker 3: another worker has ended, and says why; .*--resume"):
        lose(tf.errors.UnknownError(None, None, "{{node HorovodAllreduce}} Horovod has been shut down."))
    with pytest.raises(tf.errors.UnknownError, match="disk"):
        lose(tf.errors.UnknownError(None, None, "disk"))
