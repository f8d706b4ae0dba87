"""The processor of this machine: its name, class and instructions."""

import platform
import re
from dataclasses import dataclass
from pathlib import Path

CPUINFO_FILE = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Processor:
    """A processor; `family` and `model` are the numbers that lscpu prints, None where there are none (Arm)."""

    name: str
    family: int | None
    model: int | None
    flags: frozenset[str]

    def __str__(self) -> str:
        """The name with its class, such as "AMD EPYC family 25 model 1"."""
        return self.name if self.family is None else f"{self.name} family {self.family} model {self.model}"


def read_processor() -> Processor:
    """Returns the processor of this machine; without flags where the system does not tell them (macOS, Windows)."""
    return parse_cpuinfo(CPUINFO_FILE.read_text(errors="replace") if CPUINFO_FILE.is_file() else "")


def parse_cpuinfo(text: str) -> Processor:
    r"""Returns the first processor in the text of /proc/cpuinfo.

    >>> parse_cpuinfo("cpu family : 25\nmodel : 1\nmodel name : AMD EPYC\nflags : fma avx2\n").model
    1
    """
    first, _, _ = text.strip().partition("\n\n")
    fields = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())
    }
    return Processor(
        name=fields.get("model name") or platform.processor() or platform.machine(),
        family=_number(fields.get("cpu family", "")),
        model=_number(fields.get("model", "")),
        flags=frozenset((fields.get("flags") or fields.get("features") or "").split()),
    )


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d+", text) else None
