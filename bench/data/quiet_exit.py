"""Python functions inside tf.data, without the hang at the end of the process.

A tf.data thread that waits for the interpreter lock while the interpreter shuts down never returns, and the destructor
of its iterator waits for it: a process that ends with an endless iterator alive stays for ever (seen on TensorFlow 2.15
and 2.21). So before the shutdown calls are refused, which fills the iterators' buffers, and the last ones are awaited.
"""

from __future__ import annotations

import atexit
import functools
import threading
import time
from collections.abc import Callable
from typing import Any

_ending = threading.Event()
_last_call = 0.0


def quiet_at_exit(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, refused once the process ends."""

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        global _last_call
        try:
            if _ending.is_set():
                raise RuntimeError("the process is ending")
            return function(*args)
        finally:
            _last_call = time.monotonic()

    return call


@atexit.register
def _settle(quiet: float = 0.2, limit: float = 5.0) -> None:
    """Wait until no call has come or ended for `quiet` seconds."""
    _ending.set()
    if not _last_call:
        return
    began = time.monotonic()
    while time.monotonic() - max(began, _last_call) < quiet and time.monotonic() - began < limit:
        time.sleep(quiet / 10)
