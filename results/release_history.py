"""History of one metric of every cell over a sequence of runs, each judged against the one before it."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from results.comparison.alignment import split_alike
from results.comparison.comparing import compare
from results.comparison.types import TRIALS, Comparison, Verdict
from results.store import Run

# How trials ended takes precedence over what the other trials of their cell measured.
_ENDS = ("missing", "newly failing", "fixed")

Point = tuple[float, Verdict | None]
CellHistory = dict[tuple[str, str], list[Point]]
_CellView = tuple[str, str]


@dataclass(frozen=True)
class _Measured:
    """What one run measured of one cell in one view; `before` is the cell's key in the run before it."""

    cell: str
    before: str
    label: str
    view: str
    point: Point


def cell_history(runs: Sequence[Run], metric: str, only: str = "*") -> CellHistory:
    """Follow a metric of every cell over runs.

    A cell for which a search chose another value continues the same line, just as it is judged. If several different
    cells had the same label, the label is followed by the cell's key.

    Args:
        runs: from the oldest to the newest.
        metric: a metric of the margins file.
        only: keep the cells whose label matches this pattern.

    Returns:
        {(label, view): one (mean, verdict against the run before) per run}, sorted. The mean is NaN if it was not
        measured. The verdict is None if there was nothing to judge.

    Raises:
        ValueError: no cell whose label matches has a value; one line.
    """
    runs = split_alike(runs)
    found: CellHistory = {}  # by the cell that a line began with, not by its label
    labels: dict[str, str] = {}
    lines: dict[str, str] = {}  # {cell: the cell whose line it continues}
    for column, run in enumerate(runs):
        measured, ended = _column(run, runs[column - 1] if column else None, metric, only)
        for one in measured:
            line = lines.setdefault(one.cell, lines.get(one.before, one.before))
            labels[line] = one.label
            found.setdefault((line, one.view), [(math.nan, None)] * len(runs))[column] = one.point
        for (cell, view), verdict in ended.items():
            if (key := (lines.get(cell, cell), view)) in found:
                found[key][column] = (math.nan, verdict)
    if not found:
        raise ValueError(f"no side has a cell whose label matches {only!r} with a value of {metric}")
    return _by_label(found, labels)


def _column(run: Run, before: Run | None, metric: str, only: str) -> tuple[list[_Measured], dict[_CellView, Verdict]]:
    """Return what a run measured, and {(cell, view): verdict} of the rest, where its trials ended differently."""
    own = _compared(run, run, only)
    judged = _compared(before, run, only) if before else None
    verdicts = _verdicts(judged, metric) if judged else {}
    keys: Mapping[str, str] = judged.retuned if judged else {}
    measured = [
        _Measured(row.cell, old, row.label, row.view, (row.head, verdicts.pop((old, row.view), None)))
        for row in (own.rows if own else ())
        if row.metric == metric and not math.isnan(row.head)
        for old in [keys.get(row.cell, row.cell)]
    ]
    return measured, {key: verdict for key, verdict in verdicts.items() if verdict in _ENDS}


def _compared(base: Run, head: Run, only: str) -> Comparison | None:
    try:
        return compare(base, head, only=only)
    except ValueError:
        return None  # no cell in common, or none that is selected: nothing to judge


def _verdicts(judged: Comparison, metric: str) -> dict[_CellView, Verdict]:
    """Return {(cell, view): verdict} of the metric; in the default view, of how the trials ended, if that changed."""
    found = {(row.cell, row.view): row.verdict for row in judged.rows if row.metric == metric}
    ended = {(row.cell, "default"): row.verdict for row in judged.rows if row.metric == TRIALS and row.verdict in _ENDS}
    return found | ended


def _by_label(found: CellHistory, labels: Mapping[str, str]) -> CellHistory:
    """Return the lines by their labels, sorted; a label of several lines is followed by the cell's key."""
    several = {label for label, n in Counter(labels.values()).items() if n > 1}
    named = {
        (f"{labels[cell]} ({cell[:6]})" if labels[cell] in several else labels[cell], view): line
        for (cell, view), line in found.items()
    }
    return dict(sorted(named.items()))


def distinct_names(runs: Sequence[Run]) -> list[str]:
    """Return a name per run: its release or folder, or its whole path if two would have the same name."""
    names = [str(run.manifest.get("release") or run.folder.resolve().name) for run in runs]
    twice = {name for name, n in Counter(names).items() if n > 1}
    return [str(run.folder) if name in twice else name for name, run in zip(names, runs, strict=True)]
