"""`python -m bench.history`: every cell over the published releases."""

from __future__ import annotations

import json
import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import command, start
from bench.errors import EXIT_OK, UsageError, nearest

if TYPE_CHECKING:
    from results import ComparisonRow

# One mark a verdict, for a table that has room for one.
MARKS = {
    "regressed": "▼", "improved": "▲", "ok": "=", "inconclusive": "?", "not comparable": "≠", "missing": "∅",
    "newly failing": "!", "fixed": "✓",
}  # fmt: skip


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
    from results import margins, release
    from results.store import releases_folder

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
    names = [str(side.manifest.get("release") or side.folder.resolve().name) for side in sides]
    if format is Format.json:
        print(json.dumps(_plain(table, names), indent=2, ensure_ascii=False))
    else:
        _print(table, names, metric, format)
    return EXIT_OK


Table = dict[tuple[str, str], list["tuple[float, ComparisonRow | None]"]]


def _collect(sides: list, metric: str, only: str) -> Table:
    """{(label, view): a (mean, verdict against the release before) for each release}; NaN where it was not measured.

    A label that several cells have had gets the cell behind it.
    """
    import results

    table: Table = {}
    cells: dict[str, set[str]] = {}
    for side in sides:
        for one in side.trials:
            cells.setdefault(one.record.label, set()).add(one.record.cell)
    for column, side in enumerate(sides):
        try:
            own = results.compare(side, side, only=only)
        except ValueError:
            continue  # none of its cells is asked for
        before = None
        if column:
            try:
                before = results.compare(sides[column - 1], side, only=only)
            except ValueError:
                before = None  # no cell in common: nothing to judge
        judged = {(row.cell, row.view): row for row in before.rows if row.metric == metric} if before else {}
        for row in own.rows:
            if row.metric == metric and not math.isnan(row.head):
                label = row.label if len(cells.get(row.label, ())) < 2 else f"{row.label} ({row.cell[:6]})"
                line = table.setdefault((label, row.view), [(math.nan, None)] * len(sides))
                line[column] = (row.head, judged.get((row.cell, row.view)))
    if not table:
        raise ValueError(f"no side has a cell whose label matches {only!r} with a value of {metric}")
    return dict(sorted(table.items()))


def _plain(table: Table, names: list[str]) -> list[dict[str, object]]:
    return [
        {
            "cell": label,
            "view": view,
            "releases": {
                name: None if math.isnan(mean) else {"mean": mean, "verdict": row.verdict if row else None}
                for name, (mean, row) in zip(names, line, strict=True)
            },
        }
        for (label, view), line in table.items()
    ]


def _print(table: Table, names: list[str], metric: str, format: Format) -> None:
    from reports import comparison, document, markdown

    factor = 100 if comparison.percent(metric) else 1
    rows = [
        [
            label if view == "default" else f"{label} {view}",
            *("–" if math.isnan(mean) else f"{factor * mean:.4g}{_mark(row)}" for mean, row in line),
        ]
        for (label, view), line in table.items()
    ]
    title = f"{comparison.name(metric)}{', %' if factor == 100 else ''}"
    marks = ", ".join(f"{mark} {verdict}" for verdict, mark in MARKS.items())
    note = f"Against the release before: {marks}."
    if format is Format.md:
        page = document.Document(title, [document.Table(["cell", *names], [*rows], frozenset({"cell"}))])  # type: ignore[list-item]
        print(markdown.render(page) + "\n" + note)
        return
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console(highlight=False)
    shown = RichTable(title=title, title_justify="left", box=None, header_style="bold")
    shown.add_column("cell", overflow="fold")
    for name in names:
        shown.add_column(name, justify="right", no_wrap=True)
    for line in rows:
        shown.add_row(*line)
    console.print(shown)
    console.print(note, style="dim", soft_wrap=True)


def _mark(row: ComparisonRow | None) -> str:
    return f" {MARKS[row.verdict]}" if row else ""


if __name__ == "__main__":
    start(main)
