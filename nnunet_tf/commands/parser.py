"""The parser of the commands, with the options that several of them share."""

import argparse
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from data_preprocessing.common.defaults import FOLDS, MAX_VOXELS, MAX_VOXELS_VARIABLE
from data_preprocessing.common.machine import available_cores
from data_preprocessing.common.script import LineParser, user_path
from nnunet_tf.commands.types import fold, folds, positive_float, positive_int


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults, where there is one to show."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default is None or action.default is False
        return action.help if silent else super()._get_help_string(action)


class CommandParser(LineParser):
    """A parser whose complaints are one line, and whose help shows the defaults."""

    def __init__(self, description: str | None, prog: str | None = None) -> None:
        super().__init__(prog=prog, description=description, formatter_class=_HelpFormatter)
        self._words: Sequence[str] | None = None

    def parse(self, words: Sequence[str] | None) -> argparse.Namespace:
        """Returns the options of a command line, that of the process where `words` is None."""
        self._words = words
        options = self.parse_args(words)
        if "max_voxels" in options:
            os.environ[MAX_VOXELS_VARIABLE] = str(options.max_voxels)
        return options

    def given(self) -> set[str]:
        """Returns the names of the options that stand on the command line, such as "n_jobs"."""
        absent = object()
        # An option that may be given several times appends to what is there.
        before = {each.dest: None if isinstance(each, argparse._AppendAction) else absent for each in self._actions}
        parsed = vars(self.parse_args(self._words, argparse.Namespace(**before)))
        return {name for name, value in before.items() if parsed[name] is not value}

    def refuse_given(self, names: Iterable[str], reason: str) -> None:
        """Says of the first of the options that is given, such as "n_jobs", what `reason` does."""
        given = self.given()
        for name in names:
            if name in given:
                self.error(f"--{name.replace('_', '-')} {reason}")

    def add_task(self) -> None:
        """Adds `--task` and `--dim`, which `set_dim` fills in."""
        self.add_argument("--task", default="01", help="number of a config in configs/, or a config file's path")
        dim = "2D or 3D network; else 3, or 2 where the config has a 2D patch only"
        self.add_argument("--dim", type=int, choices=(2, 3), help=dim)

    def add_fold(self, all_means: str) -> None:
        """Adds `--fold`; `all_means` is what "all" does."""
        self.add_argument("--fold", type=fold, default=0, help=f"cross-validation fold, the first is 0; {all_means}")

    def add_folds(self) -> None:
        """Adds `--nfolds`."""
        self.add_argument("--nfolds", type=folds, default=FOLDS, help="folds of the cross-validation")

    def add_folder(self, name: str, content: str) -> None:
        """Adds `--data`, `--shards` or `--results`, which default to the folder of that name."""
        self.add_argument(f"--{name}", type=user_path, default=Path(name), metavar="DIR", help=f"folder of {content}")

    def add_device(self) -> None:
        """Adds `--device` and `--amp`."""
        self.add_argument(
            "--device", choices=("auto", "cpu", "gpu"), default="auto", help="auto: a GPU if there is one"
        )
        mixed = "mixed precision: float16 on a GPU, bfloat16 on a processor with instructions for it"
        self.add_argument("--amp", action="store_true", help=mixed)

    def add_jobs(self) -> None:
        """Adds `--n-jobs` and `--memory`, what `--backend processes` may use of this machine."""
        self.add_argument("--n-jobs", type=positive_int, default=available_cores(), help="worker processes")
        self.add_argument(
            "--memory", type=positive_float, metavar="GIB", help="for all of them; else 80%% of what is free"
        )

    def add_backend(self) -> None:
        """Adds `--backend` and `--scheduler`, which `check_backend` looks at, and `--max-voxels`, read by `parse`."""
        self.add_argument(
            "--max-voxels", type=positive_int, default=MAX_VOXELS, metavar="N", help="refuse larger volumes, by header"
        )
        self.add_argument(
            "--backend",
            choices=("processes", "dask"),
            default="processes",
            help="dask: cases go to a cluster's workers",
        )
        self.add_argument("--scheduler", metavar="ADDRESS", help="of --backend dask, such as node1:8786")

    def check_backend(self, options: argparse.Namespace) -> None:
        """Refuses options that do not go with `--backend`; on a cluster all paths become absolute, for its workers."""
        if options.backend == "processes":
            if options.scheduler:
                self.error("--scheduler belongs to --backend dask; add that")
            return
        if not options.scheduler:
            self.error("--backend dask hands cases to a scheduler; name it with --scheduler, such as node1:8786")
        self.refuse_given(("n_jobs", "memory"), "is for --backend processes; on a cluster its workers decide")
        for name, value in vars(options).items():
            if isinstance(value, Path):
                setattr(options, name, value.absolute())
            elif isinstance(value, list):
                setattr(options, name, [each.absolute() if isinstance(each, Path) else each for each in value])
