"""Asking the nodes of a cluster: a function is run on each of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from bench.execution import ray_cluster  # isort: skip (before Ray, whose environment it sets)

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.core import UsageError
from bench.execution.worker_process import function
from results import counted

GONE_SECONDS = 60.0
"""Longest time that a node that is gone may still be listed as live."""
FREE_SECONDS = 600.0
"""Longest wait of a task for GPUs that other work holds."""
BUSY_SECONDS = 60.0
"""Longest wait for GPUs of other nodes, once one node had free GPUs."""
ANSWER_SECONDS = 300.0
"""Longest wait for the answer of a node that is asked something."""
Lasts = Callable[[str, float], None]


def on_every_node(entry: str, *arguments: Any, gpus: int = 0, lasts: Lasts | None = None) -> dict[str, Any]:
    """Run "module:function" on each live node, and return its answers by the node's address.

    The task requests no CPU, so that it waits for none. A node that leaves the cluster meanwhile is left out.

    Args:
        entry: "module:function".
        arguments: of the function, plain data.
        gpus: if not 0, run only on nodes with so many GPUs, in workers that hold them. A node whose GPUs are held by
            other work is left out.
        lasts: given if the function may take as long as it needs, as long as its node runs an empty task meanwhile.
            It is called every `ANSWER_SECONDS` with the node's address and the seconds so far.

    Raises:
        UsageError: a live node does not take the task, does not answer or cannot run the project, or no node had enough
            free GPUs.
    """
    task = ray.remote(num_cpus=0, num_gpus=gpus, max_retries=0)(_resolve)
    deadline: float | None = None
    answers: dict[str, Any] = {}
    busy: set[str] = set()
    while left := {
        address: node for address, node in ray_cluster.live(gpus).items() if address not in busy | {*answers}
    }:
        asked = {
            address: task.options(scheduling_strategy=only_on(node["NodeID"])).remote(os.getcwd(), entry, *arguments)
            for address, node in left.items()
        }
        if gpus:
            busy |= _called_off(asked, BUSY_SECONDS if answers else FREE_SECONDS)
        for address in [address for address in asked if address not in busy]:
            _await(address, asked[address], left[address], lasts)
            try:
                answers[address] = _answer(address, asked[address])
            except ray.exceptions.RayTaskError:
                raise  # an error of the function itself
            except ray.exceptions.RayError as error:
                deadline = deadline or time.monotonic() + GONE_SECONDS
                if time.monotonic() > deadline:
                    raise UsageError(f"node {address} takes no task: {str(error).splitlines()[0]}") from None
                time.sleep(0.5)
    if busy and not answers:
        raise UsageError(
            f"no node has had {counted(gpus, 'free GPU')} for {FREE_SECONDS / 60:g} minutes: other work of this "
            "cluster holds them; wait for it, or ask for fewer with --gpus-per-trial"
        )
    return answers


def only_on(node: str) -> NodeAffinitySchedulingStrategy:
    """Return the strategy that runs a task on the node with this id and nowhere else."""
    return NodeAffinitySchedulingStrategy(node, soft=False)


def _await(address: str, task: Any, node: dict[str, Any], lasts: Lasts | None) -> None:
    """Wait until a task on a node has ended, in whatever way.

    Ray itself ends the tasks of a node that is silent. It does not notice a worker that hangs, as on a network disk.

    Args:
        address: of the node, for the error.
        task: that is waited for.
        node: Ray's description of it.
        lasts: called before waiting on, which it does as long as the node runs an empty task within the same time;
            None to wait once.

    Raises:
        UsageError: it has not ended in time.
    """
    empty = ray.remote(num_cpus=0, max_retries=0)(_nothing).options(scheduling_strategy=only_on(node["NodeID"]))
    began = time.monotonic()
    while not ray.wait([task], timeout=ANSWER_SECONDS)[0]:
        if lasts and ray.wait([empty.remote()], timeout=ANSWER_SECONDS)[0]:
            lasts(address, time.monotonic() - began)
            continue
        ray.cancel(task)
        raise UsageError(
            f"node {address} has not answered for {ANSWER_SECONDS / 60:g} minutes: its Ray hangs, its network, or a "
            "disk that it reads; mend it, or end Ray there (ray stop) to go on without it, and give the command again"
        )


def _nothing() -> None:
    """Do nothing, as a sign of life of a node."""


def _called_off(asked: dict[str, Any], patience: float) -> set[str]:
    """Cancel the tasks that still wait for GPUs, and return their nodes.

    Args:
        asked: tasks by the address of their node.
        patience: seconds to wait for the first task; after it the others have `BUSY_SECONDS`.
    """
    done, waiting = ray.wait([*asked.values()], timeout=patience)
    if done and waiting:
        waiting = ray.wait(waiting, num_returns=len(waiting), timeout=BUSY_SECONDS)[1]
    for task in waiting:
        ray.cancel(task)
    return {address for address, task in asked.items() if task in waiting}


def _answer(address: str, task: Any) -> Any:
    """Return the answer of a task on a node, or raise its error.

    Raises:
        UsageError: the project or a package is not installed there.
    """
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        # Ray's message for a function of this project that it could not unpickle there.
        if not isinstance(error.cause, ImportError) and "function failed to import on the worker" not in str(error):
            raise
        raise UsageError(
            f"node {address} cannot run the project: {str(error).strip().splitlines()[-1]}; "
            "install the same locked environment there (make venv CUDA=1)"
        ) from None


def _resolve(folder: str, entry: str, *arguments: Any) -> Any:
    """Call "module:function" in a folder, if this node has it."""
    if os.path.isdir(folder):
        os.chdir(folder)
    return function(entry)(*arguments)
