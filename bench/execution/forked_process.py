"""The process of a job, forked by a fork server (`bench.execution.fork_server`) that this process starts and keeps.

A server is kept for the next job, as long as that needs the same imports of the same code in the same environment. It
ends with this process.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench.core import present_code_version
from bench.execution.fork_server import MESSAGE_BYTES

ANSWER_SECONDS = 10.0
"""Longest wait for a server to tell that a process it was asked to kill has ended. Then it is killed itself."""
_WITHOUT_THREADS = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Variables of a server: pandas imports pyarrow, whose memory pool else starts a thread of its own."""
_kept: _Server | None = None  # one per process, because a process runs one job at a time


class ForkedProcess:
    """The process of a job, with those methods of `subprocess.Popen` that a supervisor calls.

    Until the server has made its imports there is no such process; signals and the exit status are then the server's.
    """

    def __init__(self, server: _Server) -> None:
        self._server = server
        self.pid: int | None = None
        self.returncode: int | None = None

    @property
    def began(self) -> bool:
        """Whether the server came to fork it."""
        return self.pid is not None

    def poll(self) -> int | None:
        """Return the exit status, or None while the process runs."""
        return self._read(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process and return its exit status.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self._read(deadline and max(0.0, deadline - time.monotonic()))) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, if it has not ended."""
        if self.poll() is None:
            self._server.signal(number, self.began)

    def kill(self) -> None:
        """End the process at once, and a server that does not tell of its end."""
        self.send_signal(signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(ANSWER_SECONDS)
            return
        self._server.end()
        self.wait()

    def _read(self, seconds: float | None) -> int | None:
        """Read the next message of the server, if one comes within these seconds, and return the exit status."""
        if self.returncode is None:
            message = self._server.hear(seconds)
            if message is None:
                return None
            self.pid = message.get("pid", self.pid)
            self.returncode = message.get("status")
            if message.get("lost"):
                self._lost()
        return self.returncode

    def _lost(self) -> None:
        """Take the end of the server for the end of the process, which ends with it by SIGKILL."""
        status = self._server.end()
        self.returncode = -signal.SIGKILL if self.began else status


class _Server:
    """A fork server, from this end of its socket."""

    def __init__(self, key: tuple[str, ...], warm_up: Sequence[str], log: str, folder: str) -> None:
        self.key = key
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, open(log, "ab", buffering=0) as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "bench.execution.fork_server", str(theirs.fileno()), *warm_up],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=[theirs.fileno()],
                cwd=folder if os.path.isdir(folder) else None, env={**os.environ, **_WITHOUT_THREADS},
            )  # fmt: skip

    def request(self, request: dict[str, str], descriptors: Sequence[int]) -> bool:
        """Ask for a process, and return whether the server could be asked."""
        try:
            socket.send_fds(self._channel, [json.dumps(request).encode()], descriptors)
        except OSError:
            return False
        return True

    def hear(self, seconds: float | None) -> dict[str, Any] | None:
        """Return the next message, {"lost": True} from a server that has ended, or None if there is none in time."""
        self._channel.settimeout(seconds)
        try:
            message = self._channel.recv(MESSAGE_BYTES)
        except (TimeoutError, BlockingIOError):
            return None
        except OSError:
            message = b""
        return json.loads(message) if message else {"lost": True}

    def signal(self, number: int, forked: bool) -> None:
        """Send a signal to the process that the server has forked, or to the server itself."""
        if forked:
            with contextlib.suppress(OSError):
                self._channel.send(json.dumps({"signal": int(number)}).encode())
        else:
            self._process.send_signal(number)

    def end(self) -> int:
        """End the server and return its exit status."""
        global _kept
        if _kept is self:
            _kept = None
        self._channel.close()
        try:
            return self._process.wait(0.5)  # it ends by itself when the socket is closed
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def start(
    warm_up: Sequence[str], entry: str, log: str, folder: str, descriptors: Sequence[int]
) -> ForkedProcess | None:
    """Have a process forked for a job, by the server that is kept if it suits, else by a new one.

    Args:
        warm_up: "module:function" that imports what the job needs, and its arguments, texts.
        entry: "module:function" of the job.
        log: file to which the output of a new server's imports is appended.
        folder: working directory of the job, if this machine has that folder.
        descriptors: standard input, log and events of the job; they stay open here.

    Returns:
        The process. None where no process can be forked in this way.
    """
    global _kept
    if sys.platform != "linux":
        return None
    # A server cannot forget what it has imported, nor may it serve older code than a record names.
    key = (*warm_up, present_code_version(), *(f"{name}={value}" for name, value in sorted(os.environ.items())))
    if _kept is not None and _kept.key != key:
        _kept.end()
    request = {"entry": entry, "folder": folder}
    for _ in range(2):  # the one that is kept may have been killed meanwhile
        server = _kept = _kept or _Server(key, warm_up, log, folder)
        if server.request(request, descriptors):
            return ForkedProcess(server)
        server.end()
    return None


def end_server() -> None:
    """End the server that is kept, if there is one."""
    if _kept is not None:
        _kept.end()


atexit.register(end_server)
