"""What the process of a job does. This is its main module, unless a fork server made the process.

`python -m bench.execution.worker_process MODULE:FUNCTION EVENTS_FD` reads its payload from standard input.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from types import FrameType, MappingProxyType
from typing import Any

from bench.core import HostFailed, HostLost


def function(entry: str) -> Callable[..., Any]:
    """Import and return the function that "module:function" names."""
    module, _, name = entry.partition(":")
    return getattr(importlib.import_module(module), name)


class _Emitter:
    """Writes events to a file descriptor as lines of JSON; a bare sign of life at most once per second."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor
        self._last = 0.0

    def __call__(self, event: dict[str, Any]) -> None:
        now = time.monotonic()
        if event["event"] == "alive" and now - self._last < 1.0:
            return
        self._last = now
        os.write(self._descriptor, json.dumps(event).encode() + b"\n")


def _end_with_parent() -> None:
    """Make this process end with the worker that holds the devices, even if native code holds the interpreter lock."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

    def wait() -> None:
        os.read(0, 1)  # nothing more is written there, so this returns when the parent is gone
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


class _Notice:
    """Hears SIGTERM, by which a machine that is taken away says so some time before. The job is interrupted once."""

    MESSAGE = "ended by SIGTERM, as when its machine is taken away"

    def __init__(self) -> None:
        self.heard = False
        signal.signal(signal.SIGTERM, self._hear)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # Ray's processes block it

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if not self.heard:
            self.heard = True
            raise KeyboardInterrupt(self.MESSAGE)


def work(entry: str, descriptor: int, known: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Run the job, and emit "returned", "raised", "lost" or "preempted" at its end.

    Args:
        entry: "module:function" of the job.
        descriptor: of the file to which events are written.
        known: of this process, what the payload gets besides.
    """
    faulthandler.enable()
    notice = _Notice()
    payload = {**json.loads(_line()), **known}
    _end_with_parent()
    emit = _Emitter(descriptor)
    try:
        function(entry)(payload, emit)
    except KeyboardInterrupt:
        if not notice.heard:
            raise
        emit({"event": "preempted", "error": _Notice.MESSAGE})
        return
    except HostLost as error:
        _write_trace()
        emit({"event": "lost", "error": str(error)})
        sys.exit(1)
    except HostFailed as error:
        _write_trace()
        emit({"event": "raised", "error": str(error), "status": error.status})
        sys.exit(1)
    except Exception as error:
        _write_trace()
        emit({"event": "raised", "error": f"{type(error).__name__}: {error}"})
        sys.exit(1)
    emit({"event": "returned"})


def _write_trace() -> None:
    """Write the trace of the error at hand into the log, unless the log has gone with the storage."""
    with contextlib.suppress(OSError):
        traceback.print_exc()


def _line() -> bytes:
    """Return the first line of standard input, unbuffered, because a thread will wait on the descriptor."""
    parts: list[bytes] = []
    while not (parts and parts[-1].endswith(b"\n")) and (data := os.read(0, 1 << 16)):
        parts.append(data)
    return b"".join(parts)


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]))
