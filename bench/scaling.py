"""`python -m bench.scaling RUN`: how a training's speed grows with replicas and hosts, and its share of input."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from bench.core import EXIT_INCOMPLETE, EXIT_OK, UsageError, cli, command, start

if TYPE_CHECKING:
    from results import Row


def _table(found: Sequence[Row]) -> Table:
    """Return the rows as a table for the terminal, with the formats of the report."""
    from reports import format

    table = Table(title="Scaling", title_justify="left", box=None, header_style="bold")
    for column in ("series", "replicas", "batch", "starts", "images/s", "E(n)", "95 %", "input share, %"):
        table.add_column(column, justify="left" if column == "series" else "right")
    for row in found:
        bounds = None if row.low is None or row.high is None else (row.low, row.high)
        ends = format.DASH if bounds is None else " to ".join(format.number(bound, 2) for bound in bounds)
        share = format.DASH if row.input_share is None else format.percent(row.input_share, 0)
        counts = (row.devices, str(row.batch), str(row.starts))
        rates = (format.number(row.images_per_second, 1), format.number(row.efficiency, 2))
        table.add_row(row.series, *counts, *rates, ends, share)
    return table


def _csv(found: Sequence[Row]) -> bytes:
    """Return the rows as the content of tables/scaling.csv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(found[0]))
    writer.writerows(map(astuple, found))
    return text.getvalue().encode()


@command
def main(
    run: Annotated[
        Path, typer.Argument(help="Folder of a run of the grid scaling, or of another run that varies GPUs.")
    ],
) -> int:
    """Print the efficiency by number of replicas and write it to tables/scaling.csv.

    Exit status: 0, 2 usage, 4 when some throughput could not be compared and is left out.
    """
    import results
    from results import scaling

    console = cli.console()
    try:
        records = [stored.record for stored in results.iterate(run) if stored.record.status == "ok"]
        measured = scaling.starts(records)
        if records and not measured:
            console.print(f"None of {len(records)} trials has a throughput that can be compared.", style="red")
            return EXIT_INCOMPLETE
        found = scaling.rows(measured)
    except ValueError as error:
        raise UsageError(str(error)) from None
    console.print(_table(found))
    results.write_bytes(run / "tables" / "scaling.csv", _csv(found))
    if len(measured) < len(records):
        left = len(records) - len(measured)
        console.print(
            f"Left out: {left} of {len(records)} trials, which shared cores or had no steady rate.", style="red"
        )
        return EXIT_INCOMPLETE
    return EXIT_OK


if __name__ == "__main__":
    start(main)
