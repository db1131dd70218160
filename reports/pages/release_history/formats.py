"""A history as a document, and as values for JSON."""

from collections.abc import Sequence

import results
from reports.document import Block, Document, Field, Heading, Items, Paragraph, Table, Text
from reports.pages.release_history.sentences import breaks, by_table, changes, label, legend, runs_of, title, value
from results import History, Line, Point


def document(history: History, metrics: Sequence[str]) -> Document:
    """Make the page: a table per metric and data set, then the changes of all metrics."""
    blocks: list[Block] = []
    tables = by_table(history, metrics)
    for (metric, dataset), lines in tables.items():
        runs = runs_of(lines)
        rows: list[list[Field | Text]] = [
            [label(line), *(value(metric, line.points[at]) for at in runs)] for line in lines
        ]
        head = ["cell", *(history.runs[at] for at in runs)]
        blocks += [Heading(f"{title(metric)} on {dataset}"), Table(head, rows, frozenset({"cell"}))]
    shown = [line for lines in tables.values() for line in lines]
    blocks.append(Paragraph(f"Mean over the seeds, ± half of its 95 % interval. {legend(shown)}".strip()))
    steps = [f"{history.runs[at]}, {line.dataset}: {text}" for line, at, text in changes(history)]
    blocks += [Heading("Changes of level"), Items([*steps]) if steps else Paragraph("None.")]
    if broken := breaks(history):
        blocks += [Heading("Not comparable with the release before"), Items([*broken])]
    return Document("History", blocks)


def plain(history: History, metrics: Sequence[str]) -> object:
    """Return a history as values for JSON, one object per line; a run that says nothing about a line is None."""
    lines = [line for line in history.lines if line.metric in metrics]
    return results.plain([_plain_line(history, line) for line in lines])


def _plain_line(history: History, line: Line) -> dict[str, object]:
    points = zip(history.runs, line.points, strict=True)
    return {
        "dataset": line.dataset,
        "cell": line.label,
        "key": line.cell,
        "view": line.view,
        "metric": line.metric,
        "releases": {run: _plain_point(history, point) for run, point in points},
    }


def _plain_point(history: History, point: Point) -> dict[str, object] | None:
    if not point.seeds and not point.verdict:
        return None
    step = point.step
    return {
        "mean": point.mean,
        "low": point.low,
        "high": point.high,
        "seeds": point.seeds,
        "verdict": point.verdict,
        "against": None if point.before is None else history.runs[point.before],
        "reason": point.reason,
        "level": point.level if point.seeds else None,
        "comparable": not point.broken,
        "step": {**vars(step.row), "against": [history.runs[at] for at in step.against]} if step else None,
    }
