"""Heat maps: a field per row and column, with its value in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl

from reports.charts.marks import datum, group, marker
from reports.charts.rows import WIDTH, frame, start
from reports.document import Key
from reports.figures.svg import Element, make, text
from reports.figures.theme import readable, short

_ROW, _LEAST, _MOST = 28.0, 34.0, 62.0
_SLANT = math.radians(40)


@dataclass(frozen=True)
class Line:
    """A row of a heat map: its name, its values in percent (NaN: none), and its cell, if it is about one."""

    name: str
    values: Sequence[float]
    key: Key | None = None


def draw(lines: Sequence[Line], columns: Sequence[str], description: str, side: str = "") -> Element:
    """Draw lines from top to bottom under the slanted names of the columns; `side` tells what the rows are."""
    left = start([*(row.name for row in lines), side])
    wide = min(max((WIDTH - left - 60) / len(columns), _LEAST), _MOST)
    names = [short(name, 18) for name in columns]
    head = 16 + max(map(len, names)) * 7 * math.sin(_SLANT)
    overhang = 12 + len(names[-1]) * 7 * math.cos(_SLANT)
    made = frame(left + wide * len(columns) + overhang, head + _ROW * len(lines) + 8, description, "rows heat")
    made.set("data-row", f"{_ROW:g}")
    made.set("data-top", f"{head:.1f}")
    for number, name in enumerate(names):
        one = text(name, 0, 0, "start", "column")
        one.set("transform", f"translate({left + wide * (number + 0.5) - 2:.1f} {head - 7:.1f}) rotate(-40)")
        made.append(one)
    if side:  # it is longer than the names of a few rows
        made.append(text(side, left - 12, head - 9, "end", "title"))
    for number, row in enumerate(lines):
        made.append(_row(row, columns, left, wide, head + _ROW * number))
    made.append(make("g", class_="foot", transform=f"translate(0 {head + _ROW * len(lines):.1f})"))
    return made


def _row(row: Line, columns: Sequence[str], left: float, wide: float, top: float) -> Element:
    made = group(row.key, kind="row") if row.key else make("g", class_="row")
    made.set("transform", f"translate(0 {top:.1f})")
    made.append(text(short(row.name), left - (34 if row.key else 12), _ROW / 2 + 4.5, "end", "name"))
    if row.key:
        made.append(marker(row.key.look, left - 19, _ROW / 2))
    for place, (value, column) in enumerate(zip(row.values, columns, strict=True)):
        if not math.isnan(value):
            made.append(_field(row.name, column, value, left + wide * place, wide))
    return made


def _field(row: str, column: str, value: float, left: float, wide: float) -> Element:
    color = mpl.colormaps["cividis"](value / 100)
    fill = mpl.colors.to_hex(color)
    size = {"width": f"{wide - 1:.1f}", "height": f"{_ROW - 1:g}"}
    box = make("rect", class_="field", x=f"{left + 0.5:.1f}", y="0.5", fill=fill, **size)
    digits = text(f"{value:.0f}", left + wide / 2, _ROW / 2 + 4.5, "middle", f"on-{readable(color)}")
    return datum(f"{row}, {column}: {value:.1f} %", box, digits)
