"""`python -m nnunet_tf.package`: packs a trained model into one file."""

from nnunet_tf.inference.models.packaging import main
from nnunet_tf.runtime.command_line import run

if __name__ == "__main__":
    run(main)
