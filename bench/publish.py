"""`python -m bench.publish RUN... --release 0.2.0`: publish runs as a release with which others can be compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.core import EXIT_OK, UsageError, command, start

if TYPE_CHECKING:
    import results


@command
def main(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, such as one per grid.")],
    version: Annotated[str, typer.Option("--release", help="The version, such as 0.2.0.")],
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Publish even if trials failed or are missing.")
    ] = False,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures/--no-pictures",
            help="Show pictures of the data set in the reports; leave them out if its licence forbids to pass them on.",
        ),
    ] = True,
) -> int:
    """Freeze runs' records, tables, environments and reports under results/releases/VERSION/. They never change.

    Exit status: 0 published, 2 refused.
    """
    import reports
    import results
    from results import release

    try:
        read = [results.read_run(run) for run in runs]
        release.check(read, version, incomplete)
        for line in map(_unnamed, read):
            print(line, end="")
        for run in read:
            results.write_tables(run)
            reports.write(run.folder, pictures=pictures)
        folder = results.publish(read, version, incomplete)
        for run in read if not pictures else ():
            reports.write(run.folder)  # those of the runs themselves show them
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from None
    print(folder)
    return EXIT_OK


def _unnamed(run: results.Run) -> str:
    """Return a line if the classes of a run have no names, which a release then lacks for good; else nothing."""
    names = {name for one in run.trials if one.record.dataset for name in one.record.dataset.class_names}
    if not names or not all(re.fullmatch(r"class_\d+", name) for name in names):
        return ""
    return f"note: {run.folder}: its classes have no names; a classes.yaml beside the data names them in a new run\n"


if __name__ == "__main__":
    start(main)
