"""History of every cell over the published releases: as a document, as a terminal table, and as values for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reports.document import Document, Table
from reports.format import metric_value
from reports.metrics import is_percentage, name
from results import CellHistory, Verdict

if TYPE_CHECKING:
    from rich.table import Table as TerminalTable

# One character per verdict, for a narrow table.
MARKS: dict[Verdict, str] = {
    "regressed": "▼", "improved": "▲", "ok": "=", "inconclusive": "?", "not comparable": "≠", "missing": "∅",
    "newly failing": "!", "fixed": "✓",
}  # fmt: skip
NOTE = f"Against the release before: {', '.join(f'{mark} {verdict}' for verdict, mark in MARKS.items())}."


def document(history: CellHistory, runs: Sequence[str], metric: str) -> Document:
    """Make the page of one table; `runs` are the names of its columns."""
    rows = [*_rows(history, metric)]
    return Document(_title(metric), [Table(["cell", *runs], rows, frozenset({"cell"}))])  # type: ignore[arg-type, list-item]


def terminal_table(history: CellHistory, runs: Sequence[str], metric: str) -> TerminalTable:
    """Make the table for a terminal; `runs` are the names of its columns."""
    from rich.table import Table

    shown = Table(title=_title(metric), title_justify="left", box=None, header_style="bold")
    shown.add_column("cell", overflow="fold")
    for run in runs:
        shown.add_column(run, justify="right", no_wrap=True)
    for row in _rows(history, metric):
        shown.add_row(*row)
    return shown


def plain(history: CellHistory, runs: Sequence[str]) -> list[dict[str, object]]:
    """Return a history as values for JSON; values that a run lacks are None."""
    return [
        {
            "cell": label,
            "view": view,
            "releases": {
                run: {"mean": None if math.isnan(mean) else mean, "verdict": verdict}
                if verdict or not math.isnan(mean)
                else None
                for run, (mean, verdict) in zip(runs, line, strict=True)
            },
        }
        for (label, view), line in history.items()
    ]


def _title(metric: str) -> str:
    return f"{name(metric)}{', %' if is_percentage(metric) else ''}"


def _rows(history: CellHistory, metric: str) -> list[list[str]]:
    return [
        [
            label if view == "default" else f"{label} {view}",
            *(f"{metric_value(metric, mean)}{f' {MARKS[verdict]}' if verdict else ''}" for mean, verdict in line),
        ]
        for (label, view), line in history.items()
    ]
