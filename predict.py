"""Segments scans with a trained model; each result lies on the voxel grid of its scan."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_tf.runtime.command_line import CommandParser, overlap, run

if TYPE_CHECKING:
    from data_preprocessing.dataset import Case


def main() -> None:
    """Parses the command line and writes one NIfTI a case."""
    parser = CommandParser(description=__doc__)
    parser.add_task()
    parser.add_fold("all: the model trained on every case")
    parser.add_folder("data", "data sets; the task's imagesTs is segmented")
    parser.add_folder("results", "models, such as results/task04_3d/fold_0")
    parser.add_device()
    parser.add_argument("--model", type=Path, metavar="DIR", help="model folder, instead of --task, --dim and --fold")
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best", help="which epoch's weights")
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
    from data_preprocessing.errors import UserError
    from nnunet_tf.inference.model_folder import LAST_WEIGHTS_NAME, WEIGHTS_NAME, read_model_plan

    folder = options.model or _default_model(options)
    plan = read_model_plan(folder)
    source = options.input or options.data / plan.dataset / "imagesTs"
    cases = find_images(source, len(plan.channels), "name the images with --input")
    output = options.output or folder / "predictions"
    check_output(output, cases)

    from nnunet_tf.runtime.device import start_tensorflow

    start_tensorflow(options.device, options.amp)
    from nnunet_tf.inference.predictor import Predictor, load_network
    from nnunet_tf.runtime.progress import track

    network = load_network(folder, plan, WEIGHTS_NAME if options.checkpoint == "best" else LAST_WEIGHTS_NAME)
    predictor = Predictor(network, plan, options.tta, options.overlap, options.blend_mode)
    failures = []
    with track("Predicting", total=len(cases), unit="cases") as tracker:
        for done, case in enumerate(cases, start=1):
            try:
                predictor.predict_file(case, output / f"{case.name}.nii.gz")
            except UserError as error:  # one bad scan does not keep the others waiting
                failures.append(str(error))
            tracker.update(done, note=case.name)
    if len(failures) == 1:
        raise UserError(failures[0])
    if failures:
        raise UserError(f"{len(failures)} of {len(cases)} scans failed: {' | '.join(failures)}")
    print(f"{len(cases)} segmentation{'s' * (len(cases) != 1)} in {output}")


def check_output(output: Path, cases: "list[Case]") -> None:
    """Raises UserError where predictions cannot be written to `output`, or would overwrite the scans."""
    from data_preprocessing.errors import UserError
    from data_preprocessing.files import make_folder

    if output.name.endswith((".nii", ".nii.gz")):
        raise UserError(f"--output {output}: is to be a folder; give {output.parent} for {output.name} to be in")
    if any(image.resolve().parent == output.resolve() for case in cases for image in case.images):
        raise UserError(
            f"--output {output}: holds the scans themselves, which would be overwritten; name another folder"
        )
    make_folder(output)


def _default_model(options: argparse.Namespace) -> Path:
    from data_preprocessing.plan import folder_name
    from data_preprocessing.task import load_task
    from nnunet_tf.inference.model_folder import model_folder

    return model_folder(options.results, folder_name(load_task(options.task).task, options.dim), options.fold)


if __name__ == "__main__":
    run(main)
