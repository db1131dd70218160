"""`python -m bench.history`: a metric of every cell over the published releases."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.core import EXIT_OK, UsageError, cli, command, nearest, start

if TYPE_CHECKING:
    from results import CellHistory


class Format(StrEnum):
    """How the history is printed."""

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
        history = results.cell_history(sides, metric, only)
    except ValueError as error:
        raise UsageError(str(error)) from None
    _print(history, results.distinct_names(sides), metric, format)
    return EXIT_OK


def _print(history: CellHistory, names: list[str], metric: str, format: Format) -> None:
    """Print a history in a format."""
    from reports import markdown
    from reports import release_history as page

    if format is Format.json:
        print(json.dumps(page.plain(history, names), indent=2, ensure_ascii=False))
    elif format is Format.md:
        print(markdown.render(page.document(history, names, metric)) + "\n" + page.NOTE)
    else:
        console = cli.console()
        console.print(page.terminal_table(history, names, metric))
        console.print(page.NOTE, style="dim", soft_wrap=True)


if __name__ == "__main__":
    start(main)
