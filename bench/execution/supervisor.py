"""A job in a process of its own, watched from outside: what it emits, how long it may take, how it ended.

The parent is the worker that holds the job's devices. So the exit signal is known, a hang in native code can be ended
whoever holds the interpreter lock, and what TensorFlow keeps (memory, precision policy, devices) goes with the process.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

DUMP_SECONDS = 10.0
"""How long a process that is being ended has to write its stacks into the log."""
Kind = Literal["returned", "raised", "died", "timeout", "stalled", "lost"]


@dataclass(frozen=True)
class Limits:
    """Seconds: `wall` for a whole attempt, `stall` without a sign of life, `exit` to end once the job is done, which
    changes nothing about how it went. None is no limit."""

    wall: float | None = None
    stall: float | None = None
    exit: float = 30.0


@dataclass(frozen=True)
class End:
    """How an attempt at a job ended.

    Attributes:
        kind: "returned"; "raised" an exception; "died" by a signal or an exit status; "timeout" and "stalled", ended by
            its limits; "lost" with its node or its worker.
        message: one line, empty when it returned.
        signal: name of the signal that ended the process, such as SIGKILL.
    """

    kind: Kind
    message: str = ""
    signal: str | None = None

    @property
    def may_pass(self) -> bool:
        """Whether another attempt may go better: the same exception or crash would come again."""
        return self.kind in ("timeout", "stalled", "lost")


def run(
    entry: str,
    payload: dict[str, Any],
    log: str,
    limits: Limits,
    emit: Callable[[dict[str, Any]], None],
    folder: str = ".",
) -> End:
    """Call "module:function" as function(payload, emit) in a new process and wait for its end.

    Args:
        entry: importable in a new interpreter with this one's environment.
        payload: plain data.
        log: file to which the process's output is appended; its stacks too when a limit ends it.
        limits: after which it is ended.
        emit: called here with each event that the function emits, except {"event": "alive"}, a bare sign of life.
        folder: where it starts, if this machine has that folder.
    """
    receive, send = os.pipe()
    with open(log, "ab", buffering=0) as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.execution.worker_process", entry, str(send)],
            stdin=subprocess.PIPE, stdout=output, stderr=output, pass_fds=[send],
            cwd=folder if os.path.isdir(folder) else None,
        )  # fmt: skip
    os.close(send)
    try:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(payload).encode() + b"\n")
            process.stdin.flush()  # and left open: its end tells the process that its parent is gone
        except BrokenPipeError:
            pass  # it died at once; why is found below
        outcome = _listen(process, receive, limits, emit, log)
        return outcome or _end_of(process)
    finally:
        process.kill()
        process.wait()
        os.close(receive)


def _listen(
    process: subprocess.Popen[bytes], receive: int, limits: Limits, emit: Callable[[dict[str, Any]], None], log: str
) -> End | None:
    """Hand events on until the process ends; None when how it ended has to be read from its exit status."""
    wall, stall = limits.wall or float("inf"), limits.stall or float("inf")
    started = heard = done = time.monotonic()
    outcome = None
    for lines in _received(process, receive):
        now = time.monotonic()
        heard = now if lines else heard
        done = done if outcome else now
        for line in lines:
            event = json.loads(line)
            if event["event"] == "returned":
                outcome = End("returned")
            elif event["event"] == "raised":
                outcome = End("raised", event["error"])
            elif event["event"] != "alive":
                emit(event)
        if outcome:
            if now > done + limits.exit:
                with open(log, "a") as file:
                    file.write(f"It was done, but its process had not ended after {limits.exit:g} s and was ended:\n")
                _dump_and_end(process)
                break
        elif now > started + wall:
            _dump_and_end(process)
            return End("timeout", f"not done after {wall:g} s, the limit of a trial", "SIGABRT")
        elif now > heard + stall:
            _dump_and_end(process)
            return End("stalled", f"no sign of life for {stall:g} s", "SIGABRT")
    return outcome


def _received(process: subprocess.Popen[bytes], receive: int) -> Iterator[list[bytes]]:
    """Whole lines as they come, and an empty list whenever none has come for a while, until the process ends."""
    rest = b""
    while True:
        ended = process.poll() is not None
        if select.select([receive], [], [], 0.0 if ended else 0.2)[0]:
            data = os.read(receive, 1 << 16)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            yield lines
        elif ended:  # a grandchild may hold the pipe open
            return
        else:
            yield []


def _dump_and_end(process: subprocess.Popen[bytes]) -> None:
    """SIGABRT makes `faulthandler` write the stacks of all threads, whatever they do; SIGKILL ends what is left."""
    process.send_signal(signal.SIGABRT)
    try:
        process.wait(DUMP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _end_of(process: subprocess.Popen[bytes]) -> End:
    status = process.wait()
    if status >= 0:
        return End("died", f"the process exited with status {status} without a word")
    name = signal.Signals(-status).name if -status in signal.valid_signals() else f"signal {-status}"
    hint = ": out of memory on the host, or ended by hand" if name == "SIGKILL" else ""
    return End("died", f"the process was ended by {name}{hint}", name)
