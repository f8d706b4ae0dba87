"""Images of a task to training shards; with --verify or --plan a check of a data set, or its config."""

from nnunet_tf.commands import preprocess_script
from nnunet_tf.commands.start import run_script

if __name__ == "__main__":
    run_script(preprocess_script)
