"""The main module of a fork server: a process that has imported what jobs need, and forks a process for each of them.

`python -m bench.execution.fork_server CONTROL_FD MODULE:FUNCTION [ARGUMENT ...]` calls the function, which imports, and
then takes requests from a socket. The process of a job finds the imports done; nothing else of an earlier job is in it,
because the server itself runs none. The function may not start threads: a fork copies one thread only, and a lock that
another one holds stays locked for ever. The server counts them, and forks nothing if there are any.

Requests are JSON: {"entry", "folder"} with three descriptors (standard input, log, events), answered by {"pid"} and, at
the end of the process, {"status"} as in `subprocess.Popen.returncode`; {"signal"} for the process that runs.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from bench.execution.worker_process import function, work

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LEAVING_SECONDS = 1.0
"""Longest wait for threads that have ended: on a busy machine the kernel lists them for some time."""
"""Signals that may go to a whole group of processes. The server has to outlive the process of the job, to tell how it
ended, so it ignores them."""
MESSAGE_BYTES = 1 << 16
"""Longest message on the socket."""


def main() -> None:
    """Import, then fork a process per request until the other end of the socket is closed."""
    control, warm_up, *arguments = sys.argv[1:]
    channel = socket.socket(fileno=int(control))
    channel.set_inheritable(False)
    faulthandler.enable()
    os.close(os.pidfd_open(os.getpid()))  # an old kernel lacks it: better to fail before a job depends on it
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    began = time.perf_counter()
    function(warm_up)(*arguments)
    seconds = time.perf_counter() - began
    _check_threads()
    _forget_the_log()
    # What was imported is never garbage. Collections in the processes of jobs pass over it, and so share its memory.
    gc.collect()
    gc.freeze()
    while True:
        message, descriptors, *_ = socket.recv_fds(channel, MESSAGE_BYTES, 3)
        if not message:
            os._exit(0)  # there is nothing to tidy up
        request = json.loads(message)
        if "entry" not in request:
            continue  # a signal for a process that has ended meanwhile
        child = os.fork()
        if not child:
            channel.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)
            work(request["entry"], _adopted(request["folder"], *descriptors), {"imports_s": seconds})
            return  # and through the usual end of an interpreter, with all its exit hooks
        for descriptor in descriptors:
            os.close(descriptor)
        _answer(channel, {"pid": child})
        _watch(channel, child)


def _check_threads() -> None:
    """End this process, and say so in its log, if the imports started threads: jobs then have fresh processes.

    OpenBLAS ends its threads before a fork, and starts them anew when it needs them. So threads are counted after one.
    """
    if not (child := os.fork()):
        os._exit(0)
    os.waitpid(child, 0)
    until = time.monotonic() + _LEAVING_SECONDS
    while (others := _other_threads()) and time.monotonic() < until:
        time.sleep(0.01)
    if others:
        sys.exit(f"the imports started threads ({', '.join(sorted(others))}), so no process is forked")


def _other_threads() -> list[str]:
    """Return the names of all threads but this one."""
    found = []
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int(task) != os.getpid():
                found.append(Path(f"/proc/self/task/{task}/comm").read_text().strip())
    return found


def _forget_the_log() -> None:
    """Let go of the log of the job for which this process was started, to which imports may have written."""
    sys.stdout.flush()
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _adopted(folder: str, stdin: int, log: int, events: int) -> int:
    """Give this process, which was just forked, the standard streams and the folder of its job; return `events`."""
    for descriptor, stream in ((stdin, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, stream)
    os.close(stdin)
    os.close(log)
    if os.path.isdir(folder):
        os.chdir(folder)
    return events


def _watch(channel: socket.socket, child: int) -> None:
    """Pass signals on to a process until it ends; then tell how it ended."""
    ended = os.pidfd_open(child)
    try:
        while True:
            ready, _, _ = select.select([ended, channel.fileno()], [], [])
            if ended in ready:
                _, status = os.waitpid(child, 0)
                _answer(channel, {"status": os.waitstatus_to_exitcode(status)})
                return
            message = channel.recv(MESSAGE_BYTES)
            if not message:
                os.kill(child, signal.SIGKILL)
                os._exit(1)
            os.kill(child, json.loads(message)["signal"])
    finally:
        os.close(ended)


def _answer(channel: socket.socket, message: dict[str, Any]) -> None:
    """Send a message; end this process if nobody is left to read it."""
    try:
        channel.send(json.dumps(message).encode())
    except OSError:
        os._exit(1)  # the process of the job, if it still runs, is ended by the kernel


if __name__ == "__main__":
    main()
