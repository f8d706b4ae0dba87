"""Dice of one anatomy on three voxel grids: python -m scripts.benchmarks.orientation MODEL

MODEL is a folder trained on the phantom, such as the demo's: demo/results/task00_3d/fold_0
"""

import argparse
import tempfile
from pathlib import Path

from data_preprocessing.images.volume_io import save_image
from data_preprocessing.synthetic.phantom import LABELS, ORIENTATIONS, Options, sample_case, write_case

UNSEEN_CASES = (18, 20)  # of the demo's 24, those from 18 on are test cases
SPACING = (1.4, 1.4, 1.6)


def main() -> None:
    """Prints Dice a class for each grid of each case."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", type=Path)
    folder = parser.parse_args().model
    from nnunet_tf.evaluation.scoring.case import score_case
    from nnunet_tf.evaluation.scoring.options import ScoringOptions
    from nnunet_tf.evaluation.scoring.structures import class_structures
    from nnunet_tf.inference.predictor import Predictor

    predictor = Predictor(folder)
    for index in UNSEEN_CASES:
        for orientation in ORIENTATIONS:
            with tempfile.TemporaryDirectory() as name:
                image, label, output = (Path(name) / f"{kind}.nii.gz" for kind in ("image", "label", "output"))
                write_case(sample_case(index, Options(), orientation, SPACING), image, label)
                save_image(output, predictor(image))
                names = class_structures(dict(enumerate(LABELS)))
                scores = score_case("case", output, label, names, ScoringOptions(surface=False))
            listed = ", ".join(f"{score.structure} {score.dice or 0:.3f}" for score in scores)
            print(f"case {index} {orientation:>7}: {listed}", flush=True)


if __name__ == "__main__":
    main()
