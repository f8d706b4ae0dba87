"""Draws the rooms of both packages and which imports which: python scripts/draw_rooms.py

Written to docs/images/rooms.svg. A room stands above all that it imports, so that every arrow goes down.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("nnunet_tf", "data_preprocessing")
PICTURE = ROOT / "docs" / "images" / "rooms.svg"
WIDTH, HEIGHT, ACROSS, DOWN, MARGIN, BEND = 150, 44, 176, 84, 16, 70
COLORS = {"nnunet_tf": "#dbe9f6", "data_preprocessing": "#e5f2dc"}

Arrows = dict[str, set[str]]


def read_arrows(root: Path = ROOT) -> Arrows:
    """Returns for every room, such as "nnunet_tf.training", the rooms that its files import.

    Modules that lie in a package itself, such as `nnunet_tf/api.py`, are a room of their own where they are imported by
    none: what people call from outside.
    """
    arrows: Arrows = defaultdict(set)
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            room = room_of(".".join(file.relative_to(root).with_suffix("").parts), root)
            if room is None:
                continue
            arrows[room] |= {other for name in _imports(file) if (other := room_of(name, root)) and other != room}
    return dict(arrows)


def room_of(module: str, root: Path = ROOT) -> str | None:
    """Returns the folder of a module below its package; None for modules in no folder, and of others' packages."""
    parts = module.split(".")
    if parts[0] not in PACKAGES or len(parts) < 2 or not (root / parts[0] / parts[1]).is_dir():
        return None
    return ".".join(parts[:2])


def find_levels(arrows: Arrows) -> dict[str, int]:
    """Returns how far up each room stands: 0 for those that import none, else one more than the highest it imports.

    Raises ValueError where rooms import each other in a circle.
    """
    levels: dict[str, int] = {}

    def level(room: str, above: tuple[str, ...]) -> int:
        if room in above:
            raise ValueError(" -> ".join((*above[above.index(room) :], room)))
        if room not in levels:
            levels[room] = 1 + max((level(other, (*above, room)) for other in arrows.get(room, ())), default=-1)
        return levels[room]

    for room in arrows:
        level(room, ())
    return levels


def draw(arrows: Arrows) -> str:
    """Returns the picture, SVG; an arrow is left out where a longer way leads to the same room."""
    levels = find_levels(arrows)
    top = max(levels.values())
    places: dict[str, tuple[float, float]] = {}
    left = MARGIN + BEND
    for package in PACKAGES:  # side by side
        rooms = sorted(room for room in levels if room.startswith(f"{package}."))
        rows = [[room for room in rooms if levels[room] == top - row] for row in range(top + 1)]
        widest = max(map(len, rows))
        for number, row in enumerate(rows):
            for index, room in enumerate(row):
                places[room] = (left + (index + (widest - len(row)) / 2) * ACROSS, MARGIN + number * DOWN)
        left += widest * ACROSS
    lines = [_arrow(places[room], places[other]) for room, other in sorted(_shown(arrows))]
    boxes = [_box(room, *places[room]) for room in sorted(places)]
    width, height = left + MARGIN - (ACROSS - WIDTH), 2 * MARGIN + top * DOWN + HEIGHT
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="13"><defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#777"/></marker></defs>'
        f'<rect width="{width}" height="{height}" fill="white"/>'
    )
    return "\n".join([head, *lines, *boxes, "</svg>", ""])


def _shown(arrows: Arrows) -> Iterator[tuple[str, str]]:
    reached: dict[str, set[str]] = {}
    for room in sorted(arrows, key=find_levels(arrows).get):  # type: ignore[arg-type]
        reached[room] = set().union(*({other} | reached.get(other, set()) for other in arrows[room]))
    for room, others in arrows.items():
        for other in others:
            if not any(other in reached.get(between, ()) for between in others - {other}):
                yield room, other


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    if end[0] == start[0] and end[1] - start[1] > DOWN:  # past the rooms between
        x, y, to_y = start[0], start[1] + HEIGHT / 2, end[1] + HEIGHT / 2
        way = f"M{x:g} {y:g} C{x - BEND:g} {y:g} {x - BEND:g} {to_y:g} {x:g} {to_y:g}"
    else:
        x, y, to_x = start[0] + WIDTH / 2, start[1] + HEIGHT, end[0] + WIDTH / 2
        way = f"M{x:g} {y:g} L{to_x:g} {end[1]:g}"
    return f'<path d="{way}" stroke="#777" fill="none" marker-end="url(#tip)"/>'


def _box(room: str, x: float, y: float) -> str:
    package, name = room.split(".")
    return (
        f'<g><rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{COLORS[package]}" '
        f'stroke="#666"/><text x="{x + WIDTH / 2:g}" y="{y + 19:g}" text-anchor="middle" font-weight="bold">{name}'
        f'</text><text x="{x + WIDTH / 2:g}" y="{y + 35:g}" text-anchor="middle" font-size="10">{package}</text></g>'
    )


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


if __name__ == "__main__":
    PICTURE.write_text(draw(read_arrows()), encoding="utf-8")
    print(PICTURE.relative_to(ROOT), file=sys.stderr)
