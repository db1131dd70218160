"""The end of a trial's log."""

from __future__ import annotations

import os
from pathlib import Path

import results
from bench.core import UsageError, nearest
from bench.execution import SEARCH

_TAIL = 1 << 16
"""Bytes at the end of a log that are read: it may be of any length, and on a network disk."""


def last_lines(run: Path, trial: str, number: int) -> list[str]:
    """Return the last lines of a trial's log.

    Args:
        run: folder of the run.
        trial: name of the trial, or a beginning that only one trial has; also one of the run's search.
        number: of lines at most.

    Raises:
        UsageError: there is no such trial, or it has no log.
    """
    folders = {
        path.name: path for trials in (run / SEARCH / "trials", run / "trials") for path in sorted(trials.glob("*"))
    }
    named = [name for name in folders if name == trial] or [name for name in folders if name.startswith(trial)]
    if len(named) != 1:
        which = f": it may be {', '.join(named[:5])}" if named else f": no such trial{nearest(trial, folders)}"
        raise UsageError(f"--log {trial}{which}")
    log = folders[named[0]] / results.LOG
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            return file.read().decode(errors="replace").splitlines()[-number:]
    except OSError as error:
        raise UsageError(f"--log {named[0]}: {log}: {error.strerror}; a trial has a log once it has begun") from None
