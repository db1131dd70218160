"""Ctrl-C and SIGTERM. The first signal ends the run in order, and its records are written.

Once these are written, a second signal ends the process at once.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from bench.core.errors import EXIT_INTERRUPTED

_asked = 0
_recorded = False


def install() -> None:
    """Handle SIGINT and SIGTERM alike from now on: the first raises KeyboardInterrupt."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _hear)


def recorded() -> None:
    """Note that the records are on disk.

    From now on a signal ends the process at once, as does a second one that came meanwhile.
    """
    global _recorded
    _recorded = True
    if _asked > 1:
        _end()


def _hear(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked += 1
    if _recorded:
        _end()
    if _asked == 1:
        raise KeyboardInterrupt


def _end() -> None:
    """Exit at once with status 130."""
    sys.stdout.flush()
    os._exit(EXIT_INTERRUPTED)  # Ray's processes end with this one
