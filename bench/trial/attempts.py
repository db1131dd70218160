"""The attempts at a scheduled trial: its file has a line per start of its process, and only the last one may write.

A machine that is cut off from its cluster goes on with its trial until Ray there ends. Meanwhile the cluster may have
started the trial again elsewhere, and both may reach the storage.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.core import ATTEMPTS_FILE


class TakenOver(Exception):
    """A later attempt at the trial has begun. This one ends and writes nothing more."""


@dataclass(frozen=True)
class Attempt:
    """One start of a trial's process.

    Attributes:
        number: counted from 1 on.
        file: has a line per attempt.
        line: that of this attempt.
    """

    number: int
    file: Path
    line: str

    def check(self) -> None:
        """Check that this is the last attempt. It is called before anything is written that another attempt reads.

        Raises:
            TakenOver: it is not.
        """
        try:
            last = self.file.read_text().splitlines()[-1:]
        except OSError:
            return  # what cannot be read cannot be written either, which is told then
        if last and last != [self.line]:
            raise TakenOver(f"{self.file}: another attempt has begun since: {last[0]}")


def begin(folder: Path) -> Attempt:
    """Add a line for this start of the trial's process to the file of attempts in its folder."""
    path = folder / ATTEMPTS_FILE
    line = f"{datetime.now(UTC).isoformat(timespec='seconds')} {platform.node()} {os.getpid()}"
    with open(path, "a") as file:
        file.write(line + "\n")
    return Attempt(len(path.read_text().splitlines()), path, line)
