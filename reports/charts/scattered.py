"""Charts with two axes: throughput against mIoU, views, learning curves."""

import math
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

import results
from reports.charts.axes import Axis
from reports.charts.marks import datum, group, marker, path
from reports.charts.planes import across, draw, upward
from reports.charts.ranked import NUMBERS, cut, field
from reports.document import Code, Field, Key, Plot, Table, Text
from reports.figures.scores import MOST_BANDS, MOST_CURVES, courses, frontier, numbered
from reports.figures.svg import Element, line, make, text
from reports.figures.theme import MOST_ROWS
from reports.format import number, percent, percent_range
from reports.summary import Cell, Summary, ViewSummary

Keys = Mapping[str, Key]


def throughput(summary: Summary, keys: Keys, alt: str) -> Plot | None:
    """Draw throughput against mIoU, and the line that joins the cells that no other cell matches in both."""
    timed = [cell for cell in summary.measured if cell.rates]
    cells = timed[:MOST_ROWS]
    if not cells or (summary.incomparable and not summary.timed):
        return None
    x = across([rate for cell in cells for rate in cell.rates])
    ends = [value for cell in cells for value in (cell.interval.mean, cell.interval.low, cell.interval.high)]
    y = upward([100 * value for value in ends])
    edge = [(x(cell.images_per_second), y(100 * cell.interval.mean)) for cell in frontier(cells)]
    parts = [path("frontier", edge), *(_speed(cell, keys[cell.key], x, y) for cell in cells)]
    titles = ("training throughput, images/s (median and range of the seeds)", f"{summary.judged_on} mIoU, %")
    table: list[list[Field | Text]] = [
        [
            cell.label,
            *(field(value) for value in (cell.images_per_second, min(cell.rates), max(cell.rates))),
            *(field(100 * value) for value in (cell.interval.mean, cell.interval.low, cell.interval.high)),
        ]
        for cell in cells
    ]
    head = ["cell", "images/s, median", "least", "most", "mIoU, %", "low, %", "high, %"]
    numbers = Table(head, table, frozenset({"cell"}), NUMBERS, tuple(cell.key for cell in cells))
    shown = tuple(keys[cell.key] for cell in cells)
    return Plot(draw(x, y, titles, parts, alt), numbers, shown, notes=cut(len(timed), len(cells)))


def _speed(cell: Cell, key: Key, x: Axis, y: Axis) -> Element:
    interval, rate = cell.interval, cell.images_per_second
    left, top = x(rate), y(100 * interval.mean)
    said = f"{cell.label}: {number(rate, 1)} images/s, {percent(interval.mean, 2)} %"
    parts = [line("bar", x(min(cell.rates)), top, x(max(cell.rates)), top)]
    if not math.isnan(interval.low):
        said += f" ({percent_range(interval.low, interval.high)})"
        parts.append(line("bar", left, y(100 * interval.low), left, y(100 * interval.high)))
    made = group(key, datum(said, *parts, marker(key.look, left, top, 1.3)))
    made.set("data-at", f"{left:.1f} {top:.1f}")
    made.set("data-rates", f"{x(min(cell.rates)):.1f} {x(max(cell.rates)):.1f}")
    return made


def curves(run: results.Run, summary: Summary, keys: Keys, alt: str) -> Plot | None:
    """Draw validation mIoU over training images, as mean and range of the seeds."""
    there = courses(run, summary)
    found = there[:MOST_ROWS]
    if not found:
        return None
    x = across([float(at) for _, points in found for at in points.index], zero=True)
    y = upward([float(value) for _, points in found for value in (*points["min"], *points["max"])])
    parts = []
    for rank, (cell, points) in enumerate(found):
        # Many bands cover each other: then a band shows while its cell is asked for.
        kind = ("" if len(found) <= MOST_BANDS else "quiet") + (" faint" if rank >= MOST_CURVES else "")
        parts.append(group(keys[cell.key], *_course(cell, points, keys[cell.key], x, y, rank), kind=kind.strip()))
    table: list[list[Field | Text]] = [
        [cell.label, str(at), *(field(float(row[name])) for name in ("mean", "min", "max"))]
        for cell, points in found
        for at, row in points.iterrows()
    ]
    cells = tuple(cell.key for cell, points in found for _ in points.index)
    head = ["cell", "training images", "mean mIoU, %", "lowest seed, %", "highest seed, %"]
    svg = draw(x, y, ("training images seen", "validation mIoU, %"), parts, alt)
    shown = tuple(keys[cell.key] for cell, _ in found)
    numbers = Table(head, table, frozenset({"cell"}), NUMBERS, cells)
    hint = "The band of a cell is shown while the pointer or the keys are on one of its values."
    bands = (hint,) if len(found) > MOST_BANDS else ()
    return Plot(svg, numbers, shown, notes=(*cut(len(there), len(found)), *bands))


def _course(cell: Cell, points: pd.DataFrame, key: Key, x: Axis, y: Axis, rank: int) -> Iterator[Element]:
    at = [x(float(one)) for one in points.index]
    lowest, mean, highest = ([y(float(one)) for one in points[name]] for name in ("min", "mean", "max"))
    outline = [*zip(at, highest, strict=True), *zip(at[::-1], lowest[::-1], strict=True)]
    yield path("spread", outline, closed=True)
    yield path("course", [*zip(at, mean, strict=True)])
    every = max(1, len(at) // 8)
    for place, (images, row) in enumerate(points.iterrows()):
        said = f"{cell.label}, {images} images: {row['mean']:.2f} %"
        if row["max"] > row["min"]:
            said += f" (seeds {row['min']:.2f} to {row['max']:.2f})"
        marked = place % every == rank % every
        yield datum(said, marker(key.look, at[place], mean[place], 1 if marked else 0.4))


def views(summary: Summary, keys: Keys, alt: str) -> Plot | None:
    """Draw evaluation speed against mIoU of the same weights in several views, each marked by its number."""
    timed = [view for view in summary.views if not math.isnan(view.images_per_second)]
    if not timed:
        return None
    there = [cell.key for cell in summary.cells if any(view.key == cell.key for view in timed)]
    shown = there[:MOST_CURVES]
    timed = [view for view in timed if view.key in shown]
    names = numbered([view for view in timed if view.key == shown[0]])
    x = across([view.images_per_second for view in timed], log=True)
    y = upward([100 * view.interval.mean for view in timed])
    parts = [
        group(keys[key], *_ways([view for view in timed if view.key == key], keys[key], names, x, y)) for key in shown
    ]
    svg = draw(x, y, ("evaluation, images/s (median of the seeds)", f"{summary.judged_on} mIoU, %"), parts, alt)
    table: list[list[Field | Text]] = [
        [
            view.label,
            Code(view.name),
            field(view.images_per_second),
            *(field(100 * value) for value in (view.interval.mean, view.interval.low, view.interval.high)),
        ]
        for view in timed
    ]
    head = ["cell", "view", "evaluation images/s", "mIoU, %", "low, %", "high, %"]
    numbers = Table(head, table, frozenset({"cell", "view"}), NUMBERS, tuple(view.key for view in timed))
    legend = [f"{at}: {' = '.join(n for n, own in names.items() if own == at)}" for at in sorted({*names.values()})]
    doubt = (
        ("Throughput is not comparable between these trials.",) if summary.incomparable and not summary.timed else ()
    )
    notes = (" · ".join(legend), *doubt, *cut(len(there), len(shown)))
    return Plot(svg, numbers, tuple(keys[key] for key in shown), notes=tuple(note for note in notes if note))


def _ways(views: Sequence[ViewSummary], key: Key, names: Mapping[str, int], x: Axis, y: Axis) -> Iterator[Element]:
    places = {view.name: (x(view.images_per_second), y(100 * view.interval.mean)) for view in views}
    for name, place in places.items():
        if "default" in places and name != "default":  # the gain and the cost of the view
            yield line("join", *places["default"], *place)
    for view in views:
        left, top = places[view.name]
        said = f"{view.label}, {view.name}: {number(view.images_per_second, 1)} images/s, "
        said += f"{percent(view.interval.mean, 2)} %"
        if not math.isnan(view.interval.low):
            said += f" ({percent_range(view.interval.low, view.interval.high)})"
        yield datum(said, marker(key.look, left, top))
        yield make("g", text(str(names.get(view.name, "")), left + 8, top - 6, "start"))
