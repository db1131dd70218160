"""Watches whether the head of a cluster can be reached, because Ray ends the command a minute after it lost its head.

Ray does that in native code, without an exception, so the command has to say before what is to be done.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

EVERY = 5.0
"""Seconds between two looks, and the longest wait for an answer."""
PATIENCE = 15.0
"""Seconds without an answer after which it is told; a cable that is pulled for a moment is no news."""


@contextlib.contextmanager
def watched(address: str, tell: Callable[[], None]) -> Iterator[None]:
    """Make a context in which a thread looks for the head.

    Args:
        address: host:port at which the head listens.
        tell: called in that thread, once for each time that the head does not answer for `PATIENCE`.
    """
    end = threading.Event()
    thread = threading.Thread(target=_watch, args=(address, tell, end), daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _watch(address: str, tell: Callable[[], None], end: threading.Event) -> None:
    answered, told = time.monotonic(), False
    while not end.wait(EVERY):
        if _answers(address):
            answered, told = time.monotonic(), False
        elif not told and time.monotonic() - answered >= PATIENCE:
            told = True
            tell()


def _answers(address: str) -> bool:
    """Return whether something listens at an address."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), EVERY).close()
    except OSError:
        return False
    return True
