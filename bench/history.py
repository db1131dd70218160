"""`python -m bench.history`: the metrics of every cell over the published releases, and where they changed."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench import storage
from bench.core import EXIT_OK, UsageError, cli, command, nearest, start

if TYPE_CHECKING:
    from results import History

ALL = "all"


class Format(StrEnum):
    """How the history is printed."""

    table = "table"
    md = "md"
    json = "json"


@command
def main(
    runs: Annotated[list[Path] | None, typer.Argument(help="Runs to put after the releases.")] = None,
    metric: Annotated[str, typer.Option(help="A metric of the margins file, or all of them: `all`.")] = "miou",
    only: Annotated[str, typer.Option(help="Show the cells whose label matches this pattern.")] = "*",
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.table,
) -> int:
    """Show a metric of every cell over the published releases, by data set, and every change of level in any metric.

    Exit status: 0, or 2 when there is nothing to show.
    """
    import results
    from results import margins

    rules = margins.read(str(margins.DEFAULT))
    if metric not in (ALL, *rules.metrics):
        raise UsageError(f"--metric {metric}: not in {margins.DEFAULT.name}{nearest(metric, [*rules.metrics, ALL])}")
    try:
        history = results.cell_history(
            results.published_runs([storage.brought(run) for run in runs or []]), only, rules
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    _print(history, [*rules.metrics] if metric == ALL else [metric], format)
    return EXIT_OK


def _print(history: History, metrics: list[str], format: Format) -> None:
    """Print a history in a format."""
    from reports import markdown
    from reports import release_history as page

    if format is Format.json:
        print(json.dumps(page.plain(history, metrics), indent=2, ensure_ascii=False, allow_nan=False))
    elif format is Format.md:
        print(markdown.render(page.document(history, metrics)), end="")
    else:
        console = cli.console()
        for line in page.terminal_text(history, metrics, console.width):
            console.print(line.text, style=line.style or None, no_wrap=True, crop=False)


if __name__ == "__main__":
    start(main)
