"""Ctrl-C and SIGTERM: the first ends the run in order, with records; when these are written a second ends it now."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from bench.core.errors import EXIT_INTERRUPTED

_asked = 0
_recorded = False


def install() -> None:
    """From now on SIGTERM is what Ctrl-C is: KeyboardInterrupt."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _hear)


def recorded() -> None:
    """What has to be written is written: the next signal need not wait, nor does one that came meanwhile."""
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
    sys.stdout.flush()
    os._exit(EXIT_INTERRUPTED)  # Ray's processes end with this one
