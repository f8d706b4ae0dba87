import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from data_preprocessing.common.errors import CommandFailed, UserError
from nnunet_tf.training.config.loss_and_optimizer import LossSettings
from nnunet_tf.training.distributed import Alone, check_same_device, loss_in_one_line
from tests.nnunet_tf.training.optimization.test_step import PATCH, make_step

pytest.importorskip("horovod", reason="Horovod is not installed: make setup")

ROOT = Path(__file__).resolve().parents[3]
# The losses of the whole batch, one that is a sum over cases, and what travels in float16.
OPTIONS = {
    "plain": (),
    "fp16": ("fp16",),
    "batch": ("batch_dice",),
    "batch, compiled": ("batch_dice", "xla"),
    "adaptive, batch": ("adaptive", "batch_dice"),
    "adaptive": ("adaptive",),
}
STEPS = """
import sys
import numpy as np, tensorflow as tf
from nnunet_tf.training.config.loss_and_optimizer import LossSettings
from nnunet_tf.training.distributed import join_group
from tests.nnunet_tf.training.test_distributed import OPTIONS, agree, weights_after_steps

results = dict(agree(join_group()))
for name, options in OPTIONS.items():
    weights = weights_after_steps(join_group(fp16_allreduce="fp16" in options), options)
    results |= {f"{name} {index}": weight for index, weight in enumerate(weights)}
if join_group().rank == 0:
    np.savez(sys.argv[1], **results)
"""


def agree(group):
    """Yields by name what the workers agree on."""
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
    assert variable.numpy() == [5.0]
    yield "size", group.size
    yield "mean", np.append(mean[0].numpy(), mean[1].numpy())
    yield "total", total.numpy()
    yield "slope", slope.numpy()
    yield "sum", group.sum(np.array([[rank + 1]]))


def weights_after_steps(group, options):
    """The weights after five steps on batches of two, of which each of two workers takes one case."""
    loss = LossSettings(loss="adaptive" if "adaptive" in options else "dice_ce", batch_dice="batch_dice" in options)
    settings = {"learning_rate": 0.1, "momentum": 0.9, "scheduler": "none", "warmup_steps": 0}
    step = make_step(group=group, loss=loss, xla="xla" in options, optimizer="sgd", **settings)
    random = np.random.default_rng(0)
    for _ in range(5):
        image = random.normal(size=(2, *PATCH, 1)).astype(np.float32)
        label = (image[..., 0] > 0.5).astype(np.int32)
        share = slice(group.rank, group.rank + 1) if group.size == 2 else slice(None)
        step(image[share], label[share])
    return [np.array(weight) for weight in step.network.weights]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What two workers write."""
    folder = tmp_path_factory.mktemp("together")
    script, result = folder / "steps.py", folder / "result.npz"
    script.write_text(STEPS)
    command = [str(script), str(result)]
    code = f"from nnunet_tf.launch.horovod.workers import Launch, start; start(Launch(workers=2), {command})"
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with np.load(result) as content:
        return dict(content)


@pytest.mark.slow
def test_two_workers_average_gradients_add_up_arrays_and_start_from_the_same_values(together):
    assert together["size"] == 2
    expected = {"mean": [0.5, 1.0, 5.0], "total": [1.0, 6.0], "slope": [3.0, 3.0], "sum": [[3.0]]}
    for name, values in expected.items():
        np.testing.assert_array_equal(together[name], values, err_msg=name)


def pairs_of_weights(together, name):
    """The weights that one process has with batches of two, each with that of two workers."""
    alone = weights_after_steps(Alone(), [each for each in OPTIONS[name] if each != "fp16"])
    return [(weight, together[f"{name} {index}"]) for index, weight in enumerate(alone)]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "fp16"])
def test_two_processes_with_batch_1_give_the_weights_of_one_with_batch_2(together, name):
    for alone, shared in pairs_of_weights(together, name):
        np.testing.assert_allclose(shared, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_gradients_travel_in_float16_where_asked_for(together):
    pairs = pairs_of_weights(together, "fp16")
    assert max(np.abs(alone - sent).max() for alone, sent in pairs) > 1e-6
    for alone, sent in pairs:
        np.testing.assert_allclose(sent, alone, atol=2e-3)


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
