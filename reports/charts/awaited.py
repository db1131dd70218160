"""The chart of times to a target: which share of the seeds of a cell has reached it after how many steps."""

from collections.abc import Iterator, Mapping

from reports.charts.axes import Axis
from reports.charts.marks import datum, group, marker, path
from reports.charts.planes import across, draw, upward
from reports.charts.ranked import NUMBERS, cut, field
from reports.document import Field, Key, Plot, Table, Text
from reports.figures.svg import Element, line
from reports.figures.targets import MOST_CURVES, Stairs, fastest, stairs
from reports.summary import Cell, Summary


def reached(summary: Summary, keys: Mapping[str, Key], alt: str) -> Plot | None:
    """Draw a rising stair per cell; a cross says that a seed ended there without the target."""
    there = fastest(summary)
    shown = there[:MOST_CURVES]
    found = {cell.key: stairs(summary.targets[cell.key].each) for cell in shown}
    if not any(step for one in found.values() for step, _ in one.corners):
        return None
    x = across([step for one in found.values() for step, _ in one.corners], zero=True)
    y = upward([0.0, 100.0], zero=True)
    parts = [group(keys[cell.key], *_stair(cell, found[cell.key], keys[cell.key], x, y)) for cell in shown]
    names = sorted({summary.targets[cell.key].name for cell in shown})
    title = f"seeds that reached {names[0] if len(names) == 1 else 'their target'}, %"
    table: list[list[Field | Text]] = [
        [cell.label, field(at, 0), field(share, 0)] for cell in shown for at, share in found[cell.key].corners
    ]
    cells = tuple(cell.key for cell in shown for _ in found[cell.key].corners)
    numbers = Table(["cell", "from step", "reached, %"], table, frozenset({"cell"}), NUMBERS, cells)
    titles = ("training steps (cross: a seed that ended without the target)", title)
    legend = tuple(keys[cell.key] for cell in shown)
    return Plot(draw(x, y, titles, parts, alt), numbers, legend, notes=cut(len(there), len(shown), "fastest"))


def _stair(cell: Cell, found: Stairs, key: Key, x: Axis, y: Axis) -> Iterator[Element]:
    route, before = [], 0.0
    for step, share in found.corners:
        route += [(x(step), y(before)), (x(step), y(share))]
        before = share
    yield path("course", route)
    for step, share in found.rises:
        said = f"{cell.label}: {share:.0f} % of the seeds by step {step:.0f}"
        yield datum(said, marker(key.look, x(step), y(share)))
    for step, share in found.ends:
        yield datum(f"{cell.label}: a seed ended at step {step:.0f} without the target", *_cross(x(step), y(share)))


def _cross(x: float, y: float) -> Iterator[Element]:
    yield line("cross", x - 5, y - 5, x + 5, y + 5)
    yield line("cross", x - 5, y + 5, x + 5, y - 5)
