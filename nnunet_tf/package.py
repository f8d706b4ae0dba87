"""`python -m nnunet_tf.package`: packs a trained model into one file."""

from nnunet_tf.commands import package
from nnunet_tf.commands.start import run, run_command

if __name__ == "__main__":
    run(lambda: run_command(package, None, "python -m nnunet_tf.package"))
