"""`python -m bench.budget RUN...`: whether a short training ranks methods as a converged one does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from bench.core import EXIT_INCOMPLETE, EXIT_OK, UsageError, cli, command, start

if TYPE_CHECKING:
    from results import Course


@command
def main(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Folders of runs of the grid budget, or of another one that varies train.epochs."),
    ],
    page: Annotated[
        Path | None, typer.Option(help="Page whose part from <!-- budget --> to <!-- end --> is replaced.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="Write what reports quote of it here (results/precedents.csv).")
    ] = None,
) -> int:
    """Compare the ranking after each budget with that of the longest training.

    Exit status: 0, 2 usage, 4 nothing to compare.
    """
    import results
    from reports import budget

    try:
        found = results.courses(stored.record for stored in results.iterate([str(run) for run in runs]))
    except ValueError as error:
        raise UsageError(str(error)) from None
    console = cli.console()
    if not found:
        console.print("Nothing to compare: no data set has trainings of two lengths, or evaluations along one.")
        return EXIT_INCOMPLETE
    for course in found:
        console.print(_table(course))
        for one in course.rows[:-1]:
            console.print(f"  {budget.sentence(one, course.steps)}", soft_wrap=True)
    if page is not None:
        _write(page, found)
    if table is not None:
        try:
            results.write_precedents(found, table)
        except OSError as error:
            raise UsageError(f"--table {table}: {error.strerror}") from None
    return EXIT_OK


def _write(page: Path, found: Sequence[Course]) -> None:
    """Put the tables into a page.

    Raises:
        UsageError: it cannot be read or written, or has no place for them.
    """
    import results
    from reports import budget

    try:
        results.write_bytes(page, budget.filled(page.read_text(encoding="utf-8"), found).encode())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"--page {page}: {reason}") from None


def _table(course: Course) -> Table:
    """Return a course as a table for the terminal."""
    from reports import budget

    table = Table(title=budget.title(course), title_justify="left", box=None, header_style="bold")
    for column in budget.HEAD:
        table.add_column(column, justify="right")
    for one in course.rows:
        table.add_row(*budget.row(one, course.steps))
    return table


if __name__ == "__main__":
    start(main)
