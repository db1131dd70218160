"""Keeps the file that says where a run stands (`bench.core.run_progress`) in the run's folder."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import results
from bench.core import PROGRESS_FILE
from bench.execution.standing import Standing
from bench.storage import Mirror

EVERY = 5.0
"""Shortest time between two files, in seconds: a shared disk is written often enough."""


class ProgressFile:
    """Writes the file while trials run, and removes it at the end.

    A file that cannot be written is left out: it is no reason to end a run, and a full disk is told by the records.

    Args:
        folder: of the run, or of its search.
        standing: of the trials.
        mirror: of the run, if it is in an object store.
    """

    def __init__(self, folder: Path, standing: Standing, mirror: Mirror | None = None) -> None:
        self._folder, self._standing, self._written, self._mirror = folder, standing, float("-inf"), mirror

    def write(self) -> None:
        """Replace the file, unless it is younger than `EVERY`."""
        if time.monotonic() - self._written < EVERY:
            return
        self._written = time.monotonic()
        with contextlib.suppress(OSError):
            file = results.write_bytes(self._folder / PROGRESS_FILE, self._standing.progress().as_bytes())
            if self._mirror:
                self._mirror.soon(file)

    def close(self) -> None:
        """Remove the file: the manifest and the records say how the run ended."""
        with contextlib.suppress(OSError):
            (self._folder / PROGRESS_FILE).unlink(missing_ok=True)
            if self._mirror:
                self._mirror.forget(PROGRESS_FILE)
