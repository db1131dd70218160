"""`python -m bench.publish RUN... --release 0.2.0`: publish runs as a release with which others can be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.core import EXIT_OK, UsageError, command, start


@command
def main(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, such as one per grid.")],
    version: Annotated[str, typer.Option("--release", help="The version, such as 0.2.0.")],
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Publish even if trials failed or are missing.")
    ] = False,
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
        for run in read:
            results.write_tables(run)
            reports.write(run.folder)
        folder = results.publish(read, version, incomplete)
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from None
    print(folder)
    return EXIT_OK


if __name__ == "__main__":
    start(main)
