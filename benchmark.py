"""Throughput, latency and memory of a training step or of prediction."""

from nnunet_tf.commands import benchmark
from nnunet_tf.commands.start import run_script

if __name__ == "__main__":
    run_script(benchmark)
