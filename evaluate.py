"""Scores segmentations; or tells defective images, finds postprocessing, or pools folds."""

from nnunet_tf.commands import evaluate_script
from nnunet_tf.commands.start import run_script

if __name__ == "__main__":
    run_script(evaluate_script)
