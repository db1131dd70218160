"""Run a job in a separate process and supervise it: its events, its time limits, and how it ended.

The parent is the worker that holds the job's devices. So the exit signal is known, and a hang in native code can be
ended even while it holds the interpreter lock. What TensorFlow keeps (memory, precision policy, devices) ends with the
process.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.execution import forked_process
from bench.execution.forked_process import ForkedProcess

DUMP_SECONDS = 10.0
"""Time for a process that is being ended to write its stacks into the log."""
Kind = Literal["returned", "raised", "died", "timeout", "stalled", "lost", "preempted", "unsent", "unwritable"]
Process = subprocess.Popen[bytes] | ForkedProcess


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
            SIGTERM that its node is taken away; "unsent", if the object store of the run did not take its files;
            "unwritable", if its host has lost the folder of the trial.
        message: the reason in one line; empty if it returned.
        signal: name of the signal that ended the process, such as SIGKILL.
        status: of the record that the process did not write, if it knew that, such as "oom".
    """

    kind: Kind
    message: str = ""
    signal: str | None = None
    status: str | None = None

    @property
    def may_pass(self) -> bool:
        """Whether another attempt may succeed. An exception or a crash is expected to repeat."""
        return self.kind in ("timeout", "stalled", "lost", "preempted", "unwritable")


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
    warm_up: Sequence[str] = (),
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
        warm_up: "module:function" that imports what the job needs, and its arguments, texts. The process is then forked
            by one that has called it, where that is possible, and the payload gets the seconds it took, "imports_s".
            Empty: the process is a fresh interpreter, as it is with variables of its own.
    """
    job = _Job(entry, payload, log, folder, environment)
    watch = _Watch(limits, emit, log, cut)
    if warm_up and not environment and (end := _attempt(job, watch, warm_up)):
        return end
    end = _attempt(job, watch)
    assert end is not None  # a fresh interpreter is always started, or the error says why not
    return end


@dataclass(frozen=True)
class _Job:
    """What a process runs, see `run`."""

    entry: str
    payload: dict[str, Any]
    log: str
    folder: str
    environment: Mapping[str, str] | None


@dataclass(frozen=True)
class _Watch:
    """What is heard of a process and what ends it, see `run`."""

    limits: Limits
    emit: Callable[[dict[str, Any]], None]
    log: str
    cut: Callable[[], End | None]


def _attempt(job: _Job, watch: _Watch, warm_up: Sequence[str] = ()) -> End | None:
    """Run a job in a process, see `run`; return None if the process could not be forked."""
    (stdin, source), (receive, send) = os.pipe(), os.pipe()
    process: Process | None = None
    try:
        try:
            process = _started(job, warm_up, stdin, send)
        finally:
            os.close(stdin)
            os.close(send)
        if process is None:
            return None
        # The payload's end is left open: the process ends when it is closed, as it is when this parent dies.
        _write(source, json.dumps(job.payload).encode() + b"\n")
        outcome = _listen(process, receive, watch)
        if outcome is None and isinstance(process, ForkedProcess) and not process.began:
            return None
        return outcome or _end_of(process)
    finally:
        if process is not None:
            process.kill()
            process.wait()
        os.close(source)
        os.close(receive)


def _started(job: _Job, warm_up: Sequence[str], stdin: int, events: int) -> Process | None:
    """Start the process of a job; return None if it was to be forked and cannot be."""
    with open(job.log, "ab", buffering=0) as output:
        if warm_up:
            return forked_process.start(warm_up, job.entry, job.log, job.folder, (stdin, output.fileno(), events))
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.execution.worker_process", job.entry, str(events)],
            stdin=stdin, stdout=output, stderr=output, pass_fds=[events],
            cwd=job.folder if os.path.isdir(job.folder) else None,
            env={**os.environ, **job.environment} if job.environment else None,
        )  # fmt: skip


def _write(descriptor: int, data: bytes) -> None:
    """Write all of a payload, unless its reader died at once; the reason is found by the exit status."""
    with contextlib.suppress(BrokenPipeError):
        while data:
            data = data[os.write(descriptor, data) :]


def _listen(process: Process, receive: int, watch: _Watch) -> End | None:
    """Pass events on until the process ends; return its end, or None if only its exit status shows it."""
    limits = watch.limits
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
                outcome = End("raised", event["error"], status=event.get("status"))
            elif event["event"] == "lost":
                outcome = End("lost", event["error"])
            elif event["event"] == "preempted":
                outcome = End("preempted", event["error"], "SIGTERM")
            elif event["event"] != "alive":
                watch.emit(event)
        if outcome:
            if now > done + limits.exit:
                with open(watch.log, "a") as file:
                    file.write(
                        f"It was complete, but its process had not exited after {limits.exit:g} s and was killed:\n"
                    )
                _dump_and_end(process)
                break
        elif end := watch.cut():
            return end
        elif now > started + wall:
            _dump_and_end(process)
            return End("timeout", f"not complete after {wall:g} s, the limit of a trial", "SIGABRT")
        elif now > heard + stall:
            _dump_and_end(process)
            return End("stalled", f"no sign of life for {stall:g} s", "SIGABRT")
    return outcome


def _received(process: Process, receive: int) -> Iterator[list[bytes]]:
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


def _dump_and_end(process: Process) -> None:
    """End a process, after it has written the stacks of all its threads.

    SIGABRT makes `faulthandler` write them, whatever the threads do. SIGKILL ends a process that does not exit then.
    """
    process.send_signal(signal.SIGABRT)
    try:
        process.wait(DUMP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _end_of(process: Process) -> End:
    """Return how a process ended, by its exit status."""
    status = process.wait()
    if status >= 0:
        return End("died", f"the process exited with status {status} without a message")
    name = signal.Signals(-status).name if -status in signal.valid_signals() else f"signal {-status}"
    hint = ": out of memory on the host, or killed by hand" if name == "SIGKILL" else ""
    return End("died", f"the process was ended by {name}{hint}", name)
