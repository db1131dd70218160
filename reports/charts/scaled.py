"""The chart of training speed over the number of replicas."""

from collections.abc import Iterator, Sequence

from reports.charts.axes import Axis
from reports.charts.marks import datum, marker, path, tint
from reports.charts.planes import LEFT, RIGHT, drawn, grid, upward
from reports.charts.ranked import NUMBERS, field
from reports.document import Field, Key, Plot, Table, Text
from reports.figures.svg import Element, line, make
from reports.format import number
from reports.summary import Summary
from results import Row

_MIDDLE = (LEFT + RIGHT) / 2


def scaling(summary: Summary, alt: str) -> Plot | None:
    """Draw throughput over replicas with the ideal line, and the efficiency T(n) / (n T(1))."""
    found = summary.scaling
    if not found:
        return None
    series = {name: [row for row in found if row.series == name] for name in dict.fromkeys(row.series for row in found)}
    counts = sorted({row.replicas for row in found})
    x = [Axis.over(counts, start, end, log=True) for start, end in ((LEFT, _MIDDLE - 24), (_MIDDLE + 40, RIGHT))]
    ideal = [rows[0].images_per_second * rows[-1].replicas / rows[0].replicas for rows in series.values()]
    rate = upward([*ideal, *(row.images_per_second for row in found)], zero=True)
    share = upward(
        [value for row in found for value in (1.0, row.efficiency, row.high) if value is not None], zero=True
    )
    parts: list[Element] = []
    for axis, y, title in ((x[0], rate, "images/s (dotted: ideal)"), (x[1], share, "efficiency, 95 % band")):
        parts += grid(axis, y, ("replicas", title), [(axis(n), str(n)) for n in counts])
    parts.append(line("zero", x[1].start, share(1), x[1].end, share(1)))
    for look, rows in enumerate(series.values()):
        parts.append(make("g", *_rates(rows, look, x[0], rate), *_shares(rows, look, x[1], share), class_=tint(look)))
    table: list[list[Field | Text]] = [
        [row.series, row.devices, field(row.images_per_second, 1), field(row.efficiency, 3)] for row in found
    ]
    numbers = Table(["series", "replicas", "images/s", "efficiency"], table, frozenset({"series"}), NUMBERS)
    return Plot(drawn(parts, alt), numbers, tuple(Key("", name, look) for look, name in enumerate(series)))


def _rates(rows: Sequence[Row], look: int, x: Axis, y: Axis) -> Iterator[Element]:
    first = rows[0].images_per_second / rows[0].replicas
    ideal = [(x(row.replicas), y(first * row.replicas)) for row in rows]
    yield path("course ideal", ideal)
    yield path("course", [(x(row.replicas), y(row.images_per_second)) for row in rows])
    for row in rows:
        said = f"{row.series}, {row.replicas} replicas: {number(row.images_per_second, 1)} images/s"
        yield datum(said, marker(look, x(row.replicas), y(row.images_per_second)))


def _shares(rows: Sequence[Row], look: int, x: Axis, y: Axis) -> Iterator[Element]:
    ends = [
        (row.efficiency, row.efficiency) if row.low is None or row.high is None else (row.low, row.high) for row in rows
    ]
    at = [x(row.replicas) for row in rows]
    low, high = ([y(end) for end in side] for side in zip(*ends, strict=True))
    yield path("spread", [*zip(at, high, strict=True), *zip(at[::-1], low[::-1], strict=True)], closed=True)
    yield path("course", [(x(row.replicas), y(row.efficiency)) for row in rows])
    for row, (least, most) in zip(rows, ends, strict=True):
        said = f"{row.series}, {row.replicas} replicas: efficiency {number(row.efficiency, 2)}"
        said += f" ({number(least, 2)} to {number(most, 2)})" if most > least else ""
        yield datum(said, marker(look, x(row.replicas), y(row.efficiency)))
