"""Training shards of a task to a model folder."""

from nnunet_tf.commands import train
from nnunet_tf.commands.start import run_script

if __name__ == "__main__":
    run_script(train)
