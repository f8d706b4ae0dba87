"""What a training step spends its time on, by kind of operation: python -m scripts.benchmarks.profile [--amp]

The step of `scripts.benchmarks.step`, ours, under TensorFlow's profiler. Operations run side by side: a kind's share is
that of the time of all operations, and its seconds are that share of the step.
"""

import argparse
import re
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from data_preprocessing.planning.topology import plan_topology
from nnunet_tf.runtime.device import start_tensorflow
from scripts.benchmarks.machine import print_machine
from scripts.benchmarks.step import CLASSES, PATCH, SPACING, our_network, training_step

# The first that is found in an operation's name, such as StatefulPartitionedCall/unet_3d_1/encoder0_norm0_1/mul:Mul.
# The written-out gradient of the normalisation has no name of its own: it is what is left inside the call.
KINDS = {
    "optimiser, with clipping": r"^adam_w/|^Assign",
    "loss": r"/loss/",
    "convolution, forward": r"^(?!.*gradient_tape).*_(conv|up)\d|^(?!.*gradient_tape).*/(logits\d|decoder\d_up)",
    "convolution, backward": r"gradient_tape/.*(_conv\d|_up|/logits\d)",
    "instance normalisation with leaky ReLU, forward": r"_norm\d",
    "sums of gradients": r"/AddN",
    "instance normalisation with leaky ReLU, backward": r"^StatefulPartitionedCall/",
}


def main() -> None:
    """Prints seconds a step, and of it the share of each kind of operation."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--amp", action="store_true", help="mixed precision")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    runtime = start_tensorflow("auto", options.amp)
    print_machine()
    import tensorflow as tf

    topology = plan_topology(PATCH, SPACING, [32, 64, 128, 256])
    step = training_step(our_network(topology))
    loss = step.loss

    def named_loss(*arguments):
        with tf.name_scope("loss"):
            return loss(*arguments)

    step.loss = named_loss
    random = np.random.default_rng(0)
    image = random.normal(size=(options.batch, *PATCH, 1)).astype(np.float32)
    label = random.integers(CLASSES, size=(options.batch, *PATCH), dtype=np.int32)
    for _ in range(2):
        step(image, label).numpy()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        start = time.perf_counter()
        for _ in range(options.runs):
            step(image, label).numpy()
        seconds = (time.perf_counter() - start) / options.runs
        tf.profiler.experimental.stop()
        (trace,) = Path(folder).rglob("*.xplane.pb")
        times = times_by_kind(trace.read_bytes())
    print(f"{runtime.precision}: {seconds:.3f} s a step")
    for kind, picoseconds in times.most_common():
        share = picoseconds / times.total()
        print(f"{share:7.1%} {share * seconds:7.3f} s   {kind}")


def times_by_kind(trace: bytes) -> Counter:
    """Returns the picoseconds that the operations of each kind took on the threads that compute."""
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

    times: Counter = Counter()
    for plane in XSpace.FromString(trace).planes:
        for line in plane.lines:
            if not line.name.startswith("tf_Compute"):
                continue
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if ":" in name and "::" not in name:  # an operation and its type
                    kind = next((kind for kind, pattern in KINDS.items() if re.search(pattern, name)), "rest")
                    times[kind] += event.duration_ps
    return times


if __name__ == "__main__":
    main()
