"""`python -m bench.history`: every cell over the published releases."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.core import EXIT_OK, UsageError, cli, command, nearest, start

if TYPE_CHECKING:
    from results import Comparison, Run, Verdict

# One mark a verdict, for a table that has room for one.
MARKS = {
    "regressed": "▼", "improved": "▲", "ok": "=", "inconclusive": "?", "not comparable": "≠", "missing": "∅",
    "newly failing": "!", "fixed": "✓",
}  # fmt: skip
# How trials ended goes before what the others of their cell measured.
ENDS = ("missing", "newly failing", "fixed")


class Format(StrEnum):
    table = "table"
    md = "md"
    json = "json"


@command
def main(
    runs: Annotated[list[Path] | None, typer.Argument(help="Runs to put after the releases.")] = None,
    metric: Annotated[str, typer.Option(help="A metric of the margins file.")] = "miou",
    only: Annotated[str, typer.Option(help="Show the cells whose label matches this pattern.")] = "*",
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.table,
) -> int:
    """Show a metric of every cell over the published releases, each judged against the release before it.

    Exit status: 0, or 2 when there is nothing to show.
    """
    import results
    from results import margins, release, releases_folder

    rules = margins.read(str(margins.DEFAULT))
    if metric not in rules.metrics:
        raise UsageError(f"--metric {metric}: not in {margins.DEFAULT.name}{nearest(metric, rules.metrics)}")
    sources = [*(str(releases_folder() / version) for version in results.published()), *map(str, runs or [])]
    if not sources:
        raise UsageError(
            "no release is published yet (`python -m bench.publish RUN --release 0.1.0`), and no run is named"
        )
    try:
        for source in sources:
            release.verify(source)
        sides = [results.read_run(source) for source in sources]
        table = _collect(sides, metric, only)
    except ValueError as error:
        raise UsageError(str(error)) from None
    names = _names(sides)
    if format is Format.json:
        print(json.dumps(_plain(table, names), indent=2, ensure_ascii=False))
    else:
        _print(table, names, metric, format)
    return EXIT_OK


Table = dict[tuple[str, str], list["tuple[float, Verdict | None]"]]


def _collect(sides: Sequence[Run], metric: str, only: str) -> Table:
    """{(label, view): a (mean, verdict against the release before) for each release}; NaN where it was not measured.

    A cell for which a search chose another value goes on in its line, as it is judged. A label that several other cells
    have had gets the cell behind it.
    """
    from results import split_alike

    sides = split_alike(sides)
    found: dict[tuple[str, str], list[tuple[float, Verdict | None]]] = {}
    labels: dict[str, str] = {}
    lines: dict[str, str] = {}  # of every cell, the one whose line it goes on
    for column, side in enumerate(sides):
        own = _compared(side, side, only)
        judged = _compared(sides[column - 1], side, only) if column else None
        verdicts = _verdicts(judged, metric) if judged else {}
        for row in own.rows if own else ():
            if row.metric != metric or math.isnan(row.head):
                continue
            before = judged.retuned.get(row.cell, row.cell) if judged else row.cell
            line = lines.setdefault(row.cell, lines.get(before, before))
            labels[line] = row.label
            values = found.setdefault((line, row.view), [(math.nan, None)] * len(sides))
            values[column] = (row.head, verdicts.pop((before, row.view), None))
        for (cell, view), verdict in verdicts.items():
            key = (lines.get(cell, cell), view)
            if verdict in ENDS and key in found:
                found[key][column] = (math.nan, verdict)
    if not found:
        raise ValueError(f"no side has a cell whose label matches {only!r} with a value of {metric}")
    several = {label for label, n in Counter(labels.values()).items() if n > 1}
    table = {
        (f"{labels[cell]} ({cell[:6]})" if labels[cell] in several else labels[cell], view): line
        for (cell, view), line in found.items()
    }
    return dict(sorted(table.items()))


def _compared(base: Run, head: Run, only: str) -> Comparison | None:
    import results

    try:
        return results.compare(base, head, only=only)
    except ValueError:
        return None  # no cell in common, or none that is asked for: nothing to judge


def _verdicts(judged: Comparison, metric: str) -> dict[tuple[str, str], Verdict]:
    """{(cell, view): verdict}: of the metric; of the default view, how the trials ended, where that changed."""
    from results import TRIALS

    found = {(row.cell, row.view): row.verdict for row in judged.rows if row.metric == metric}
    ended = {(row.cell, "default"): row.verdict for row in judged.rows if row.metric == TRIALS and row.verdict in ENDS}
    return found | ended


def _plain(table: Table, names: list[str]) -> list[dict[str, object]]:
    return [
        {
            "cell": label,
            "view": view,
            "releases": {
                name: {"mean": _or_none(mean), "verdict": verdict} if verdict or not math.isnan(mean) else None
                for name, (mean, verdict) in zip(names, line, strict=True)
            },
        }
        for (label, view), line in table.items()
    ]


def _or_none(mean: float) -> float | None:
    return None if math.isnan(mean) else mean


def _print(table: Table, names: list[str], metric: str, format: Format) -> None:
    from reports import document, markdown, metrics
    from reports import format as written

    rows = [
        [
            label if view == "default" else f"{label} {view}",
            *(f"{written.metric_value(metric, mean)}{_mark(verdict)}" for mean, verdict in line),
        ]
        for (label, view), line in table.items()
    ]
    title = f"{metrics.name(metric)}{', %' if metrics.is_percentage(metric) else ''}"
    marks = ", ".join(f"{mark} {verdict}" for verdict, mark in MARKS.items())
    note = f"Against the release before: {marks}."
    if format is Format.md:
        page = document.Document(title, [document.Table(["cell", *names], [*rows], frozenset({"cell"}))])  # type: ignore[list-item]
        print(markdown.render(page) + "\n" + note)
        return
    from rich.table import Table as RichTable

    console = cli.console()
    shown = RichTable(title=title, title_justify="left", box=None, header_style="bold")
    shown.add_column("cell", overflow="fold")
    for name in names:
        shown.add_column(name, justify="right", no_wrap=True)
    for line in rows:
        shown.add_row(*line)
    console.print(shown)
    console.print(note, style="dim", soft_wrap=True)


def _mark(verdict: Verdict | None) -> str:
    return f" {MARKS[verdict]}" if verdict else ""


def _names(sides: list[Run]) -> list[str]:
    """Of each side a name of its own: that of the release or folder, as much of the path as it takes."""
    names = [str(side.manifest.get("release") or side.folder.resolve().name) for side in sides]
    twice = {name for name, n in Counter(names).items() if n > 1}
    return [str(side.folder) if name in twice else name for name, side in zip(names, sides, strict=True)]


if __name__ == "__main__":
    start(main)
