"""Writes one HTML file about segmentations: a table to sort, flagged cases first, and their pictures. Works offline."""

import argparse

from data_preprocessing.common.script import user_path
from data_preprocessing.common.text import counted
from nnunet_tf.commands.parser import CommandParser

SUFFIXES = (".html", ".htm")


def add_options(parser: CommandParser) -> None:
    """Adds the options of the command."""
    add = parser.add_argument
    predictions = "segmentations with the statistics of predict --statistics, and the pictures of --preview"
    add("--predictions", type=user_path, metavar="DIR", required=True, help=predictions)
    add("--scores", type=user_path, metavar="FILE", help="what evaluate --json has written, to show beside")
    add("--output", type=user_path, metavar="FILE", help="else report.html in the folder of the segmentations")


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Writes the file."""
    output = options.output or options.predictions / "report.html"
    if output.suffix.lower() not in SUFFIXES:
        parser.error(f"--output {output}: is no HTML file by its name; end it in .html")
    from nnunet_tf.answers.html_report import write_report

    cases = write_report(output, options.predictions, options.scores)
    print(f"report on {counted(cases, 'case')} in {output}")
