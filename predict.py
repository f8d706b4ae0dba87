"""Segments scans with a trained model; each result lies on the voxel grid of its scan."""

import argparse
from pathlib import Path

from nnunet_tf.runtime.command_line import CommandParser, overlap, run


def main() -> None:
    """Parses the command line and writes one NIfTI a case."""
    parser = CommandParser(description=__doc__)
    parser.add_task()
    parser.add_fold()
    parser.add_folder("data", "data sets; the task's imagesTs is segmented")
    parser.add_folder("results", "models, such as results/task04_3d/fold_0")
    parser.add_device()
    parser.add_argument("--model", type=Path, metavar="DIR", help="model folder, instead of --task, --dim and --fold")
    parser.add_argument(
        "--input", type=Path, metavar="PATH", help="a NIfTI file or a folder of them, instead of imagesTs"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="where to write; else predictions/ in the model folder"
    )
    parser.add_argument("--tta", action="store_true", help="average over all flips: slower, a little better")
    parser.add_argument("--overlap", type=overlap, default=0.5, help="share of a window that its neighbour covers")
    parser.add_argument("--blend-mode", choices=("gaussian", "constant"), default="gaussian", help="window weights")
    options = parser.parse_args()

    from data_preprocessing.dataset import find_images
    from nnunet_tf.inference.model_folder import read_model_plan

    folder = options.model or _default_model(options)
    plan = read_model_plan(folder)
    cases = find_images(options.input or options.data / plan.dataset / "imagesTs", len(plan.channels))
    output = options.output or folder / "predictions"

    from nnunet_tf.runtime.device import start_tensorflow

    start_tensorflow(options.device, options.amp)
    from nnunet_tf.inference.predictor import Predictor, load_network
    from nnunet_tf.runtime.progress import track

    predictor = Predictor(load_network(folder, plan), plan, options.tta, options.overlap, options.blend_mode)
    with track("Predicting", total=len(cases), unit="cases") as tracker:
        for done, case in enumerate(cases, start=1):
            predictor.predict_file(case, output / f"{case.name}.nii.gz")
            tracker.update(done, note=case.name)
    print(f"{len(cases)} segmentation{'s' * (len(cases) != 1)} in {output}")


def _default_model(options: argparse.Namespace) -> Path:
    from data_preprocessing.plan import folder_name
    from data_preprocessing.task import load_task
    from nnunet_tf.inference.model_folder import model_folder

    return model_folder(options.results, folder_name(load_task(options.task).task, options.dim), options.fold)


if __name__ == "__main__":
    run(main)
