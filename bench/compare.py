"""`python -m bench.compare BASE HEAD`: judge one run or release against another, cell by cell."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.core import EXIT_INCOMPLETE, EXIT_INCONCLUSIVE, EXIT_OK, EXIT_REGRESSION, UsageError, cli, command, start

if TYPE_CHECKING:
    from rich.table import Table

    from results import Comparison, ComparisonRow

STATUS = {
    "ok": EXIT_OK, "incomplete": EXIT_INCOMPLETE, "regressed": EXIT_REGRESSION, "inconclusive": EXIT_INCONCLUSIVE
}  # fmt: skip
COLORS = {"bad": "red", "unsure": "yellow", "good": "green", "": ""}


class Format(StrEnum):
    table = "table"
    md = "md"
    json = "json"
    html = "html"
    github = "github"


@command
def main(
    base: Annotated[str, typer.Argument(help="A run's folder, or a published release such as 0.1.0.")],
    head: Annotated[str, typer.Argument(help="What is judged: a run's folder or a release.")],
    format: Annotated[Format, typer.Option(help="How to print; github also annotates the job.")] = Format.table,
    margins: Annotated[
        Path | None, typer.Option(help="YAML with other margins than results/comparison/margins.yaml.")
    ] = None,
    only: Annotated[str, typer.Option(help="Compare the cells whose label matches this pattern.")] = "*",
    require_conclusive: Annotated[
        bool, typer.Option("--require-conclusive", help="Exit 3 when the seeds cannot tell for some cell.")
    ] = False,
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="Judge what is there although trials or cells lack a score.")
    ] = False,
    blessing: Annotated[
        Path | None, typer.Option(help="Folder for BLESSED or NOT_BLESSED; default: HEAD, when it is a run's folder.")
    ] = None,
) -> int:
    """Judge HEAD against BASE and leave a file BLESSED or NOT_BLESSED.

    Exit status: 0 no regression, 1 a cell regressed, newly fails or is missing, 2 usage, 3 inconclusive (only with
    --require-conclusive), 4 incomplete or nothing measured.
    """
    import results
    from results import release

    try:
        for side in (base, head):
            release.verify(results.locate(side))
        comparison = replace(
            results.compare(base, head, margins, only),
            require_conclusive=require_conclusive,
            allow_incomplete=allow_incomplete,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    _bless(comparison, blessing)
    _print(comparison, format)
    return STATUS[comparison.outcome]


def _bless(comparison: Comparison, folder: Path | None) -> None:
    """Leave the one file that a pipeline waits for; the reasons are its lines."""
    import results
    from reports import reasons, sentence

    head = Path(comparison.head.folder)
    if folder is None:
        if not (head / "run.json").is_file() or results.release_of(head):
            return
        folder = head
    good, bad = folder / "BLESSED", folder / "NOT_BLESSED"
    lines = [f"head {comparison.head.name} against base {comparison.base.name}"]
    blessed = comparison.outcome == "ok"
    if not blessed:
        lines += reasons(comparison)
    lines += [] if comparison.require_conclusive else [sentence(row) for row in comparison.inconclusive]
    try:
        results.write_bytes(good if blessed else bad, ("\n".join(lines) + "\n").encode())
        (bad if blessed else good).unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"--blessing {folder}: cannot write there: {error.strerror}") from None


def _print(comparison: Comparison, format: Format) -> None:
    from reports import comparison as page

    if format is Format.table:
        _table(comparison)
    elif format is Format.json:
        print(json.dumps(_plain(comparison), indent=2, ensure_ascii=False, allow_nan=False))
    elif format is Format.html:
        from reports import html

        sys.stdout.write(html.render(page.document(comparison)))
    else:
        from reports import markdown

        text = markdown.render(page.document(comparison, figures=False))
        summary = os.environ.get("GITHUB_STEP_SUMMARY") if format is Format.github else None
        if summary:
            with open(summary, "a", encoding="utf-8") as file:
                file.write(text)
        else:
            sys.stdout.write(text)
        if format is Format.github:
            _annotate(comparison)


def _annotate(comparison: Comparison) -> None:
    """Workflow commands; https://docs.github.com/actions/reference/workflow-commands-for-github-actions."""
    from reports import sentence

    notes: list[tuple[str, str, str]] = [("error", row.verdict, sentence(row)) for row in comparison.failing]
    notes += [("warning" if comparison.allow_incomplete else "error", "incomplete", gap) for gap in comparison.gaps]
    notes += [("warning", row.verdict, sentence(row)) for row in comparison.inconclusive]
    for kind, title, text in notes:
        escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        print(f"::{kind} title=bench.compare {title}::{escaped}")


def _plain(comparison: Comparison) -> object:
    from reports import reasons
    from results import plain

    rows = [dict(vars(row)) for row in comparison.rows]
    return plain(
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
            "rows": rows,
        }
    )


def _table(comparison: Comparison) -> None:
    from reports import Items, Paragraph, metrics, words
    from reports import comparison as page

    console = cli.console()
    shown = [row for row in comparison.rows if row.gate or row.verdict != "ok"]
    table = _rows(shown, reasons=True)
    roomy = table.__rich_measure__(console, console.options.update(width=1000)).maximum <= console.width
    console.print(table if roomy else _rows(shown, reasons=False))
    for row in shown:
        if row.reason and not roomy:
            console.print(f"  {row.label}, {metrics.name(row.metric)}: {row.reason}", soft_wrap=True)
    for block in page.verdict(comparison):
        if isinstance(block, Paragraph):
            console.print(words(block.text), style=COLORS[block.tone] or None, soft_wrap=True)
        elif isinstance(block, Items):
            for item in block.items:
                console.print(f"  {words(item)}", soft_wrap=True)
    for gap in comparison.gaps:
        console.print(f"  {gap}", soft_wrap=True)
    if comparison.differences:
        console.print(f"Environments differ in: {', '.join(comparison.differences)}.", style="dim", soft_wrap=True)


def _rows(shown: Sequence[ComparisonRow], reasons: bool) -> Table:
    """The table of the terminal, verdicts with or without their reasons."""
    from rich.table import Table
    from rich.text import Text

    from reports import comparison as page
    from reports import format as written
    from reports import metrics

    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    views = any(row.view not in ("", "default") for row in shown)
    for column in ("cell", *(["view"] if views else []), "metric"):
        table.add_column(column, overflow="fold")
    for column in ("base", "head", "change", "90 % interval", "could see"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold", no_wrap=not reasons)
    for row in shown:
        color = COLORS[page.TONES[row.verdict]]
        told = f"{row.verdict}: {row.reason}" if row.reason and reasons else row.verdict
        numbers = [written.metric_value(row.metric, mean) for mean in (row.base, row.head)]
        numbers += [written.change(row, row.change), written.change_interval(row), written.amount(row, row.smallest)]
        name = metrics.name(row.metric) + ("" if row.gate else " (watched)")
        table.add_row(row.label, *([row.view] if views else []), name, *numbers, Text(told, style=color))
    return table


if __name__ == "__main__":
    start(main)
