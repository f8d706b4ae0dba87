"""Options of the phantom. Imports nothing heavy, for `--help`."""

import argparse
from pathlib import Path

from data_preprocessing.common.script import user_path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the data set: cases, seed, channels, dimensions."""
    parser.add_argument("--output", type=user_path, default=Path("data/Task00_Phantom"), help="folder (%(default)s)")
    parser.add_argument("--cases", type=int, default=24, help="training and test cases together (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--ct", action="store_true", help="values like Hounsfield units")
    parser.add_argument("--dim", type=int, choices=(2, 3), default=3, help="2: single slices")
