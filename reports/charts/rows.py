"""Drawings with a row per cell. The page's script closes the gap where a row is hidden."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from reports.charts.axes import Axis
from reports.charts.marks import group, marker
from reports.document import Key
from reports.figures.svg import Element, line, make, text
from reports.figures.theme import short

WIDTH, RIGHT, ROW, FOOT = 760.0, 18.0, 30.0, 46.0
END = WIDTH - RIGHT
_LETTER, _MARKER = 7.3, 34.0  # width of a letter in most fonts, and of a marker with its margins


def start(names: Iterable[str]) -> float:
    """Return where the values of rows begin, to the right of their names and markers."""
    return 12 + _MARKER + _LETTER * max(len(short(name)) for name in names)


@dataclass(frozen=True)
class Panel:
    """An axis with its title, and what each row shows behind its values, such as a line at zero."""

    axis: Axis
    title: str
    behind: Callable[[Axis, float], Iterable[Element]] = lambda axis, height: ()


@dataclass(frozen=True)
class Row:
    """A row: its cell, its name, and its values, drawn around the line ROW / 2."""

    key: Key
    name: str
    parts: Sequence[Element]


def draw(rows: Sequence[Row], panels: Sequence[Panel], description: str) -> Element:
    """Draw rows from top to bottom over the axes of the panels, which stand side by side."""
    made = frame(WIDTH, ROW * len(rows) + FOOT, description, "rows")
    made.set("data-row", f"{ROW:g}")
    for number, row in enumerate(rows):
        made.append(_row(row, panels, ROW * number))
    foot = make("g", class_="foot", transform=f"translate(0 {ROW * len(rows):g})")
    for panel in panels:
        foot.append(line("axis", panel.axis.start, 0, panel.axis.end, 0))
        for place, said in panel.axis.ticks():
            foot.append(text(said, place, 18, "middle"))
        foot.append(text(panel.title, (panel.axis.start + panel.axis.end) / 2, 39, "middle", "title"))
    made.append(foot)
    return made


def frame(width: float, height: float, description: str, kind: str = "") -> Element:
    """Return an empty drawing; its description is its text alternative."""
    made = make("svg", class_=f"plot {kind}".strip(), viewBox=f"0 0 {width:g} {height:g}", role="img")
    made.set("width", f"{width:g}")
    made.set("aria-label", description)
    return made


def _row(row: Row, panels: Sequence[Panel], top: float) -> Element:
    made = group(row.key, kind="row")
    made.set("transform", f"translate(0 {top:g})")
    for panel in panels:
        for part in panel.behind(panel.axis, ROW):
            made.append(part)
        for place, _ in panel.axis.ticks():
            made.append(line("grid", place, 0, place, ROW))
    label = panels[0].axis.start
    made.append(text(short(row.name), label - _MARKER, ROW / 2 + 4.5, "end", "name"))
    made.append(marker(row.key.look, label - 19, ROW / 2))
    for part in row.parts:
        made.append(part)
    return made
