"""`python -m bench.report RUN`: write tables and report of a run again, from its records alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.core import EXIT_OK, UsageError, command, start


@command
def main(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    base: Annotated[str | None, typer.Option(help="A run or release; the report lists what regressed since.")] = None,
) -> int:
    """Rebuild a run's tables and its report (report.md, report.html) from its records alone."""
    import reports
    import results

    try:
        if results.release_of(run):
            raise UsageError(f"{run}: a published release never changes; its report lies in {run / 'report'}")
        results.write_tables(run)
        path = reports.write(run, base)
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from None
    print(path)
    print(path.with_suffix(".html"))
    return EXIT_OK


if __name__ == "__main__":
    start(main)
