"""Training shards of a task to a model folder."""

import argparse
import shlex
import sys
from typing import TYPE_CHECKING

from nnunet_tf.runtime.command_line import CommandParser, available_cores, positive_float, positive_int, run

if TYPE_CHECKING:
    from nnunet_tf.training.settings import Job


def main() -> None:
    """Parses the command line and trains one fold, with several workers if asked for."""
    parser = CommandParser(description=__doc__)
    parser.add_task()
    parser.add_fold()
    parser.add_folds()
    parser.add_folder("shards", "shards, as preprocess.py wrote them")
    parser.add_folder("results", "models, written to results/task04_3d/fold_0")
    parser.add_device()
    parser.add_argument("--gpus", type=positive_int, default=1, help="workers; with --device cpu, processes on the CPU")
    parser.add_argument("--deep-supervision", action="store_true", help="train on coarser decoder levels too")
    parser.add_argument("--augmentation", choices=("none", "basic"), default="basic", help="random changes to patches")
    parser.add_argument("--epochs", type=positive_int, help="epochs; else the task config says")
    parser.add_argument("--steps-per-epoch", type=positive_int, help="steps an epoch; else the config says")
    parser.add_argument("--batch-size", type=positive_int, help="patches a step and worker; else the config says")
    parser.add_argument("--learning-rate", type=positive_float, help="highest learning rate; else the config says")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and augmentation")
    parser.add_argument("--resume", action="store_true", help="go on from the last finished epoch")
    options = parser.parse_args()

    from data_preprocessing.files import make_folder
    from nnunet_tf.training.launch import launch, local_rank, started_by_launcher

    job = make_job(options)
    if options.gpus > 1 and not started_by_launcher():
        _check_gpus(options)
        make_folder(job.folder)
        launch(options.gpus, sys.argv)
        return
    make_folder(job.folder)
    from nnunet_tf.runtime.device import start_tensorflow

    threads = max(1, available_cores() // options.gpus)
    runtime = start_tensorflow(options.device, options.amp, local_rank(), threads)
    from nnunet_tf.evaluation.tables import print_summary
    from nnunet_tf.training.distributed import join_group
    from nnunet_tf.training.run import train

    group = join_group()
    summary = train(job, group, runtime, options.resume, threads)
    if group.rank == 0:
        print_summary(f"Validation on {len(summary.cases)} cases", summary)
        print(f"Model in {job.folder}")


def make_job(options: argparse.Namespace) -> "Job":
    """Returns what the command line asks for; raises UserError when the shards or the run to resume do not fit."""
    from data_preprocessing.plan import folder_name
    from data_preprocessing.shards import check_config, open_shards
    from data_preprocessing.task import load_task
    from nnunet_tf.data.folds import split
    from nnunet_tf.inference.model_folder import model_folder
    from nnunet_tf.training.settings import Job, TrainingSettings, check_resume

    config = load_task(options.task)
    name = folder_name(config.task, options.dim)
    shards = options.shards / name
    command = [
        "python",
        "preprocess.py",
        "--task",
        options.task,
        "--dim",
        str(options.dim),
        "--shards",
        str(options.shards),
    ]
    remedy = f"run: {shlex.join(command)}"
    plan, manifest = open_shards(shards, remedy)
    check_config(shards, manifest, config, remedy)
    defaults = config.training
    settings = TrainingSettings(
        fold=options.fold,
        folds=options.nfolds,
        epochs=options.epochs or defaults.epochs,
        steps_per_epoch=options.steps_per_epoch or defaults.steps_per_epoch,
        batch_size=options.batch_size or defaults.batch_size(options.dim),
        learning_rate=options.learning_rate or defaults.learning_rate,
        seed=options.seed,
        amp=options.amp,
        deep_supervision=options.deep_supervision,
        augmentation=options.augmentation,
        workers=options.gpus,
    )
    folder = model_folder(options.results, name, options.fold)
    job = Job(shards, folder, plan, split(manifest.cases, options.fold, options.nfolds), settings)
    if options.resume:
        check_resume(job)
    return job


def _check_gpus(options: argparse.Namespace) -> None:
    """Raises UserError when more GPUs are asked for than there are."""
    if options.device == "cpu":
        return
    from data_preprocessing.errors import UserError
    from nnunet_tf.runtime.device import count_gpus

    found = count_gpus()
    if options.gpus > found:
        raise UserError(
            f"--gpus {options.gpus}: TensorFlow sees {found} GPU{'s' * (found != 1)} on this machine; "
            f"use --gpus {max(found, 1)}, or --device cpu for {options.gpus} processes on the CPU"
        )


if __name__ == "__main__":
    run(main)
