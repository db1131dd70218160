"""How the hosts of a trial meet before TensorFlow connects them, so that nobody waits for one that failed by then.

TensorFlow goes on waiting for a host that never comes. The first host listens where it will listen as TensorFlow's
worker, and the others connect to it. Each tells whether it is ready, and hears it of all.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack

from bench.core import HostLost

READY_SECONDS = 600.0
"""Longest wait until all hosts are ready."""
ALONE_SECONDS = 120.0
"""Longest wait of hosts of which one is known to have failed: for those that come later."""
_LONGEST = 10_000

Told = tuple[str, str]
"""The name of a host and what failed there, a line; empty if it is ready."""


def meet(workers: Sequence[str], index: int, mine: Told) -> list[Told]:
    """Return what every host tells, in their order.

    After something has failed on a host, those that do not come in time are left out.

    Args:
        workers: HOST:PORT of all, those of TensorFlow's workers.
        index: of this host.
        mine: what it tells.

    Raises:
        HostLost: a host does not come, or goes before all have come.
    """
    if index:
        return _joined(workers[0], index, mine)
    return _gathered(workers, mine)


def _gathered(workers: Sequence[str], mine: Told) -> list[Told]:
    """Wait for the others, as the first host, and tell all of them what all have told."""
    told = {0: mine}
    until = time.monotonic() + (ALONE_SECONDS if mine[1] else READY_SECONDS)
    with ExitStack() as held:
        door = held.enter_context(_listening(workers[0]))
        parts: dict[socket.socket, bytes] = {}
        come: dict[socket.socket, int] = {}
        while len(told) < len(workers) and (left := until - time.monotonic()) > 0:
            for one in select.select([door, *parts, *come], [], [], left)[0]:
                if one is door:
                    parts[held.enter_context(door.accept()[0])] = b""
                elif one in come:  # it has nothing more to say
                    raise _gone(workers[come[one]])
                elif (said := _said(parts, one)) and 0 < said[0] < len(workers):
                    come[one], told[said[0]] = said
                    until = min(until, time.monotonic() + ALONE_SECONDS) if said[1][1] else until
        if len(told) < len(workers) and not any(fault for _, fault in told.values()):
            raise _absent([place for number, place in enumerate(workers) if number not in told])
        found = [told[number] for number in sorted(told)]
        for one, number in come.items():
            try:
                one.sendall(json.dumps(found).encode() + b"\n")
            except OSError:
                raise _gone(workers[number]) from None
    return found


def _said(parts: dict[socket.socket, bytes], one: socket.socket) -> tuple[int, Told] | None:
    """Return index and words of a host, once its line is complete; who says something else is not heard any more."""
    try:
        data = one.recv(_LONGEST)
        parts[one] += data
        if data and not parts[one].endswith(b"\n") and len(parts[one]) < _LONGEST:
            return None
        number, name, fault = json.loads(parts.pop(one))
        return int(number), (str(name), str(fault))
    except (OSError, ValueError, TypeError):
        parts.pop(one, None)
        one.close()
        return None


def _joined(first: str, index: int, mine: Told) -> list[Told]:
    """Tell the first host, and hear what all have told."""
    until = time.monotonic() + (ALONE_SECONDS if mine[1] else READY_SECONDS)
    with _connected(first, until) as there:
        there.settimeout(max(1.0, until - time.monotonic()) + ALONE_SECONDS)  # that of the first may have begun later
        try:
            there.sendall(json.dumps([index, *mine]).encode() + b"\n")
            with there.makefile("rb") as answer:
                found = json.loads(answer.readline())
        except (OSError, ValueError):
            raise _gone(first) from None
    return [(str(name), str(fault)) for name, fault in found]


def _connected(first: str, until: float) -> socket.socket:
    """Return a connection to the first host, once it listens."""
    host, port = _place(first)
    while time.monotonic() < until:
        try:
            return socket.create_connection((host, port), timeout=5)
        except OSError:
            time.sleep(0.2)
    raise _absent([first])


def _listening(own: str) -> socket.socket:
    """Return a socket that listens at the port of this host. Who holds it open for TensorFlow may go on with that."""
    host, port = _place(own)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server(("", port), family=family, reuse_port=True)


def _place(worker: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT.

    >>> _place("10.0.0.1:2222"), _place("[::1]:2222")
    (('10.0.0.1', 2222), ('::1', 2222))
    """
    host, _, port = worker.rpartition(":")
    return host.strip("[]"), int(port)


def _gone(place: str) -> HostLost:
    return HostLost(f"another host of this trial is gone: {place}, before all were ready")


def _absent(places: Sequence[str]) -> HostLost:
    return HostLost(
        f"another host of this trial is not there after {READY_SECONDS / 60:g} minutes: {', '.join(places)}; "
        "start the trial on it, too"
    )
