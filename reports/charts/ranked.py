"""Charts with a row per cell: mIoU, distance to the best, gradient scale, time by phase, memory."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from reports.charts.axes import Axis
from reports.charts.marks import bar, datum, marker
from reports.charts.rows import END, ROW, Panel, Row, draw, start
from reports.document import Field, Key, Plot, Table, Text
from reports.figures.costs import PHASES, phases
from reports.figures.svg import Element, line, text
from reports.figures.theme import MOST_ROWS, short
from reports.format import DASH, number, percent, percent_range, points, points_range, significant
from reports.summary import Cell, Summary
from results.statistics import from_best

Keys = Mapping[str, Key]
NUMBERS = "Numbers of this chart"
_MIDDLE = ROW / 2
_WORDS = frozenset({"cell"})


def cut(there: int, shown: int, which: str = "best") -> tuple[str, ...]:
    """Return a line on how many cells a chart leaves out; none if it has all."""
    return (f"The {which} {shown} cells; {there - shown} more in the tables.",) if there > shown else ()


def _start(cells: Sequence[Cell]) -> float:
    return start(cell.label for cell in cells)


def field(value: float, digits: int = 2) -> Field:
    """Return a number as a field of a table of numbers."""
    return Field(number(value, digits), value)


def miou(summary: Summary, keys: Keys, alt: str) -> Plot | None:
    """Draw the seeds, mean and interval of each cell, best on top."""
    cells = summary.measured[:MOST_ROWS]
    if not cells:
        return None
    ends = [100 * value for cell in cells for value in (*cell.miou.values(), cell.interval.low, cell.interval.high)]
    axis = Axis.over(ends, _start(cells), END)
    rows = [Row(keys[cell.key], cell.label, [*_scores(cell, keys[cell.key], axis)]) for cell in cells]
    svg = draw(rows, [Panel(axis, f"{summary.judged_on} mIoU, %")], alt)
    seeds = sorted({seed for cell in cells for seed in cell.miou})
    table: list[list[Field | Text]] = [
        [
            cell.label,
            *(field(100 * value) for value in (cell.interval.mean, cell.interval.low, cell.interval.high)),
            *(field(100 * cell.miou.get(seed, math.nan)) for seed in seeds),
        ]
        for cell in cells
    ]
    head = ["cell", "mean mIoU, %", "low, %", "high, %", *(f"seed {seed}" for seed in seeds)]
    return Plot(
        svg,
        Table(head, table, _WORDS, NUMBERS, tuple(cell.key for cell in cells)),
        notes=cut(len(summary.measured), len(cells)),
    )


def _scores(cell: Cell, key: Key, axis: Axis) -> Iterator[Element]:
    interval = cell.interval
    said = f"{cell.label}: mean {percent(interval.mean, 2)} %"
    mean = axis(100 * interval.mean)
    parts = [line("mean", mean, _MIDDLE - 10, mean, _MIDDLE + 10)]
    if not math.isnan(interval.low):
        said += f" ({percent_range(interval.low, interval.high)})"
        parts.insert(0, bar("band", axis(100 * interval.low), axis(100 * interval.high), _MIDDLE, 13))
    yield datum(said, *parts)
    # Seeds have fixed offsets from the line, so that equal values do not hide each other.
    offsets = np.linspace(-5, 5, len(cell.miou)) if len(cell.miou) > 1 else [0.0]
    for (seed, value), offset in zip(cell.miou.items(), offsets, strict=True):
        place = marker(key.look, axis(100 * value), _MIDDLE + float(offset), 0.8)
        yield datum(f"{cell.label}, seed {seed}: {percent(value, 2)} %", place)


def best(summary: Summary, keys: Keys, alt: str) -> Plot | None:
    """Draw each cell's distance to the best one, with intervals that agree with the letters of the table."""
    cells = summary.measured[:MOST_ROWS]
    if len(cells) < 2 or summary.ranking.pool is None:
        return None
    distances = from_best({cell.key: cell.miou for cell in summary.measured}, summary.ranking)
    found = {cell.key: distances[cell.key] for cell in cells[1:]}
    same = {cell.key: summary.ranking.indistinguishable(cells[0].key, cell.key) for cell in cells[1:]}
    ends = [100 * value for one in found.values() for value in (one.estimate, one.low, one.high)]
    axis = Axis.over([*ends, -0.5, 0.5], _start(cells[1:]), END)
    rows: list[Row] = []
    table: list[list[Field | Text]] = []
    for cell in cells[1:]:
        one, key = found[cell.key], keys[cell.key]
        verdict = "indistinguishable" if same[cell.key] else "a significant difference"
        said = f"{cell.label}: {points(one.estimate)} points ({points_range(one.low, one.high)}), {verdict}"
        parts = [marker(key.look, axis(100 * one.estimate), _MIDDLE, 1.1, "mark open" if same[cell.key] else "mark")]
        if not math.isnan(one.low):
            parts.insert(0, line("bar", axis(100 * one.low), _MIDDLE, axis(100 * one.high), _MIDDLE))
        rows.append(Row(key, cell.label, [datum(said, *parts)]))
        values = [field(100 * value) for value in (one.estimate, one.low, one.high)]
        table.append([cell.label, *values, verdict])
    title = f"mIoU less that of {short(cells[0].label)}, points"
    svg = draw(rows, [Panel(axis, title, _half_a_point)], alt)
    head = ["cell", "difference, points", "low", "high", "verdict"]
    numbers = Table(head, table, frozenset({"cell", "verdict"}), NUMBERS, tuple(cell.key for cell in cells[1:]))
    return Plot(svg, numbers, notes=cut(len(summary.measured), len(cells)))


def _half_a_point(axis: Axis, height: float) -> Iterator[Element]:
    yield bar("shade", axis(-0.5), axis(0.5), height / 2, height)
    yield line("zero", axis(0), 0, axis(0), height)


def gradient(summary: Summary, keys: Keys, alt: str) -> Plot | None:
    """Draw the gradient scale of each loss, before training and when the prediction is right."""
    scaled = [cell for cell in summary.measured if cell.gradient[0] > 0]
    cells = scaled[:MOST_ROWS]
    if len({cell.gradient for cell in cells}) < 2:
        return None
    axis = Axis.over(
        [value for cell in cells for value in (1.0, *cell.gradient) if value > 0], _start(cells), END, log=True
    )
    rows = []
    for cell in cells:
        (initial, later), look = cell.gradient, keys[cell.key].look
        parts = [datum(f"{cell.label}, before training: {significant(initial)}", marker(look, axis(initial), _MIDDLE))]
        if later > 0:
            place = marker(look, axis(later), _MIDDLE, 1, "mark open")
            parts.insert(0, line("bar", axis(initial), _MIDDLE, axis(later), _MIDDLE))
            parts.append(datum(f"{cell.label}, right by a margin of 3: {significant(later)}", place))
        rows.append(Row(keys[cell.key], cell.label, parts))
    panel = Panel(axis, "gradient / that of cross-entropy (full: before training, open: margin 3)", _one)
    table: list[list[Field | Text]] = [
        [cell.label, *(Field(significant(value, 3), value) for value in cell.gradient)] for cell in cells
    ]
    numbers = Table(["cell", "before training", "at a margin of 3"], table, _WORDS, NUMBERS, _keys_of(cells))
    return Plot(draw(rows, [panel], alt), numbers, notes=cut(len(scaled), len(cells)))


def _one(axis: Axis, height: float) -> Iterator[Element]:
    yield line("zero", axis(1), 0, axis(1), height)


def _keys_of(cells: Sequence[Cell]) -> tuple[str, ...]:
    return tuple(cell.key for cell in cells)


def steps(summary: Summary, keys: Keys, alt: str) -> Plot | None:
    """Draw the seconds of a trial by phase."""
    timed = [cell for cell in summary.measured if cell.clocks["train"] > 0]
    cells = timed[:MOST_ROWS]
    if not cells:
        return None
    found = [phases(cell) for cell in cells]
    names = [name for name in PHASES if sum(one[name] for one in found) > 0]
    axis = Axis.over([sum(one.values()) for one in found], _start(cells), END, zero=True)
    rows = [
        Row(keys[cell.key], cell.label, [*_stacked(cell, one, axis)]) for cell, one in zip(cells, found, strict=True)
    ]
    svg = draw(rows, [Panel(axis, "seconds of a trial, mean of the seeds")], alt)
    table: list[list[Field | Text]] = [
        [cell.label, *(field(one[name], 1) for name in names)] for cell, one in zip(cells, found, strict=True)
    ]
    numbers = Table(["cell", *(f"{name}, s" for name in names)], table, _WORDS, NUMBERS, _keys_of(cells))
    return Plot(svg, numbers, shades=tuple(PHASES), notes=cut(len(timed), len(cells)))


def _stacked(cell: Cell, found: Mapping[str, float], axis: Axis) -> Iterator[Element]:
    left = 0.0
    for index, (name, seconds) in enumerate(found.items()):
        if seconds <= 0:
            continue
        from_, to = axis(left), axis(left + seconds)
        parts = [bar(f"s{index}", from_, to, _MIDDLE, 18)]
        if to - from_ > 26:
            parts.append(text(number(seconds, 0), (from_ + to) / 2, _MIDDLE + 4.5, "middle", f"on-s{index}"))
        yield datum(f"{cell.label}, {name}: {number(seconds, 1)} s", *parts)
        left += seconds


def memory(summary: Summary, keys: Keys, alt: str) -> Plot | None:
    """Draw the peak memory of the process and, if there is one, of the GPU."""
    cells = summary.measured[:MOST_ROWS]
    kinds = {"peak_gpu_mb": "GPU", "peak_rss_mb": "process"}
    kinds = {name: title for name, title in kinds.items() if any(cell.memory[name] for cell in summary.measured)}
    if not kinds or not cells:
        return None
    left = _start(cells)
    wide = (END - left + 24) / len(kinds)
    panels = {
        name: Panel(_mib(cells, name, left + wide * place, left + wide * (place + 1) - 24), f"{title}, MiB")
        for place, (name, title) in enumerate(kinds.items())
    }
    rows = [
        Row(
            keys[cell.key],
            cell.label,
            [part for name in kinds for part in _peaks(cell, name, kinds[name], panels[name].axis)],
        )
        for cell in cells
    ]
    head = [f"{title}, {what}, MiB" for title in kinds.values() for what in ("mean", "least", "most")]
    table: list[list[Field | Text]] = [
        [cell.label, *(one for name in kinds for one in _spread(cell.memory[name]))] for cell in cells
    ]
    numbers = Table(["cell", *head], table, _WORDS, NUMBERS, _keys_of(cells))
    return Plot(draw(rows, [*panels.values()], alt), numbers, notes=cut(len(summary.measured), len(cells)))


def _mib(cells: Sequence[Cell], name: str, start: float, end: float) -> Axis:
    return Axis.over([peak for cell in cells for peak in cell.memory[name]] or [1.0], start, end, zero=True)


def _peaks(cell: Cell, name: str, title: str, axis: Axis) -> Iterator[Element]:
    peaks = cell.memory[name]
    if not peaks:
        return
    ticks = [line("tick", axis(peak), _MIDDLE - 7, axis(peak), _MIDDLE + 7) for peak in peaks]
    said = f"{cell.label}, {title}: {number(min(peaks), 0)} to {number(max(peaks), 0)} MiB"
    yield datum(said, bar("fill", axis(0), axis(float(np.mean(peaks))), _MIDDLE, 17), *ticks)


def _spread(peaks: Sequence[float]) -> list[Field | Text]:
    return [field(value, 0) for value in (float(np.mean(peaks)), min(peaks), max(peaks))] if peaks else [DASH] * 3
