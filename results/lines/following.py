"""Follow every cell over a sequence of runs: its means, the gate's verdicts, and where its level changed.

Each point of a line is judged by the test of the gate, twice:

- against the last run before it that measured the line, with the verdict that `bench.compare` gives;
- against its level, that is, all runs since its last change, if these are two or more (`results.lines.levels`).

A change that either test calls regressed or improved is a step, with which a new level begins. Where a point is not
comparable with the run before, a new level begins without a step.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache

import numpy as np

from results.comparison import margins as rules
from results.comparison.alignment import rename_cells, retuned_cells, split_alike
from results.comparison.comparing import compare
from results.comparison.loading import load
from results.comparison.margins import Margins
from results.comparison.types import TRIALS, Aligned, ComparisonRow, Key, LoadedRun, Seeds
from results.comparison.verdicts import stratum
from results.lines.labels import dataset_of, distinct_labels
from results.lines.levels import against_level, level_of
from results.lines.types import History, Line, Point, Step
from results.statistics.confidence import intervals
from results.store import Run

# How trials ended takes precedence over what the other trials of their cell measured.
_ENDS = ("missing", "newly failing", "fixed")
_CHANGED = ("regressed", "improved")

_Rows = Mapping[Key, ComparisonRow]


@dataclass(frozen=True)
class _Side:
    """A run whose cells have the keys of their lines; `keys` is {its own key: that key} where they differ."""

    run: LoadedRun
    keys: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Past:
    """The lines so far: {key: a point per run}, and the rows of a comparison of two runs, given their columns."""

    sides: Sequence[_Side]
    lines: Mapping[Key, list[Point]]
    compared: Callable[[int, int], _Rows]


def cell_history(runs: Sequence[Run], only: str = "*", margins: Margins | None = None) -> History:
    """Follow every metric of every cell over runs.

    A cell for which a search chose another value continues the same line, just as it is judged.

    Args:
        runs: from the oldest to the newest.
        only: keep the cells whose label matches this pattern.
        margins: the rules; default: results/comparison/margins.yaml.

    Raises:
        ValueError: no cell whose label matches has a value; one line.
    """
    margins = margins or rules.read(str(rules.DEFAULT))
    names, runs = distinct_names(runs), split_alike(runs)
    sides = _same_cells(runs, only)

    @cache
    def compared(base: int, head: int) -> _Rows:
        try:
            rows = compare(runs[base], runs[head], margins, only).rows
        except ValueError:
            return {}  # no cell in common: nothing to judge
        keys = sides[base].keys
        return {(keys.get(row.cell, row.cell), row.view, row.metric): row for row in rows}

    lines: dict[Key, list[Point]] = {}
    for column in range(len(runs)):
        past = _Past(sides, lines, compared)
        points = {**_not_measured(past, column), **_measured(past, column, margins)}
        for key, point in points.items():
            lines.setdefault(key, [Point()] * len(runs))[column] = point
    if not lines:
        raise ValueError(f"no run has a cell whose label matches {only!r} and that measured anything")
    return History(tuple(names), _labelled(lines, sides, margins), margins)


def _same_cells(runs: Sequence[Run], only: str) -> list[_Side]:
    """Load the runs; a cell for which a search chose another value gets the key that it had before."""
    sides: list[_Side] = []
    for run in runs:
        loaded = load(run)
        kept = {cell: label for cell, label in loaded.labels.items() if fnmatchcase(label, only)}
        loaded, keys = replace(loaded, labels=kept), dict[str, str]()
        for earlier in reversed(sides):
            found = retuned_cells(earlier.run, loaded)
            loaded, keys = rename_cells(found, loaded), {**keys, **found}
        sides.append(_Side(loaded, keys))
    return sides


def _measured(past: _Past, column: int, margins: Margins) -> dict[Key, Point]:
    """Return the points of a run on the lines that it measured."""
    run = past.sides[column].run
    points = {key: _point(past, column, key, point) for key, point in _means(run, margins).items()}
    levels = {key: level_of(past.lines[key]) for key, point in points.items() if point.row and not point.broken}
    steady = {key: level for key, level in levels.items() if not points[key].step and len(level) > 1}
    runs = {key: {at: past.sides[at].run for at in level} for key, level in steady.items()}
    for key, (row, against) in against_level(run, runs, margins).items():
        if row.verdict in _CHANGED:
            points[key] = replace(points[key], level=points[key].level + 1, step=Step(row, against))
    return points


def _means(run: LoadedRun, margins: Margins) -> dict[Key, Point]:
    """Return mean and interval per line; the cells of a stratum share their noise, as in a comparison."""
    strata: dict[tuple[str, ...], dict[Key, Seeds]] = {}
    for key, seeds in run.measured.items():
        cell, view, metric = key
        if cell in run.labels and metric in margins.metrics:
            strata.setdefault(stratum(Aligned(cell, run, run), view, metric), {})[key] = seeds
    found: dict[Key, Point] = {}
    for cells in strata.values():
        ratio = margins.metrics[next(iter(cells))[2]].scale == "ratio"
        known = {key: {s: v for s, v in seeds.items() if v > 0 or not ratio} for key, seeds in cells.items()}
        to, back = (math.log, np.exp) if ratio else (float, float)
        spans = intervals({repr(key): {s: to(v) for s, v in seeds.items()} for key, seeds in known.items()})
        for key, seeds in known.items():
            if seeds:
                span = spans[repr(key)]
                mean, low, high = (float(back(value)) for value in (span.mean, span.low, span.high))
                found[key] = Point(mean, low, high, len(seeds), level=0)
    return found


def _point(past: _Past, column: int, key: Key, point: Point) -> Point:
    """Return a point of a run judged against the last run before it that measured the line."""
    points = past.lines.get(key, [])
    ended = _ending(past, column, key)
    before = max((at for at, one in enumerate(points) if one.seeds), default=None)
    if before is None:
        return replace(point, verdict=ended.verdict, reason=ended.reason) if ended else point
    row = past.compared(before, column).get(key)
    level = points[before].level
    shown = ended or row
    if shown:
        point = replace(point, verdict=shown.verdict, reason=shown.reason)
    point = replace(point, before=before, row=row, level=level)
    if row is None or row.verdict == "not comparable":
        return replace(point, level=level + 1, broken=row.reason if row else "the two runs were not compared")
    if row.verdict in _CHANGED:
        return replace(point, level=level + 1, step=Step(row, (before,)))
    return point


def _not_measured(past: _Past, column: int) -> dict[Key, Point]:
    """Return the points of a run on earlier lines that it did not measure although it should have."""
    labels = past.sides[column].run.labels
    found: dict[Key, Point] = {}
    for key, points in past.lines.items():
        before = max(at for at, one in enumerate(points) if one.seeds)
        if key[0] not in labels:
            continue  # not planned here
        row = _ending(past, column, key) or past.compared(before, column).get(key)
        if row and row.verdict in _ENDS:
            found[key] = Point(before=before, verdict=row.verdict, reason=row.reason, row=row)
    return found


def _ending(past: _Past, column: int, key: Key) -> ComparisonRow | None:
    """Return the row on how a cell's trials ended, in its default view, if that changed since the last run with it."""
    cell, view, _ = key
    before = max((at for at in range(column) if cell in past.sides[at].run.records), default=None)
    if view != "default" or before is None:
        return None
    row = past.compared(before, column).get((cell, "", TRIALS))
    return row if row and row.verdict in _ENDS else None


def _labelled(lines: Mapping[Key, list[Point]], sides: Sequence[_Side], margins: Margins) -> tuple[Line, ...]:
    """Return the lines in their order, with the newest label of each cell."""
    cells = {
        cell: (dataset_of(records[0]), side.run.labels[cell], records[0])
        for side in sides
        for cell, records in side.run.records.items()
        if cell in side.run.labels
    }
    labels = distinct_labels({cell: cells[cell] for cell, _, _ in lines})
    made = [
        Line(cells[cell][0], cell, labels[cell], view, metric, tuple(points))
        for (cell, view, metric), points in lines.items()
    ]
    order = [*margins.metrics]
    made.sort(key=lambda line: (line.dataset, order.index(line.metric), line.label, line.view != "default", line.view))
    return tuple(made)


def distinct_names(runs: Sequence[Run]) -> list[str]:
    """Return a name per run: its release or folder, or its whole path if two would have the same name."""
    names = [str(run.manifest.get("release") or run.folder.resolve().name) for run in runs]
    twice = {name for name, n in Counter(names).items() if n > 1}
    return [str(run.folder) if name in twice else name for name, run in zip(names, runs, strict=True)]
