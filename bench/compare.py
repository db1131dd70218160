"""`python -m bench.compare BASE HEAD`: judge one run or release against another, cell by cell."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench import storage
from bench.core import EXIT_INCOMPLETE, EXIT_INCONCLUSIVE, EXIT_OK, EXIT_REGRESSION, UsageError, cli, command, start

if TYPE_CHECKING:
    from results import Comparison

STATUS = {
    "ok": EXIT_OK, "incomplete": EXIT_INCOMPLETE, "regressed": EXIT_REGRESSION, "inconclusive": EXIT_INCONCLUSIVE
}  # fmt: skip


class Format(StrEnum):
    """How the comparison is printed."""

    table = "table"
    md = "md"
    json = "json"
    html = "html"
    github = "github"


@command
def main(
    base: Annotated[
        str, typer.Argument(help="A run (folder or address), or a published release such as 0.2.0-synthetic.2.")
    ],
    head: Annotated[str, typer.Argument(help="The run to judge: a run's folder or a release.")],
    format: Annotated[Format, typer.Option(help="Output format; github also annotates the job.")] = Format.table,
    margins: Annotated[Path | None, typer.Option(help="YAML file with other margins than the default ones.")] = None,
    only: Annotated[str, typer.Option(help="Compare the cells whose label matches this pattern.")] = "*",
    require_conclusive: Annotated[
        bool, typer.Option("--require-conclusive", help="Exit 3 if a cell is inconclusive.")
    ] = False,
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="Judge the rest if trials or cells lack a score.")
    ] = False,
    blessing: Annotated[
        Path | None, typer.Option(help="Folder for BLESSED or NOT_BLESSED; default: HEAD if it is a run's folder.")
    ] = None,
) -> int:
    """Judge HEAD against BASE and leave a file BLESSED or NOT_BLESSED.

    Exit status: 0 no regression, 1 a cell regressed, newly fails or is missing, 2 usage, 3 inconclusive (only with
    --require-conclusive), 4 incomplete or nothing measured.
    """
    import results
    from results import release

    there, base, head = Path(head), *(str(storage.brought(Path(side))) for side in (base, head))
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
    bless(comparison, blessing)
    if blessing is None:
        storage.written(there, "NOT_BLESSED", "BLESSED")
    show(comparison, format)
    return STATUS[comparison.outcome]


def bless(comparison: Comparison, folder: Path | None) -> None:
    """Write BLESSED or NOT_BLESSED, for which a pipeline waits, and delete the other. The lines are the reasons.

    Args:
        comparison: the verdicts.
        folder: where to write; None for the folder of HEAD if it is a run, and for no file if it is a release.

    Raises:
        UsageError: the folder is not writable, or is a release.
    """
    import results
    from reports import reasons, sentence

    head = Path(comparison.head.folder)
    if folder is None:
        if not (head / "run.json").is_file() or results.release_of(head):
            return
        folder = head
    elif results.release_of(folder):
        raise UsageError(f"--blessing {folder}: a published release never changes; name another folder")
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


def show(comparison: Comparison, format: Format) -> None:
    """Print a comparison in a format.

    `github` prints annotations as well, and writes the page to $GITHUB_STEP_SUMMARY instead if that is set.
    """
    from reports import comparison as page
    from reports import comparison_formats as formats

    if format is Format.table:
        _print_table(comparison)
    elif format is Format.json:
        print(json.dumps(formats.plain(comparison), indent=2, ensure_ascii=False, allow_nan=False))
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
            for line in formats.github_annotations(comparison):
                print(line)


def _print_table(comparison: Comparison) -> None:
    """Print a comparison as a table for the terminal, then the verdict, gaps and differences of environments."""
    from reports import Items, Paragraph, words
    from reports import comparison as page
    from reports import comparison_formats as formats

    console = cli.console()
    shown = formats.terminal_rows(comparison)
    table = formats.terminal_table(shown, reasons=True)
    roomy = table.__rich_measure__(console, console.options.update(width=1000)).maximum <= console.width
    console.print(table if roomy else formats.terminal_table(shown, reasons=False))
    untold = [row for row in comparison.rows if row.verdict == "not comparable" and row not in shown]
    for line in formats.reasons_at_once(untold if roomy else [*shown, *untold]):
        console.print(f"  {line}", soft_wrap=True)
    for block in page.verdict(comparison):
        if isinstance(block, Paragraph):
            console.print(words(block.text), style=formats.COLORS[block.tone] or None, soft_wrap=True)
        elif isinstance(block, Items):
            for item in block.items:
                console.print(f"  {words(item)}", soft_wrap=True)
    for gap in comparison.gaps:
        console.print(f"  {gap}", soft_wrap=True)
    if comparison.differences:
        console.print(f"Environments differ in: {', '.join(comparison.differences)}.", style="dim", soft_wrap=True)


if __name__ == "__main__":
    start(main)
