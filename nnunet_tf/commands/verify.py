"""Checks a data set before any work is done on it: files, grids, labels, and whether its config fits."""

import argparse
import shlex
from typing import TYPE_CHECKING

from data_preprocessing.common.script import INSTALLED
from data_preprocessing.common.text import counted
from nnunet_tf.commands.options.source import (
    add_source_options,
    data_folder,
    dataset_name,
    fill_in,
    load_fingerprint,
    names_folder,
    source_words,
)
from nnunet_tf.commands.options.splits import states_splits
from nnunet_tf.commands.parser import CommandParser

if TYPE_CHECKING:
    from data_preprocessing.images.checks.finding import Finding
    from data_preprocessing.jobs.backend import Backend


def add_options(parser: CommandParser) -> None:
    """Adds the options of the command."""
    add_source_options(parser)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Prints what is wrong with the data set; raises UserError where it cannot be used."""
    from nnunet_tf.runtime.backend import chosen_backend

    fill_in(options, parser, needs_config=not _lacks_config(options))
    check(options, dataset_name(options), chosen_backend(options), everything=True)


def check(options: argparse.Namespace, name: str, backend: "Backend", everything: bool = False) -> None:
    """Says what is wrong with the data set, one problem in a line, several in a table.

    With `everything` each case is read as preprocessing reads it, its config is tried, and the table is printed even
    where nothing is wrong. Raises UserError where the data set cannot be used.
    """
    from data_preprocessing.common.errors import UserError
    from data_preprocessing.dataset.verify import check_dataset
    from data_preprocessing.dataset.verify_report import findings_json, findings_table
    from data_preprocessing.images.checks.finding import Unusable, worst_first
    from nnunet_tf.runtime.console import print_whole, wide_console
    from nnunet_tf.runtime.progress import track

    with track(f"Checking {name}", total=None, unit="cases") as tracker:
        findings = check_dataset(
            name,
            options.dim,
            data_folder(options),
            backend,
            options.trust_grid,
            0 if states_splits(options, name) else options.nfolds,
            tracker.update,
            read=everything,
        )
    if everything and not (_lacks_config(options) or any(finding.level == "error" for finding in findings)):
        findings = worst_first([*findings, *_check_config(options, backend)])
    errors = [finding for finding in findings if finding.level == "error"]
    if everything and options.json:
        print(findings_json(findings))
    elif len(errors) == len(findings) == 1 and not everything:
        raise Unusable(errors[0])
    elif findings or everything:
        command = shlex.join([INSTALLED, "verify", *source_words(options), "--json"])
        table = findings_table(findings, command, whole_paths=True)
        print_whole(table, wide_console(stderr=not everything))
    if errors:
        raise UserError(f"{name}: {counted(len(errors), 'error')}, see above; correct them")


def _lacks_config(options: argparse.Namespace) -> bool:
    """Whether the data set is named by its folder, and may have no config yet."""
    return bool(options.from_nnunet) or names_folder(options)


def _check_config(options: argparse.Namespace, backend: "Backend") -> "list[Finding]":
    """What keeps the config from being used for the data set, as making the plan tells it; nothing is written."""
    from data_preprocessing.common.errors import UserError
    from data_preprocessing.common.task import load_task
    from data_preprocessing.dataset.open_dataset import open_dataset
    from data_preprocessing.dataset.verify_reading import finding_of
    from data_preprocessing.planning.plan import make_plan, needs_fingerprint

    config = load_task(options.task)
    dataset = open_dataset(data_folder(options), config.dataset)
    try:
        missing = needs_fingerprint(config, dataset, options.dim)
        fingerprint = load_fingerprint(options, dataset, config.task, backend, keep=False) if missing else None
        make_plan(config, dataset, options.dim, fingerprint)
    except UserError as refusal:
        return [finding_of(refusal)]
    return []
