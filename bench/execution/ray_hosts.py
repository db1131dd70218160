"""One job on several hosts at once: a process on each, whose TF_CONFIG names them all, under one Ray placement group.

The first host is the worker that Ray Tune started: its process alone is heard. The others have actors in the other
bundles of the placement group, which supervise processes of their own. A host that is lost ends the attempt on all.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import platform
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from bench.execution import gpu_memory, supervisor
from bench.execution.supervisor import End, Limits

START_SECONDS = 600.0
"""Longest wait until all hosts of a job have a process that supervises it."""
PATIENCE = 30.0
"""Longest wait for the other hosts once one has failed: they notice it by themselves within some ten seconds."""
Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Work:
    """What each host runs: fields of `ray_tune.Job`, and the working directory."""

    entry: str
    payload: dict[str, Any]
    log: str
    limits: Limits
    gpus: int
    folder: str


def run(work: Work, hosts: int, cpus: int, emit: Emit) -> End:
    """Run a job on all bundles of this worker's placement group, and return how it ended.

    Args:
        work: of every host.
        hosts: number of bundles.
        cpus: CPUs of a bundle.
        emit: called here with each event of the first host's process.
    """
    group = ray.util.get_current_placement_group()
    assert group is not None
    members = [
        _Member.options(  # type: ignore[attr-defined]
            num_cpus=cpus, num_gpus=work.gpus, scheduling_strategy=PlacementGroupSchedulingStrategy(group, index)
        ).remote()
        for index in range(1, hosts)
    ]
    try:
        with _reserved() as (name, own):
            places = [(name, own), *ray.get([member.reserve.remote() for member in members], timeout=START_SECONDS)]
            addresses = [address for _, address in places]
            ends = [
                member.run.remote(asdict(work), _environment(addresses, index))
                for index, member in enumerate(members, 1)
            ]
            others = _Others([name for name, _ in places[1:]], ends)
            end = _supervised(work, _environment(addresses, 0), emit, others.cut)
            return others.judged(end)
    except ray.exceptions.RayError as error:
        return End("lost", f"a host of the trial did not begin: {_first_line(error)}")
    finally:
        for member in members:
            ray.kill(member)


def _supervised(work: Work, environment: dict[str, str], emit: Emit, cut: Callable[[], End | None]) -> End:
    if work.gpus:
        gpu_memory.await_memory(work.log)
    return supervisor.run(
        work.entry, work.payload, work.log, work.limits, emit, work.folder, environment=environment, cut=cut
    )


@ray.remote(max_restarts=0)
class _Member:
    """Supervises the process of a host that is not the first."""

    def __init__(self) -> None:
        self._held = contextlib.ExitStack()
        ignore_sigterm()

    def reserve(self) -> tuple[str, str]:
        """Return the name of this host, and an address at which its process may listen."""
        return self._held.enter_context(_reserved())

    def run(self, work: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
        """Run the process to its end. Its events are not heard: they would be those of the first host once more."""
        own = Work(**{**work, "limits": Limits(**work["limits"])})
        index = json.loads(environment["TF_CONFIG"])["task"]["index"]
        log = Path(own.log)
        own = replace(own, log=str(log.with_name(f"{log.stem}-{index}{log.suffix}")))
        return asdict(_supervised(own, environment, lambda event: None, lambda: None))


class _Others:
    """The hosts besides the first: how they ended, and what that means for the job.

    Args:
        names: of the hosts.
        ends: what their processes will return.
    """

    def __init__(self, names: Sequence[str], ends: Sequence[Any]) -> None:
        self._waiting = dict(zip(ends, names, strict=True))
        self._ended: dict[str, End] = {}
        self._gone: list[str] = []
        self._failed: float | None = None

    def cut(self) -> End | None:
        """Return an end for the first host if another one failed a while ago and this one has not noticed."""
        self._look(0)
        if self._failed is None or time.monotonic() < self._failed + PATIENCE:
            return None
        return End("lost", "another host of the trial has ended")

    def judged(self, end: End) -> End:
        """Return how the job ended, given how the first host did: by its own fault, or by that of another one.

        The first host has written the record if it returned. A host that only lost another one is not to blame.
        """
        if end.kind != "lost":
            return end
        until = time.monotonic() + PATIENCE
        while self._waiting and not self._blamed() and (left := until - time.monotonic()) > 0:
            self._look(left)
        name = self._blamed()
        if name is None:
            silent = ", ".join(self._waiting.values())
            return replace(end, message=f"{end.message}; no message from {silent}") if silent else end
        found = self._ended[name]
        return replace(found, message=f"host {name}: {found.message}")

    def _blamed(self) -> str | None:
        """Return a host that failed by itself, rather than by losing another one."""
        itself = [name for name, end in self._ended.items() if end.kind not in ("returned", "lost")]
        return next(iter([*itself, *self._gone]), None)

    def _look(self, seconds: float) -> None:
        """Hear which hosts have ended, waiting so long for one of them."""
        if not self._waiting:
            return
        for end in ray.wait([*self._waiting], timeout=seconds)[0]:
            name = self._waiting.pop(end)
            try:
                self._ended[name] = End(**ray.get(end))
            except ray.exceptions.RayError as error:
                self._ended[name] = End("lost", f"it was lost: {_first_line(error)}")
                self._gone.append(name)
            if self._ended[name].kind != "returned":
                self._failed = self._failed or time.monotonic()


def _environment(addresses: Sequence[str], index: int) -> dict[str, str]:
    """Return the variables by which TensorFlow knows the hosts; a port that is held open may be listened at."""
    told = {"cluster": {"worker": [*addresses]}, "task": {"type": "worker", "index": index}}
    return {"TF_CONFIG": json.dumps(told), "TF_GRPC_REUSE_PORT": "1"}


@contextlib.contextmanager
def _reserved() -> Iterator[tuple[str, str]]:
    """Make a context with the name of this host, and an address of it whose port nobody else gets meanwhile."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("", 0))
        yield platform.node(), f"{ray.util.get_node_ip_address()}:{held.getsockname()[1]}"


def ignore_sigterm() -> None:
    """Let this worker ignore SIGTERM, which all processes of a machine get that is taken away.

    By Ray's handler it would end at once, and with it the job, which needs the time to record what it has. Python sets
    handlers in the main thread only, which is Ray's. Ray ends a worker by SIGKILL in any case.
    """
    ctypes.CDLL(None).signal(int(signal.SIGTERM), ctypes.c_void_p(int(signal.SIG_IGN)))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
