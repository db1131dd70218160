"""`python -m bench.report RUN`: make tables and report again from the records alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import command, start
from bench.errors import EXIT_OK, UsageError


@command
def main(run: Annotated[Path, typer.Argument(help="A run's folder.")]) -> int:
    """Make a run's tables and report again from its records alone."""
    import reports
    import results

    try:
        results.write_tables(run)
        path = reports.write(run)
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from None
    print(path)
    return EXIT_OK


if __name__ == "__main__":
    start(main)
