"""The spacing of a TIFF, in `case.json` beside `case.tif` or `case_0000.tif`, as nnU-Net v2 has it.

Source: nnU-Net v2, `documentation/dataset_format.md`: `{"spacing": [z, y, x]}`.
"""

import json
import math
import re
from pathlib import Path

from data_preprocessing.common.files import write_json
from data_preprocessing.images.checks.finding import Row, unusable

KEY = "spacing"
CHANNEL_SUFFIX = re.compile(r"_\d{4}$")
REMEDY = 'let it state the spacing (z, y, x) in mm, such as {"spacing": [8.0, 1.0, 1.0]}'


def find_sidecar(path: Path) -> Path | None:
    """Returns the JSON file beside a TIFF that states its spacing: that of its own name before that of its case.

    A JSON file that says nothing of a spacing is none. Raises Unusable for one that is not valid.
    """
    names = dict.fromkeys([path.stem, CHANNEL_SUFFIX.sub("", path.stem)])
    for candidate in (path.with_name(f"{name}.json") for name in names if name):
        if candidate.is_file() and KEY in _content(candidate):
            return candidate
    return None


def beside(path: Path) -> list[Path]:
    """Returns the file that states the spacing of a TIFF, if any."""
    sidecar = find_sidecar(path)
    return [] if sidecar is None else [sidecar]


def read_spacing(path: Path) -> tuple[float, float, float] | None:
    """Returns the spacing (mm) `(z, y, x)` stated beside a TIFF, None without; raises Unusable for one that is none."""
    sidecar = find_sidecar(path)
    if sidecar is None:
        return None
    stated = _content(sidecar)[KEY]
    numbers = stated if isinstance(stated, list) else []
    if len(numbers) != 3 or not all(type(number) in (int, float) for number in numbers):
        raise unusable(sidecar, Row.LISTING, f"its spacing, {json.dumps(stated)}, is not three numbers", REMEDY)
    z, y, x = (float(number) for number in numbers)
    if not all(math.isfinite(number) and number > 0 for number in (z, y, x)):
        raise unusable(sidecar, Row.LISTING, f"its spacing, {json.dumps(stated)}, is not positive", REMEDY)
    return z, y, x


def write_spacing(path: Path, spacing: tuple[float, float, float]) -> None:
    """States the spacing (mm) `(z, y, x)` of the TIFF `path` beside it; what else stands in the file there stays."""
    sidecar = path.with_suffix(".json")
    content = _content(sidecar) if sidecar.is_file() else {}
    if content.get(KEY) != list(spacing):
        write_json(sidecar, content | {KEY: list(spacing)})


def _content(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise unusable(path, Row.LISTING, f"cannot be read as JSON ({reason})", REMEDY) from None
    return content if isinstance(content, dict) else {}
