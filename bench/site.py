"""`python -m bench.site DIR`: a folder of static pages with the history of all releases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.core import EXIT_OK, UsageError, command, start


@command
def main(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder; new, empty, or an earlier site.")],
    runs: Annotated[list[Path] | None, typer.Argument(help="Runs to put after the releases.")] = None,
) -> int:
    """Write charts of every cell and metric over the published releases, their reports, and a page per pair of them.

    The folder needs no server. An earlier site there is replaced as a whole.

    Exit status: 0, or 2 when there is nothing to show or the folder holds something else.
    """
    import reports
    import results

    try:
        reports.check_site_folder(folder)  # before all releases are read
        site = reports.write_site(folder, results.published_runs(runs or []))
    except ValueError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{folder}: cannot write there: {error.strerror}") from None
    print(site.folder / "index.html")
    print(f"{site.files} files, {site.size / 1e6:.1f} MB")
    return EXIT_OK


if __name__ == "__main__":
    start(main)
