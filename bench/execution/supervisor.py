"""Run a job in a separate process and supervise it: its events, its time limits, and how it ended.

The parent is the worker that holds the job's devices. So the exit signal is known, and a hang in native code can be
ended even while it holds the interpreter lock. What TensorFlow keeps (memory, precision policy, devices) ends with the
process.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

DUMP_SECONDS = 10.0
"""Time for a process that is being ended to write its stacks into the log."""
Kind = Literal["returned", "raised", "died", "timeout", "stalled", "lost", "preempted", "unsent"]


@dataclass(frozen=True)
class Limits:
    """Time limits of an attempt, in seconds; None for no limit.

    Attributes:
        wall: for the whole attempt.
        stall: without a sign of life.
        exit: for the process to exit once its job is done. The job counts as done even if this is exceeded.
    """

    wall: float | None = None
    stall: float | None = None
    exit: float = 30.0


@dataclass(frozen=True)
class End:
    """How an attempt at a job ended.

    Attributes:
        kind: "returned"; "raised" an exception; "died" by a signal or with an exit status; "timeout" or "stalled",
            ended by a limit; "lost" with its node or worker, or with another host of the same job; "preempted", told by
            SIGTERM that its node is taken away; "unsent", if the object store of the run did not take its files.
        message: the reason in one line; empty if it returned.
        signal: name of the signal that ended the process, such as SIGKILL.
    """

    kind: Kind
    message: str = ""
    signal: str | None = None

    @property
    def may_pass(self) -> bool:
        """Whether another attempt may succeed. An exception or a crash is expected to repeat."""
        return self.kind in ("timeout", "stalled", "lost", "preempted")


def run(
    entry: str,
    payload: dict[str, Any],
    log: str,
    limits: Limits,
    emit: Callable[[dict[str, Any]], None],
    folder: str = ".",
    *,
    environment: Mapping[str, str] | None = None,
    cut: Callable[[], End | None] = lambda: None,
) -> End:
    """Call "module:function" as function(payload, emit) in a new process, and wait for its end.

    Args:
        entry: "module:function", importable in a new interpreter with this one's environment.
        payload: plain data that JSON can hold.
        log: file to which the output of the process is appended, and its stacks if a limit ends it.
        limits: after which the process is ended.
        emit: called here with each event that the function emits, except {"event": "alive"}, a bare sign of life.
        folder: its working directory, if this machine has that folder.
        environment: further variables of the process.
        cut: asked a few times a second; an end that it returns ends the process at once, and is that of the attempt.
    """
    receive, send = os.pipe()
    with open(log, "ab", buffering=0) as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.execution.worker_process", entry, str(send)],
            stdin=subprocess.PIPE, stdout=output, stderr=output, pass_fds=[send],
            cwd=folder if os.path.isdir(folder) else None,
            env={**os.environ, **environment} if environment else None,
        )  # fmt: skip
    os.close(send)
    try:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(payload).encode() + b"\n")
            process.stdin.flush()  # and left open: the process ends when it is closed, as it is when this parent dies
        except BrokenPipeError:
            pass  # the process died at once; the reason is read below
        outcome = _listen(process, receive, limits, emit, log, cut)
        return outcome or _end_of(process)
    finally:
        process.kill()
        process.wait()
        os.close(receive)


def _listen(
    process: subprocess.Popen[bytes],
    receive: int,
    limits: Limits,
    emit: Callable[[dict[str, Any]], None],
    log: str,
    cut: Callable[[], End | None],
) -> End | None:
    """Pass events on until the process ends; return its end, or None if only its exit status shows it."""
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
            elif event["event"] == "lost":
                outcome = End("lost", event["error"])
            elif event["event"] == "preempted":
                outcome = End("preempted", event["error"], "SIGTERM")
            elif event["event"] != "alive":
                emit(event)
        if outcome:
            if now > done + limits.exit:
                with open(log, "a") as file:
                    file.write(
                        f"It was complete, but its process had not exited after {limits.exit:g} s and was killed:\n"
                    )
                _dump_and_end(process)
                break
        elif end := cut():
            return end
        elif now > started + wall:
            _dump_and_end(process)
            return End("timeout", f"not complete after {wall:g} s, the limit of a trial", "SIGABRT")
        elif now > heard + stall:
            _dump_and_end(process)
            return End("stalled", f"no sign of life for {stall:g} s", "SIGABRT")
    return outcome


def _received(process: subprocess.Popen[bytes], receive: int) -> Iterator[list[bytes]]:
    """Yield whole lines as they come, and an empty list if none came for 0.2 s, until the process ends."""
    rest = b""
    while True:
        ended = process.poll() is not None
        if select.select([receive], [], [], 0.0 if ended else 0.2)[0]:
            data = os.read(receive, 1 << 16)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            yield lines
        elif ended:  # the pipe may still be open in a grandchild
            return
        else:
            yield []


def _dump_and_end(process: subprocess.Popen[bytes]) -> None:
    """End a process, after it has written the stacks of all its threads.

    SIGABRT makes `faulthandler` write them, whatever the threads do. SIGKILL ends a process that does not exit then.
    """
    process.send_signal(signal.SIGABRT)
    try:
        process.wait(DUMP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _end_of(process: subprocess.Popen[bytes]) -> End:
    """Return how a process ended, by its exit status."""
    status = process.wait()
    if status >= 0:
        return End("died", f"the process exited with status {status} without a message")
    name = signal.Signals(-status).name if -status in signal.valid_signals() else f"signal {-status}"
    hint = ": out of memory on the host, or killed by hand" if name == "SIGKILL" else ""
    return End("died", f"the process was ended by {name}{hint}", name)
