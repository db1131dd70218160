"""Drawings with two axes, one or two side by side."""

from collections.abc import Iterator, Sequence

from reports.charts.axes import Axis
from reports.charts.rows import frame
from reports.figures.svg import Element, line, make, text

WIDTH, HEIGHT = 760.0, 430.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, WIDTH - 18.0, 12.0, HEIGHT - 52.0


def across(values: Sequence[float], *, log: bool = False, zero: bool = False) -> Axis:
    """Return the axis from left to right."""
    return Axis.over(values, LEFT, RIGHT, log=log, zero=zero)


def upward(values: Sequence[float], *, zero: bool = False) -> Axis:
    """Return the axis from the foot to the top."""
    return Axis.over(values, BOTTOM, TOP, zero=zero)


def draw(x: Axis, y: Axis, titles: tuple[str, str], parts: Sequence[Element], description: str) -> Element:
    """Draw parts over a grid; `titles` are those of the two axes."""
    return drawn([*grid(x, y, titles, x.ticks()), make("g", *parts)], description)


def drawn(parts: Sequence[Element], description: str) -> Element:
    """Return a drawing of parts that have their places."""
    made = frame(WIDTH, HEIGHT, description)
    made.extend(parts)
    return made


def grid(x: Axis, y: Axis, titles: tuple[str, str], ticks: Sequence[tuple[float, str]]) -> Iterator[Element]:
    """Yield the grid, the ticks and the titles of two axes; `ticks` are those of `x`."""
    for place, said in y.ticks():
        yield line("grid", x.start, place, x.end, place)
        yield text(said, x.start - 8, place + 4.5, "end")
    for place, said in ticks:
        yield line("axis", place, BOTTOM, place, BOTTOM + 5)
        yield text(said, place, BOTTOM + 21, "middle")
    yield line("axis", x.start, BOTTOM, x.end, BOTTOM)
    yield text(titles[0], (x.start + x.end) / 2, HEIGHT - 8, "middle", "title")
    title = text(titles[1], 0, 0, "middle", "title")
    title.set("transform", f"translate({x.start - 47:g} {(TOP + BOTTOM) / 2:g}) rotate(-90)")
    yield title
