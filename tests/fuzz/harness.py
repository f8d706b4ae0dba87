"""Damages inputs and counts what becomes of them."""

import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_preprocessing.common.errors import UserError
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import Target, one_line

SLOW_SECONDS = 10.0


@dataclass
class Report:
    """How many inputs were read and refused, by target, and the failures: `target seed: what happened`."""

    read: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def fuzz(target: Target, count: int, seed: int, folder: Path, report: Report) -> None:
    """Reads `count` damaged inputs of one kind; the n-th depends on `seed + n` alone."""
    for number in range(seed, seed + count):
        random = np.random.default_rng((number, sum(target.name.encode())))
        path = folder / target.name
        path.write_bytes(mutate(target.content, random, target.is_text and random.random() < 0.7))
        start = time.monotonic()
        try:
            target.read(path)
            report.read[target.name] += 1
        except UserError as error:
            one_line(error)
            report.refused[target.name] += 1
        except Exception:
            report.failures.append(f"{target.name} {number}: {traceback.format_exc(limit=-6)}")
        if time.monotonic() - start > SLOW_SECONDS:
            report.failures.append(f"{target.name} {number}: took {time.monotonic() - start:.0f} s")
