"""Segments scans with a trained model."""

from nnunet_tf.commands import predict
from nnunet_tf.commands.start import run_script

if __name__ == "__main__":
    run_script(predict)
