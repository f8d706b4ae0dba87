"""The commands as functions: `from nnunet_tf import plan, preprocess, train, evaluate`.

Keyword arguments are the options of the command of that name, with `_` for `-`: `train("04", dim=3, amp=True)` is
`nnunet-tf train --task 04 --dim 3 --amp`. What is left out has the command's default. Nothing is printed but warnings;
`on_progress` is told how far the work is.
"""

import argparse
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from data_preprocessing.common.errors import UserError

if TYPE_CHECKING:
    from data_preprocessing.shards.pipeline import Summary
    from nnunet_tf.commands.parser import CommandParser
    from nnunet_tf.evaluation.summaries.summary import Evaluation

Value = str | int | float | bool | Path | None
Option = Value | Iterable[Value]
Progress = Callable[[str, float, float | None], None]
"""Called with what is done ("Training task04_3d fold 0"), how many steps or cases of it are, and how many there are."""


def plan(task: str, *, on_progress: Progress | None = None, **options: Option) -> Path:
    """Returns the config that is written for the data set folder `task`, such as "Task11_Mine".

    Raises UserError where the data set cannot be used, or has a config already.
    """
    chosen, parser = parse("plan", {"task": task, **options})
    from nnunet_tf.commands.options.source import fill_in
    from nnunet_tf.commands.plan import plan_task
    from nnunet_tf.runtime.backend import chosen_backend

    fill_in(chosen, parser, needs_config=False)
    with _reporting(on_progress):
        return plan_task(chosen, chosen_backend(chosen))[0]


def preprocess(task: str | Path, *, on_progress: Progress | None = None, **options: Option) -> "Summary":
    """Returns what preprocessing has made: the folder of the shards, and a record of each case.

    Raises UserError where the data set cannot be used, or a case fails; the shards of the others are kept.
    """
    chosen, parser = parse("preprocess", {"task": task, **options})
    from nnunet_tf.commands.options.source import dataset_name, fill_in
    from nnunet_tf.commands.preprocess import make_shards
    from nnunet_tf.commands.verify import check
    from nnunet_tf.runtime.backend import chosen_backend

    fill_in(chosen, parser)
    backend = chosen_backend(chosen)
    with _reporting(on_progress):
        check(chosen, dataset_name(chosen), backend)
        summary = make_shards(chosen, backend).summary
    if summary.failures:
        raise UserError(" | ".join(f"{each.name}: {each.failure}" for each in summary.failures))
    return summary


def train(task: str | Path, *, on_progress: Progress | None = None, **options: Option) -> Path:
    """Returns the folder of the trained model, which `Predictor` takes; of `cross_validate=True`, that of all folds.

    Trains in this process, unless `gpus` or `cross_validate` ask for others. Raises UserError where shards or options
    do not fit, and KeyboardInterrupt where it is stopped; what is finished is kept, `resume=True` goes on.
    """
    chosen, _ = parse("train", {"task": task, **options})
    from nnunet_tf.commands.train import train_model

    with _reporting(on_progress):
        folder = train_model(chosen).folder
    return folder.parent if chosen.cross_validate else folder


def evaluate(
    predictions: str | Path, labels: str | Path, *, on_progress: Progress | None = None, **options: Option
) -> "Evaluation":
    """Returns the scores of the segmentations in a folder against the labels of the same names in another.

    Writes the files that `csv`, `json`, `plot` and `overlays` name. Raises UserError where nothing can be scored; cases
    that fail are in the result.
    """
    chosen, parser = parse("evaluate", {"predictions": predictions, "labels": labels, **options})
    from nnunet_tf.commands.evaluate import check_pictures, score
    from nnunet_tf.commands.options.scores import backend_of

    check_pictures(chosen, parser)
    with _reporting(on_progress):
        return score(chosen, backend_of(chosen, parser))[0]


def parse(command: str, options: dict[str, Option]) -> "tuple[argparse.Namespace, CommandParser]":
    """Returns the options of a command as its parser makes them, and the parser.

    Raises TypeError for a keyword that is no option, UserError for a value that cannot be.
    """
    from nnunet_tf.commands.parser import CommandParser

    module = import_module(f"nnunet_tf.commands.{command}")
    parser = CommandParser(module.__doc__, f"nnunet-tf {command}")
    module.add_options(parser)
    actions = {action.dest: action for action in parser._actions}
    words: list[str] = []
    for name, value in options.items():
        if name not in actions:
            raise TypeError(f"{command}() has no option {name!r}; nnunet-tf {command} --help lists them")
        words += _words(actions[name], value)
    chosen = parser.parse(words)
    chosen.command = ["-m", "nnunet_tf.commands", command, *words]
    return chosen, parser


def _words(action: argparse.Action, value: Option) -> list[str]:
    """What stands on a command line for the value of an option."""
    if value is None:
        return []
    if isinstance(value, bool) and action.nargs == 0:
        flags = [flag for flag in action.option_strings if flag.startswith("--no-") != value]
        return flags[:1]
    several = not isinstance(value, str | int | float | Path)
    values = [str(each) for each in value] if several else [str(value)]  # type: ignore[union-attr]
    if not action.option_strings:
        return values
    flag = action.option_strings[-1]
    if action.nargs is None:
        return [f"{flag}={each}" for each in ([",".join(values)] if several else values)]  # also of values like -1
    return [flag, *values]


def _reporting(on_progress: Progress | None) -> AbstractContextManager[None]:
    from nnunet_tf.runtime.progress import reporting_to

    return reporting_to(on_progress or (lambda title, done, total: None))


__all__ = ["Progress", "evaluate", "plan", "preprocess", "train"]
