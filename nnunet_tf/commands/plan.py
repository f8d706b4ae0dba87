"""Writes the config of a data set that has none: spacing, patch, network and batch from its fingerprint."""

import argparse
import shlex
from typing import TYPE_CHECKING, get_args

from data_preprocessing.common.defaults import OWN_CONFIGS, Encoder
from data_preprocessing.common.script import other_command, user_path
from nnunet_tf.commands.options.source import add_source_options, data_folder, fill_in, load_fingerprint
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.commands.types import positive_float

if TYPE_CHECKING:
    from pathlib import Path

    from data_preprocessing.jobs.backend import Backend
    from data_preprocessing.planning.planner import PlannedConfig


def add_options(parser: CommandParser) -> None:
    """Adds the options of the command."""
    add_source_options(parser)
    add_plan_options(parser)


def add_plan_options(parser: CommandParser) -> None:
    """Adds what is planned for, and where the config is written."""
    parser.add_argument("--gpu-memory", type=positive_float, default=8.0, metavar="GB", help="a plan is to fit into")
    parser.add_argument(
        "--encoder", choices=get_args(Encoder), default="plain", help="of the network that a plan is made for"
    )
    parser.add_argument(
        "--config-dir", type=user_path, default=OWN_CONFIGS, metavar="DIR", help="folder that a plan is written to"
    )


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Writes the config; raises UserError where the data set cannot be used, or has a config already."""
    from nnunet_tf.runtime.backend import chosen_backend

    fill_in(options, parser, needs_config=False)
    path, planned = plan_task(options, chosen_backend(options))
    task = planned.config.task if options.config_dir == OWN_CONFIGS else str(path)
    source = ["--from-nnunet", str(options.from_nnunet)] if options.from_nnunet else ["--data", str(options.data)]
    command = shlex.join([*other_command("preprocess"), "--task", task, *source])
    training = shlex.join([*other_command("train"), "--task", task, *planned.training_options])
    print(f"{path} written\nnext: {command}\nthen: {training}")


def plan_task(options: argparse.Namespace, backend: "Backend") -> "tuple[Path, PlannedConfig]":
    """Returns the file `taskNN.yaml` that is written for a data set nobody configured, and what was planned."""
    from data_preprocessing.dataset.dataset import description_file
    from data_preprocessing.dataset.open_dataset import open_dataset
    from data_preprocessing.planning.config_writer import refuse_existing, write_config
    from data_preprocessing.planning.planner import plan_config, task_number
    from nnunet_tf.commands.verify import check

    name = options.from_nnunet.name if options.from_nnunet else options.task
    number = task_number(name)
    path = options.config_dir / f"task{number}.yaml"
    description_file(data_folder(options), name)  # a misspelt name is told before anything else
    refuse_existing(path)
    check(options, name, backend)
    dataset = open_dataset(data_folder(options), name)
    fingerprint = load_fingerprint(options, dataset, number, backend)
    planned = plan_config(dataset, fingerprint, number, options.gpu_memory, options.encoder)
    write_config(path, planned)
    return path, planned
