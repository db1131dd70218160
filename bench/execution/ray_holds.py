"""Hosts that have lost the run's storage: their devices are held until it is back, so that no trial is started there.

Ray knows nothing of storage. Without this, such a host would take one waiting trial after the other and fail them all.
"""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray

from bench.execution.ray_nodes import only_on
from bench.execution.supervisor import End

EVERY = 2.0
"""Seconds between two tries of a host to write."""


def guarded(file: str, run: Callable[[], End]) -> End:
    """Run a job and return how it ended, or that its host cannot append to its log, which makes any other end doubtful.

    Args:
        file: the log, in the folder of the trial. It may come into being.
        run: runs the job. It is not called if the host cannot do so beforehand.
    """
    before = _unwritable(file)
    if before is not None:
        return before
    end = run()
    return end if end.kind == "returned" else _unwritable(file) or end


def _unwritable(file: str) -> End | None:
    why = _fault(file)
    return End("unwritable", f"host {platform.node()} cannot write {Path(file).parent}: {why}") if why else None


def _fault(file: str) -> str:
    """Return why this host cannot append to a file; empty if it can. It waits as long as a storage that hangs does."""
    try:
        with open(file, "ab"):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def notice(end: End, file: str) -> dict[str, Any]:
    """Return the message of a worker by which the driver learns to hold this host."""
    node = ray.get_runtime_context().get_node_id()
    return {"event": "unwritable", "node": node, "name": platform.node(), "file": file, "why": end.message}


class Holds:
    """The hosts that are held, in the driver."""

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[str, list[Any]]] = {}

    def hold(self, message: Mapping[str, Any], bundle: Mapping[str, float]) -> bool:
        """Hold the devices of a host, and return whether it was not held before.

        The devices go to tasks that wait there in Ray's queue, in which they come before a trial that is placed later.

        Args:
            message: what `notice` returned there.
            bundle: devices of a trial, by Ray's name.
        """
        node, name = message["node"], message["name"]
        new = node not in self._tasks
        # All of its devices at first; one more trial's for each trial that got there in spite of that.
        tasks = [_waiting(node, message["file"], bundle) for _ in range(_trials(node, bundle) if new else 1)]
        self._tasks.setdefault(node, (name, []))[1].extend(tasks)
        return new

    def freed(self) -> list[str]:
        """Return the names of hosts that can write again since the last call, and no longer hold them."""
        names = []
        for node, (name, tasks) in list(self._tasks.items()):
            if ray.wait(tasks, num_returns=len(tasks), timeout=0)[1]:
                continue
            del self._tasks[node]
            with contextlib.suppress(ray.exceptions.RayError):  # the host has left the cluster, which is told anyway
                ray.get(tasks)
                names.append(name)
        return sorted(names)

    def close(self) -> None:
        """Hold none any longer."""
        for _, tasks in self._tasks.values():
            for task in tasks:
                with contextlib.suppress(ray.exceptions.RayError):
                    ray.cancel(task, force=True)
        self._tasks.clear()


def _trials(node: str, bundle: Mapping[str, float]) -> int:
    """Return how many trials a node could hold, at least 1."""
    has: Mapping[str, float] = next((one["Resources"] for one in ray.nodes() if one["NodeID"] == node), {})
    return max(1, int(min((has.get(name, 0) // number for name, number in bundle.items() if number), default=1)))


def _waiting(node: str, file: str, bundle: Mapping[str, float]) -> Any:
    """Return a task that holds the devices of a trial on a node until it can append to a file."""
    task = ray.remote(num_cpus=bundle["CPU"], num_gpus=bundle["GPU"], max_retries=0)(_until_writable)
    return task.options(scheduling_strategy=only_on(node)).remote(file)


def _until_writable(file: str) -> None:
    while _fault(file):
        time.sleep(EVERY)
