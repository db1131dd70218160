"""`python -m bench.study --data-root DIR`: train the study of docs/study.md from the raw data, and fill in its tables.

The study is described in `bench/study/study.yaml`. A part that was begun is resumed with its first settings. A part
that is complete is left as it is.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench.core import (
    EXIT_INCOMPLETE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    UsageError,
    check_rooms,
    command,
    nearest,
    start,
)


@command
def main(
    parts: Annotated[list[str] | None, typer.Argument(help="Parts to run; default: all, in the file's order.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Folder of the data sets' folders.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/study"),
    study: Annotated[Path | None, typer.Option(help="The study's file; default: bench/study/study.yaml.")] = None,
    page: Annotated[
        Path | None, typer.Option(help="The page whose tables are filled in; default: docs/study.md.")
    ] = None,
    only_page: Annotated[bool, typer.Option("--only-page", help="Fill in the page; train nothing.")] = False,
    published: Annotated[
        bool, typer.Option("--published", help="Fill in parts that have no run from their published records.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands; train nothing.")] = False,
) -> int:
    """Train the study and fill in its page.

    Exit status: 0 complete, 2 usage, 4 a part is incomplete, 130 interrupted.
    """
    # Imported when it is used: a list of the options needs none of the statistics.
    from bench.study import DEFAULT, PAGE, arguments, complete, read, run, write

    check_rooms()
    planned, page = read(study or DEFAULT), page or PAGE
    for name in parts or []:
        if name not in planned.parts:
            raise UsageError(f"unknown part {name!r}{nearest(name, planned.parts)}")
    if only_page:
        if not write(planned, out, page, published):
            raise UsageError(f"{out}: no part of the study is complete")
        return EXIT_OK
    if data_root is None:
        raise UsageError("--data-root: name the folder that holds the study's data sets")
    statuses = []
    for name in parts or planned.parts:
        if complete(planned, name, out):
            print(f"{name}: complete", flush=True)
            continue
        wanted = ["-m", "bench.run", *arguments(planned, name, data_root, out)]
        print(shlex.join(["python", *wanted]), flush=True)
        if dry_run:
            continue
        statuses.append(run([sys.executable, *wanted]))
        if statuses[-1] == EXIT_INTERRUPTED:
            return EXIT_INTERRUPTED
    if dry_run:
        return EXIT_OK
    write(planned, out, page, published)
    return _worst(statuses)


def _worst(statuses: Sequence[int]) -> int:
    """Return the exit status of the study: 2 if any part ended with it, else 4 if any part failed, else 0."""
    if EXIT_USAGE in statuses:
        return EXIT_USAGE
    return EXIT_INCOMPLETE if any(statuses) else EXIT_OK


if __name__ == "__main__":
    start(main)
