"""Formats of a comparison: for a terminal, as JSON, and as annotations of a GitHub job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import results
from reports.format import amount, change, change_interval, metric_value
from reports.metrics import name
from reports.pages.comparison.sentences import reasons, sentence
from reports.pages.comparison.tables import TONES
from results import Comparison, ComparisonRow

if TYPE_CHECKING:
    from rich.table import Table

COLORS = {"bad": "red", "unsure": "yellow", "good": "green", "": ""}


def terminal_rows(comparison: Comparison) -> list[ComparisonRow]:
    """List the rows that a terminal's table shows: those that can fail the gate, and others that have to be read.

    A row that cannot fail the gate and has no numbers is told by `reasons_at_once` alone.
    """
    return [row for row in comparison.rows if row.gate or row.verdict not in ("ok", "not comparable")]


def reasons_at_once(rows: Sequence[ComparisonRow]) -> list[str]:
    """Return the reasons of rows, one line per reason, however many rows have it.

    Two machines that differ make every speed and every memory not comparable, for one reason.
    """
    groups: dict[tuple[str, str], list[ComparisonRow]] = {}
    for row in rows:
        if row.reason:
            groups.setdefault((row.verdict, row.reason), []).append(row)
    return [f"{_who(group)}: {reason}" for (_, reason), group in groups.items()]


def _who(rows: Sequence[ComparisonRow]) -> str:
    """Name the cells and the metrics of rows."""
    cells = list(dict.fromkeys(row.label for row in rows))
    metrics = list(dict.fromkeys(name(row.metric).partition(",")[0] for row in rows))  # without the unit
    return ", ".join([cells[0] if len(cells) == 1 else f"{len(cells)} cells", *metrics])


def terminal_table(rows: Sequence[ComparisonRow], reasons: bool) -> Table:
    """Make the table for a terminal, with or without the reasons of the verdicts."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    views = any(row.view not in ("", "default") for row in rows)
    for column in ("cell", *(["view"] if views else []), "metric"):
        table.add_column(column, overflow="fold")
    for column in ("base", "head", "change", "90 % interval", "could see"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold", no_wrap=not reasons)
    for row in rows:
        said = f"{row.verdict}: {row.reason}" if row.reason and reasons else row.verdict
        numbers = [metric_value(row.metric, row.base), metric_value(row.metric, row.head), change(row, row.change)]
        numbers += [change_interval(row), amount(row, row.smallest)]
        metric = name(row.metric) + ("" if row.gate else " (watched)")
        verdict = Text(said, style=COLORS[TONES[row.verdict]])
        table.add_row(row.label, *([row.view] if views else []), metric, *numbers, verdict)
    return table


def github_annotations(comparison: Comparison) -> Iterator[str]:
    """Make the workflow commands that annotate a job.

    Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
    """
    notes: list[tuple[str, str, str]] = [("error", row.verdict, sentence(row)) for row in comparison.failing]
    notes += [("warning" if comparison.allow_incomplete else "error", "incomplete", gap) for gap in comparison.gaps]
    notes += [("warning", row.verdict, sentence(row)) for row in comparison.inconclusive]
    for kind, title, text in notes:
        escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        yield f"::{kind} title=bench.compare {title}::{escaped}"


def plain(comparison: Comparison) -> object:
    """Return a comparison as values for JSON; NaN becomes None."""
    return results.plain(
        {
            "blessed": comparison.outcome == "ok",
            "outcome": comparison.outcome,
            "reasons": reasons(comparison),
            "base": vars(comparison.base),
            "head": vars(comparison.head),
            "headline": {"metric": "miou", **vars(comparison.headline), "improvement": comparison.improvement},
            "differences": dict(comparison.differences),
            "added": list(comparison.added),
            "margins": comparison.margins.model_dump(),
            "rows": [dict(vars(row)) for row in comparison.rows],
        }
    )
