"""The Ray cluster of a run: started or joined, and its live nodes.

Import this before `ray`: it sets what Ray reads from the environment.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core import CACHE_VARIABLE, COMMIT_VARIABLE, ROOMS, UsageError, describe
from bench.execution import scratch
from bench.storage import PUBLIC_VARIABLES

_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_prestart_worker_first_driver": "0",  # these lack the environment of trials: none would be used
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_MAX_PENDING_TRIALS_PG": "200",  # as for a grid of its own; for a searcher Tune would start one at a time
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # Tune's state is never restored: a run is resumed from its records
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune's own handler turns Ctrl-C into a normal end
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "PYTHONWARNINGS": "ignore",
}
os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})

import ray  # noqa: E402

_VARIABLES = {
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # so that Ray, CUDA and nvidia-smi number the GPUs alike
    # Ray starts its workers at nice 15. A trial would give way to every other process: beside one busy process per
    # core it got 3 % of the time, and its speed measured its neighbours.
    "RAY_worker_niceness": "0",
}
HOME = Path(__file__).resolve().parents[2]
KIND = "accelerator_type:"
"""What Ray puts before the kind of a node's GPUs, in the name of a resource."""
JOIN_SECONDS = 10.0
"""Longest wait for an answer of the head of a cluster."""
_joined = False  # whether the cluster was started by others, perhaps on several machines
_own: Path | None = None  # the folder of an embedded cluster


@dataclass(frozen=True)
class Node:
    """A live machine of the cluster that takes trials."""

    cpus: int
    gpus: int
    accelerator: str | None


@contextlib.contextmanager
def cluster(address: str | None) -> Iterator[list[Node]]:
    """Join the cluster at `address`, or start an embedded one that nobody else can join, and yield its live nodes.

    Args:
        address: host:port or "auto"; None to start a cluster on this machine.

    Raises:
        UsageError: there is no cluster to join, or one with another Ray or Python; or this machine cannot start one.
    """
    if address is not None:
        _check_address(address)
    global _joined
    _joined = address is not None
    with _shipped() if _joined else _private() as options:
        with _as_refusal(address), _deaf_to_sigterm():
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **options)
        # Ray prints a screenful per dead worker in spite of `log_to_driver`. The run reports it in one line.
        ray._private.worker._worker_logs_enabled = False
        try:
            found = nodes()
            if not found:
                raise UsageError(f"--address {address}: no node of the cluster has a CPU to run trials on")
            yield found
        finally:
            if not _joined:
                _end_at_once(ray._private.worker._global_node)
            ray.shutdown()


def _check_address(address: str) -> None:
    """Refuse an address at which nothing listens. Ray itself would try it for many minutes.

    Raises:
        UsageError: names the address.
    """
    found = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    named = f"--address {address}" if found in ("", address) else f"--address {address}, RAY_ADDRESS {found}"
    if found.startswith("ray://"):
        raise UsageError(
            f"{named}: trials are followed from a node of the cluster; start the command there, with --address auto"
        )
    host, colon, port = found.rpartition(":")
    if not (colon and port.isdigit()):
        return  # Ray finds the cluster by itself
    try:
        socket.create_connection((host.strip("[]"), int(port)), JOIN_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"{named}: cannot join a Ray cluster: {reason}; check that its head runs and uses this port"
        ) from None


@contextlib.contextmanager
def _as_refusal(address: str | None) -> Iterator[None]:
    """Turn any error of starting or joining Ray, which may have any type, into a refusal.

    Raises:
        UsageError: names the reason.
    """
    try:
        yield
    except Exception as error:
        reason = textwrap.shorten(str(error) or type(error).__name__, 400)
        if address is not None:
            # A wrong token is told in Ray's log alone.
            token = "; if its head runs, ~/.ray/auth_token has to be the same there and here"
            hint = token if reason.startswith("Failed to connect") else ""
            raise UsageError(f"--address {address}: cannot join a Ray cluster: {reason}{hint}") from None
        logs = _own and _own / "session_latest" / "logs"
        raise scratch.KeepFolder(f"Ray does not start on this machine: {reason} (its logs: {logs})") from None


def _end_at_once(node: Any) -> None:
    """Make the shutdown of an embedded cluster kill Ray's processes at once.

    They ignore SIGTERM (see `_deaf_to_sigterm`), which Ray would send first and then wait a second per process. The
    raylet keeps its second, in which it ends its workers.
    """
    end = node._kill_process_type
    node._kill_process_type = lambda kind, **how: end(kind, **{**how, "allow_graceful": kind == "raylet"})


@contextlib.contextmanager
def _deaf_to_sigterm() -> Iterator[None]:
    """Block SIGTERM in processes that are started inside the block. Ray's own processes ignore Ctrl-C likewise.

    A batch system sends SIGTERM to all processes of a job at once. If Ray's processes ended before this one, they would
    end it, too, before the running trials had their records.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _private() -> Iterator[dict[str, Any]]:
    """Yield the options of an embedded cluster.

    Whoever reaches a Ray cluster can run code in it. So this one listens on loopback only, has no dashboard, and
    requires a token (Ray's default here) that only its own processes know.
    """
    global _own
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # Ray reads it once per process
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = False  # Ray's setting for macOS and Windows: loopback only
    paths = [str(HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(paths), **_VARIABLES}}
    try:
        with scratch.folder() as _own, _without_servers():
            # Ray's count of cores may differ from that of `describe`, for which trials are planned.
            yield {
                "include_dashboard": False, "object_store_memory": 2**28, "runtime_env": environment,
                "num_cpus": describe()["cores"], "_temp_dir": str(_own),
                "_plasma_directory": None if scratch.shared_memory() else str(_own.parent),
            }  # fmt: skip
    finally:
        _own = None
        ray._private.ray_constants.ENABLE_RAY_CLUSTER = True


@contextlib.contextmanager
def _without_servers() -> Iterator[None]:
    """Make Ray start neither the server of its dashboard, nor its monitor of logs, nor its autoscaler.

    Nobody asks them anything: the dashboard is off, the log of a trial is a file of the run, and this cluster stays as
    it is. Each is a Python process; without the first two a start of Ray takes a quarter less CPU time, and the third
    takes about 0.4 s.
    """
    node: Any = ray._private.node.Node
    servers = ("start_api_server", "start_log_monitor", "start_monitor")
    before = {name: getattr(node, name) for name in servers}
    for name in servers:
        setattr(node, name, lambda *arguments, **options: None)
    try:
        yield
    finally:
        for name, start in before.items():
            setattr(node, name, start)


@contextlib.contextmanager
def _shipped() -> Iterator[dict[str, Any]]:
    """Yield the options for joining a cluster. Its workers get this copy of the project, not one installed there."""
    with scratch.temporary("code-") as folder:
        for room in ROOMS:
            shutil.copytree(HOME / room, Path(folder, room), ignore=shutil.ignore_patterns("__pycache__", "releases"))
        passed = ("PYTHONPATH", CACHE_VARIABLE, *PUBLIC_VARIABLES)
        variables = {name: value for name, value in os.environ.items() if name in passed}
        if commit := describe()["git_commit"]:  # because the copy is no git checkout
            variables[COMMIT_VARIABLE] = commit
        yield {"runtime_env": {"working_dir": folder, "env_vars": {**variables, **_VARIABLES}}}


def joined() -> bool:
    """Return whether the cluster was started by others, perhaps on several machines."""
    return _joined


def own_folder() -> Path | None:
    """Return the folder of an embedded cluster; None in one that others started."""
    return _own


def nodes() -> list[Node]:
    """Return the live nodes that have a CPU; the head of a cluster often has none."""
    nodes = []
    for has in (node["Resources"] for node in live().values() if node["Resources"].get("CPU")):
        kind = next((name.removeprefix(KIND) for name in has if name.startswith(KIND)), None)
        nodes.append(Node(int(has.get("CPU", 0)), int(has.get("GPU", 0)), kind))
    return nodes


def several_machines() -> bool:
    """Return whether the cluster has other machines than this one, including a head without a CPU."""
    return _joined and len(live()) > 1


def live(gpus: int = 0) -> dict[str, dict[str, Any]]:
    """Return Ray's description of every live node by address; with `gpus`, of nodes that can hold such trials only."""
    return {
        f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}": node
        for node in ray.nodes()
        if node["Alive"] and (not gpus or (node["Resources"].get("CPU") and node["Resources"].get("GPU", 0) >= gpus))
    }


def known_nodes() -> dict[str, tuple[str, str]]:
    """Return (name, address) of each live node by Ray's id of it, if others started the cluster; else none."""
    if not _joined:
        return {}
    return {
        node["NodeID"]: (str(node.get("NodeManagerHostname", "")), str(node["NodeManagerAddress"]))
        for node in live().values()
    }


def ended_nodes() -> dict[str, str]:
    """Return why each node was ended, by Ray's id of it, as Ray says it; without those that were lost."""
    lost = (0, 2)  # Ray's numbers for a node that lives, and for an end that nobody asked for
    dead = [node for node in ray.nodes() if not node["Alive"]]
    return {
        node["NodeID"]: str(node.get("DeathReasonMessage") or "it was ended").rstrip(".")
        for node in dead if node.get("DeathReason", 2) not in lost
    }  # fmt: skip


def gcs_address() -> str:
    """Return the address at which nodes join the cluster."""
    return str(ray.get_runtime_context().gcs_address)


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Silence Ray's loggers. Tune prints a line about failed trials at any verbosity; the run's own view shows more."""
    loggers = [logging.getLogger(name) for name in ("ray", "ray.tune", "ray.tune.tune", "ray.train")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
