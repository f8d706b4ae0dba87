"""Dice of one anatomy on three voxel grids: python -m tests.benchmarks.orientation MODEL

MODEL is a folder trained on the phantom, such as the demo's: demo/results/task00_3d/fold_0
"""

import argparse
import tempfile
from pathlib import Path

from data_preprocessing.dataset import Case
from data_preprocessing.phantom import LABELS, ORIENTATIONS, Options, sample_case, write_case
from nnunet_tf.runtime.device import start_tensorflow

UNSEEN_CASES = (18, 20)  # of the demo's 24, those from 18 on are test cases
SPACING = (1.4, 1.4, 1.6)


def main() -> None:
    """Prints Dice a class for each grid of each case."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", type=Path)
    folder = parser.parse_args().model
    start_tensorflow("auto", amp=False)
    from nnunet_tf.evaluation.dice import dice
    from nnunet_tf.evaluation.evaluate import score_case
    from nnunet_tf.inference.model_folder import read_model_plan
    from nnunet_tf.inference.predictor import Predictor, load_network

    plan = read_model_plan(folder)
    predictor = Predictor(load_network(folder, plan), plan)
    for index in UNSEEN_CASES:
        for orientation in ORIENTATIONS:
            with tempfile.TemporaryDirectory() as name:
                image, label, output = (Path(name) / f"{kind}.nii.gz" for kind in ("image", "label", "output"))
                write_case(sample_case(index, Options(), orientation, SPACING), image, label)
                predictor.predict_file(Case("case", (image,)), output)
                scores = dice(score_case(output, label, [1, 2]))
            listed = ", ".join(f"{title} {score:.3f}" for title, score in zip(LABELS[1:], scores, strict=True))
            print(f"case {index} {orientation:>7}: {listed}", flush=True)


if __name__ == "__main__":
    main()
