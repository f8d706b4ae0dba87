"""Images of a task to training shards; or checks a data set (--verify), or writes its config (--plan)."""

import argparse

from nnunet_tf.commands import plan, preprocess, verify
from nnunet_tf.commands.options.source import add_source_options
from nnunet_tf.commands.parser import CommandParser


def add_options(parser: CommandParser) -> None:
    """Adds the options of the three commands that preprocess.py is."""
    add_source_options(parser)
    preprocess.add_shard_options(parser)
    parser.add_argument("--verify", action="store_true", help="check the data set and stop")
    parser.add_argument("--json", action="store_true", help="with --verify: print the findings as JSON")
    parser.add_argument("--plan", action="store_true", help="write a config for the data set folder --task and stop")
    plan.add_plan_options(parser)


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Does one of the three."""
    if options.json and not options.verify:
        parser.error("--json belongs to --verify")
    if options.plan and options.verify:
        parser.error("--plan checks the data set by itself; leave out --verify")
    if not options.plan:
        parser.refuse_given(("encoder", "gpu_memory", "config_dir"), "belongs to --plan")
    command = verify if options.verify else plan if options.plan else preprocess
    command.run(options, parser)
