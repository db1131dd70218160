"""Run jobs with Ray Tune, one process per job. This module knows devices and processes, and nothing of models.

It, `ray_hosts` and `ray_holds` are the only modules of the room that import Ray. The settings rest on these facts,
seen with Ray 2.60:

- A trial has one bundle with all its GPUs of a host. With two bundles it sees one GPU.
- Actors are reused, which saves a second per trial. Nothing leaks, because each job has a separate process.
- There is no `metric=`, because one trial without that key would end the run.
- A request that no node can satisfy waits for ever. So it is refused beforehand, and given up if a node is lost.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import platform
import secrets
import shutil
import signal
import socket
import tempfile
import textwrap
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.core import CACHE_VARIABLE, COMMIT_VARIABLE, ROOMS, StorageLost, UsageError, describe
from bench.execution import gpu_memory, head_watch, scratch, supervisor, uploads
from bench.execution.gauges import Gauges
from bench.execution.supervisor import End, Limits
from bench.execution.worker_process import function
from bench.storage import PUBLIC_VARIABLES, Address, Store
from results import counted, counted_devices

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
from ray import tune  # noqa: E402
from ray.tune.progress_reporter import TrialProgressCallback  # noqa: E402
from ray.tune.schedulers import FIFOScheduler  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402
from ray.util.metrics import Gauge  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

from bench.execution import ray_holds, ray_hosts  # noqa: E402

_VARIABLES = {
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # so that Ray, CUDA and nvidia-smi number the GPUs alike
    # Ray starts its workers at nice 15. A trial would give way to every other process: beside one busy process per
    # core it got 3 % of the time, and its speed measured its neighbours.
    "RAY_worker_niceness": "0",
}
HOME = Path(__file__).resolve().parents[2]
GONE_SECONDS = 60.0
"""Longest time that a node that is gone may still be listed as live."""
STRANDED_SECONDS = 600.0
"""Longest wait of jobs for a node that can hold them, because an autoscaling cluster replaces a lost node.

It is also the longest wait of a task for GPUs that other work holds."""
BUSY_SECONDS = 60.0
"""Longest wait for GPUs of other nodes, once one node had free GPUs."""
ANSWER_SECONDS = 300.0
"""Longest wait for the answer of a node that is asked something."""
LOOK_SECONDS = 2.0
"""Shortest time between two looks at the live nodes."""
_KIND = "accelerator_type:"
JOIN_SECONDS = 10.0
"""Longest wait for an answer of the head of a cluster."""


@dataclass(frozen=True)
class Job:
    """One trial to schedule.

    Attributes:
        name: unique, and valid as the name of a folder.
        entry: "module:function", called in a separate process as function(payload, emit).
        payload: argument of the function, plain data, or a function that makes it once the job is about to start.
        log: file to which the output of the process is appended.
        cpus: number of CPUs, of each host.
        gpus: number of whole GPUs, on the same node, of each host.
        limits: time limits of an attempt.
        accelerator: kind of its GPUs, as the cluster names it; None for any. On a cluster of this run's own, which is
            one machine, the plan has checked it.
        hosts: number of nodes that run it together, a process on each.
        address: where the files of a trial of a run in an object store belong; None for its folder, which all see.
        warm_up: what its process finds imported, see `supervisor.run`.
    """

    name: str
    entry: str
    payload: dict[str, Any] | Callable[[], dict[str, Any]]
    log: str
    cpus: int
    gpus: int = 0
    limits: Limits = field(default_factory=Limits)
    accelerator: str | None = None
    hosts: int = 1
    address: str | None = None
    warm_up: tuple[str, ...] = ()


class _Task:
    """A job as Tune carries it, in the config of a trial.

    Tune copies configs often. So this is never copied.

    Attributes:
        name: of the job.
        hosts: number of nodes that run it together.
        bundle: what it takes of each of them.
        folder: working directory of the job, if the machine has it.
        elsewhere: whether a job that is told to end may go on on another machine.
        job: the job with its payload; None once its worker has taken it.
    """

    def __init__(self, job: Job) -> None:
        payload = job.payload() if callable(job.payload) else job.payload
        # Ray gives each node with GPUs one unit of a resource with the name of their kind. All its trials share it.
        kind = {f"{_KIND}{job.accelerator}": 0.001} if job.accelerator and _joined else {}
        self.name, self.hosts, self.bundle = job.name, job.hosts, {"CPU": job.cpus, "GPU": job.gpus, **kind}
        self.folder, self.elsewhere = os.getcwd(), _joined
        self.job: Job | None = replace(job, payload=payload)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Task:
        return self

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Event:
    """Something that happened to a job.

    Attributes:
        kind: an attempt "started", or sent a "message"; the job is "retried", or has "ended"; or it "waits", because no
            live node can hold any job that is left. Of the cluster: a node has "left" it, or "joined" it; it is
            "headless", as long as its head does not answer, of which another thread tells. A host is "unwritable" if it
            cannot write the folder of the job, and "writable" again later; no job is started there meanwhile.
        job: name of the job; empty for an event of the cluster.
        data: of a message; of a node its "name" and "address", and the "cluster" that it may join again; "why" it was
            ended, empty if it was lost; whether it is there "again".
        end: how the attempt ended, for "retried" and "ended"; why the job waits, for "waits".
    """

    kind: str
    job: str
    data: dict[str, Any] = field(default_factory=dict)
    end: End | None = None


@dataclass(frozen=True)
class Node:
    """A live machine of the cluster that takes trials."""

    cpus: int
    gpus: int
    accelerator: str | None


Listener = Callable[[Event], None]
Ask = Callable[[], Sequence[str]]
"""A function that names the jobs to run next; none at the end."""
Tick = Callable[[], None]
Lasts = Callable[[str, float], None]
_joined = False  # whether the cluster was started by others, perhaps on several machines
_own: Path | None = None  # the folder of an embedded cluster
_followed: dict[str, _Follower] = {}  # by experiment: Tune pickles callbacks, and a live display cannot be pickled


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
            nodes = _nodes()
            if not nodes:
                raise UsageError(f"--address {address}: no node of the cluster has a CPU to run trials on")
            yield nodes
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


def gauges(run: str, finished: int) -> Gauges | None:
    """Return what shows a run to Prometheus; None on a cluster of this run's own, which has no exporter.

    Args:
        run: its name.
        finished: number of trials that were complete before this session.
    """
    return Gauges(run, finished, Gauge) if _own is None and ray.is_initialized() else None


def _nodes() -> list[Node]:
    """Return the live nodes that have a CPU; the head of a cluster often has none."""
    nodes = []
    for has in (node["Resources"] for node in _live().values() if node["Resources"].get("CPU")):
        kind = next((name.removeprefix(_KIND) for name in has if name.startswith(_KIND)), None)
        nodes.append(Node(int(has.get("CPU", 0)), int(has.get("GPU", 0)), kind))
    return nodes


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
    while left := {address: node for address, node in _live(gpus).items() if address not in busy | {*answers}}:
        asked = {
            address: task.options(scheduling_strategy=_on(node)).remote(os.getcwd(), entry, *arguments)
            for address, node in left.items()
        }
        if gpus:
            busy |= _called_off(asked, BUSY_SECONDS if answers else STRANDED_SECONDS)
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
            f"no node has had {counted(gpus, 'free GPU')} for {STRANDED_SECONDS / 60:g} minutes: other work of this "
            "cluster holds them; wait for it, or ask for fewer with --gpus-per-trial"
        )
    return answers


def _on(node: dict[str, Any]) -> NodeAffinitySchedulingStrategy:
    """Return the strategy that runs a task on a node and nowhere else."""
    return NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)


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
    empty = ray.remote(num_cpus=0, max_retries=0)(_nothing).options(scheduling_strategy=_on(node))
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


def several_machines() -> bool:
    """Return whether the cluster has other machines than this one, including a head without a CPU."""
    return _joined and len(_live()) > 1


def _live(gpus: int = 0) -> dict[str, dict[str, Any]]:
    """Return Ray's description of every live node by address; with `gpus`, of nodes that can hold such trials only."""
    return {
        f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}": node
        for node in ray.nodes()
        if node["Alive"] and (not gpus or (node["Resources"].get("CPU") and node["Resources"].get("GPU", 0) >= gpus))
    }


def _known_nodes() -> dict[str, tuple[str, str]]:
    """Return (name, address) of each live node by Ray's id of it, if others started the cluster; else none."""
    if not _joined:
        return {}
    return {
        node["NodeID"]: (str(node.get("NodeManagerHostname", "")), str(node["NodeManagerAddress"]))
        for node in _live().values()
    }


def _ended_nodes() -> dict[str, str]:
    """Return why each node was ended, by Ray's id of it, as Ray says it; without those that were lost."""
    lost = (0, 2)  # Ray's numbers for a node that lives, and for an end that nobody asked for
    dead = [node for node in ray.nodes() if not node["Alive"]]
    return {
        node["NodeID"]: str(node.get("DeathReasonMessage") or "it was ended").rstrip(".")
        for node in dead if node.get("DeathReason", 2) not in lost
    }  # fmt: skip


def _gcs_address() -> str:
    """Return the address at which nodes join the cluster."""
    return str(ray.get_runtime_context().gcs_address)


def _resolve(folder: str, entry: str, *arguments: Any) -> Any:
    """Call "module:function" in a folder, if this node has it."""
    if os.path.isdir(folder):
        os.chdir(folder)
    return function(entry)(*arguments)


def run(
    jobs: Sequence[Job],
    *,
    shared: Path | Address,
    max_concurrent: int | None,
    grows: bool = False,
    listener: Listener,
    retries: int = 0,
    ask: Ask | None = None,
    tick: Tick | None = None,
) -> None:
    """Run all jobs, or those that are asked for, to their end. A job that fails does not affect the others.

    Args:
        jobs: in the order in which they should start; with `ask`, all that it may name.
        shared: folder for Tune's own files, on a path that all nodes share or in an object store; it is made, and
            removed at the end. An embedded cluster does not use it, so that a full disk does not make Tune fail.
        max_concurrent: jobs at a time; None for as many as fit.
        grows: whether a cluster that others started may run more than that, as many as fit. All jobs then wait for
            devices, up to TUNE_MAX_PENDING_TRIALS_PG, so that its autoscaler knows of them.
        listener: called in this process with every event.
        retries: further attempts at a job that ended in a way that may not repeat (see `End.may_pass`).
        ask: names the jobs to run next, in their order; it is called again once all of them have ended, until it names
            none. None to run all.
        tick: called in this process every `LOOK_SECONDS` or so, also while nothing happens.

    Raises:
        KeyboardInterrupt: Ctrl-C. Running workers end with the cluster.
        StorageLost: Tune has no place for its own files.
    """
    store = _tunes_own(shared)
    experiment = f"trials-{os.getpid()}"
    follower = _followed[experiment] = _Follower(jobs, listener, ask, tick)

    def bundle(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        task: _Task = config["job"]
        return tune.PlacementGroupFactory(
            [task.bundle] * task.hosts, strategy="STRICT_SPREAD" if task.hosts > 1 else "STRICT_PACK"
        )

    tuner = tune.Tuner(
        tune.with_resources(_work, bundle),
        tune_config=tune.TuneConfig(
            search_alg=_Asked(experiment),
            scheduler=_Forgetting(),
            num_samples=-1,
            max_concurrent_trials=None if grows and _joined else max_concurrent,
            trial_name_creator=_name_of,
            trial_dirname_creator=_name_of,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=experiment,
            storage_path=store.for_ray if isinstance(store, Address) else str(store),
            verbose=0,
            callbacks=[_Relay(experiment)],
            stop=_Stranded(experiment),
            failure_config=tune.FailureConfig(max_failures=retries),
        ),
    )
    try:
        with _silenced(), _head_watched(listener):
            tuner.fit()
        follower.give_up()
    finally:
        _followed.pop(experiment, None)
        follower.close()
        if isinstance(store, Path):
            shutil.rmtree(store, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                Store(store).remove_all()


@contextlib.contextmanager
def _head_watched(listener: Listener) -> Iterator[None]:
    """Tell when the head of a cluster that others started does not answer."""
    if not _joined:
        yield
        return
    address = _gcs_address()
    with head_watch.watched(address, lambda: listener(Event("headless", "", {"cluster": address}))):
        yield


def _tunes_own(shared: Path | Address) -> Path | Address:
    """Return the place of Tune's own files.

    Raises:
        StorageLost: there is no space on this machine.
    """
    try:
        if _own is not None:
            return Path(tempfile.mkdtemp(prefix="tune-", dir=_own.parent))
    except OSError as error:
        raise StorageLost(f"{_own}: can no longer be written: {error.strerror}") from error
    return shared.resolve() if isinstance(shared, Path) else shared


def _name_of(trial: Any) -> str:
    """Return the name of the job of a trial of Tune."""
    task: _Task = trial.config["job"]
    return task.name


def _work(config: dict[str, Any]) -> None:
    """Supervise the process that runs the job, from the worker that holds its devices."""
    task: _Task = config["job"]
    what, task.job = task.job, None  # every result carries the config
    assert what is not None
    job = asdict(what)
    ray_hosts.ignore_sigterm()
    tune.report({"message": {"event": "started", "pid": os.getpid(), "host": platform.node()}})

    def emit(event: dict[str, Any]) -> None:
        tune.report({"message": event})

    def supervise(here: dict[str, Any], heard: Callable[[dict[str, Any]], None]) -> End:
        what = here["entry"], here["payload"], here["log"], Limits(**here["limits"])
        if here["hosts"] > 1:
            return ray_hosts.run(ray_hosts.Work(*what, here["gpus"], task.folder), here["hosts"], here["cpus"], heard)
        if here["gpus"]:
            gpu_memory.await_memory(here["log"])
        return supervisor.run(*what, heard, task.folder, warm_up=here["warm_up"])

    if job["address"]:
        end = uploads.supervised(job, supervise, emit)
    elif task.elsewhere:
        end = ray_holds.guarded(job["log"], lambda: supervise(job, emit))
    else:  # the command would notice it by itself
        end = supervise(job, emit)
    if end.kind == "unwritable":
        emit(ray_holds.notice(end, job["log"]))
    tune.report({"end": asdict(end)})
    # Tune sees only these failures of a job, so it retries only these. It does not count the first kinds.
    if end.kind in ("preempted", "unwritable"):
        if task.elsewhere:
            raise ray.exceptions.RayActorError(error_msg=end.message, preempted=True)
    elif end.may_pass:
        raise RuntimeError(end.message)


LOST = "its node or its worker was lost"


def _lost(trial: Any) -> End:
    """Return the end of an attempt of which only Tune heard, with what Ray says of it."""
    try:
        # Tune appends each failure to this file of the driver before it calls back.
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    except (OSError, TypeError, ValueError):
        return End("lost", LOST)
    said = text.rpartition("Failure #")[2].partition("\n")[2]
    # Ray's message has a line of "name: value" per identifier of the worker. They are of no use to a reader.
    lines = [line for line in said.splitlines() if line and not line.startswith("\t")]
    return End("lost", f"{LOST}: {textwrap.shorten(' '.join(lines), 400)}" if lines else LOST)


class _Relay(TrialProgressCallback):
    """Turns Tune's callbacks into events. It holds only the key of its follower, because Tune pickles it.

    It stands in for Tune's own printer, which Tune adds otherwise. That one keeps three entries per trial, and prints a
    line, whatever its verbosity, for a trial that ends without a result.
    """

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment
        self._ends: dict[str, End] = {}

    def _emit(self, trial: Any, kind: str, **what: Any) -> None:
        if follower := _followed.get(self._experiment):
            follower(Event(kind, _name_of(trial), **what))

    def _end(self, trial: Any) -> End:
        return self._ends.pop(trial.trial_id, None) or _lost(trial)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._emit(trial, "started")

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if "end" in result:
            self._ends[trial.trial_id] = End(**result["end"])
        elif "message" in result:
            self._emit(trial, "message", data=result["message"])

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        # Tune retries what `_work` asks it to, and what is lost. A trial may die of the loss of its node a moment
        # before its worker does, and that end may even be reported.
        end = self._end(trial)
        self._emit(trial, "retried", end=end if end.may_pass else _lost(trial))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended(trial)

    def _ended(self, trial: Any) -> None:
        self._emit(trial, "ended", end=self._end(trial))


class _Asked(Searcher):
    """Gives Tune the jobs that are asked for. It holds only the key of its follower, because Tune pickles it."""

    def __init__(self, experiment: str) -> None:
        super().__init__()
        self._experiment = experiment

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        follower = _followed.get(self._experiment)
        name = follower.asked() if follower else ""
        if follower is None or not name:
            return self.FINISHED if name == "" else None
        return {"job": _Task(follower.jobs[name])}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass


class _Forgetting(FIFOScheduler):
    """Starts trials in their order, as Tune does by default, and makes Tune let go of those that have ended.

    Tune keeps every trial to the end of a run, some 20 kB each, writes all of them into its state, and makes a result
    of each. Nothing of that is used: the driver has heard how a trial ended, and its record is in the run's folder.
    """

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        # Tune calls this in each of its steps, between two events, when it is done with the trials that have ended.
        controller = tune_controller._tune_controller
        ended = controller._stopped_trials | controller._failed_trials
        if ended:
            trials = controller.get_trials()
            # The last one stays in this list: Tune would fill an empty one from its state at the end.
            trials[:] = [trial for trial in trials if trial not in ended] or trials[-1:]
            for held in (
                controller._stopped_trials,
                controller._failed_trials,
                controller._live_trials,
                controller._trials_to_cache,
            ):
                held.difference_update(ended)
            # Tune asks an actor to stop that never began, if another one was free before it, and keeps what it asked.
            actors = controller._actor_manager
            for actor in actors._pending_actors_to_enqueued_actor_tasks.keys() - actors._pending_actors_to_attrs.keys():
                del actors._pending_actors_to_enqueued_actor_tasks[actor]
        return super().choose_trial_to_run(tune_controller)


class _Stranded(tune.Stopper):
    """Ends a run if no live node can hold any job that is left; Tune would wait for ever."""

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        follower = _followed.get(self._experiment)
        return follower is not None and follower.stranded()


class _Follower:
    """Passes events on to the listener, and knows which jobs are left and which run."""

    def __init__(
        self, jobs: Sequence[Job], listener: Listener, ask: Ask | None = None, tick: Tick | None = None
    ) -> None:
        self.jobs, self._listener, self._ask = {job.name: job for job in jobs}, listener, ask
        self._tick = tick
        self._left = {} if ask else dict(self.jobs)
        self._queue = deque(self._left)
        self._running: set[str] = set()
        self._looked = time.monotonic()
        self._since: float | None = None
        self._there, self._gone = _known_nodes(), set[tuple[str, str]]()
        self._holds = ray_holds.Holds()

    def __call__(self, event: Event) -> None:
        if event.data.get("event") == "unwritable":
            job = self.jobs[event.job]
            if not self._holds.hold(event.data, {"CPU": job.cpus, "GPU": job.gpus}):
                return
            event = replace(event, kind="unwritable")
        if event.kind == "started":
            self._running.add(event.job)
        elif event.kind in ("retried", "ended"):
            self._running.discard(event.job)
        if event.kind == "ended":
            self._left.pop(event.job, None)
        self._listener(event)

    def asked(self) -> str | None:
        """Return the next job to start; None to wait for those that run, empty at the end."""
        if self._ask is not None and not self._queue and not self._left:
            self._queue = deque(self._ask())
            self._left = {name: self.jobs[name] for name in self._queue}
        if self._queue:
            return self._queue.popleft()
        return None if self._ask is not None and self._left else ""

    def stranded(self) -> bool:
        """Return whether, for `STRANDED_SECONDS`, nothing ran and no live node could hold any job that is left."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return False
        self._looked = now
        if self._tick:
            self._tick()
        self._look_at_nodes()
        for name in self._holds.freed():
            self._listener(Event("writable", "", {"name": name}))
        nodes = [] if self._running else _nodes()
        # One job of each kind, because thousands are alike.
        alike = {(job.cpus, job.gpus, job.accelerator, job.hosts): job for job in self._left.values()}
        if self._running or not alike or any(_placed(job, nodes) for job in alike.values()):
            self._since = None
        elif self._since is None:
            self._since = now
            first = next(iter(self._left.values()))
            self._listener(Event("waits", first.name, end=_unheld(first)))
        return self._since is not None and now - self._since >= STRANDED_SECONDS

    def _look_at_nodes(self) -> None:
        """Tell which nodes have left the cluster since the last look, and which have joined it."""
        now = _known_nodes()
        left = {one: self._there[one] for one in self._there if one not in now}
        joined = {one: now[one] for one in now if one not in self._there}
        ended = _ended_nodes() if left else {}
        for one, (name, address) in sorted(left.items(), key=lambda item: item[1]):
            why = {"cluster": _gcs_address(), "why": ended.get(one, "")}
            self._listener(Event("left", "", {"name": name, "address": address, **why}))
        for name, address in sorted(joined.values()):
            again = (name, address) in self._gone
            self._listener(Event("joined", "", {"name": name, "address": address, "again": again}))
        self._there, self._gone = now, (self._gone | {*left.values()}) - {*joined.values()}

    def close(self) -> None:
        """Let go of hosts that are held."""
        self._holds.close()

    def give_up(self) -> None:
        """End the jobs that are left after the end of Tune."""
        for job in list(self._left.values()):
            self(Event("ended", job.name, end=_unheld(job)))


def _holds(node: Node, job: Job) -> bool:
    """Return whether a node has what a job needs of each of its hosts."""
    kind = not (_joined and job.accelerator) or node.accelerator == job.accelerator
    return kind and node.cpus >= job.cpus and node.gpus >= job.gpus


def _placed(job: Job, nodes: Sequence[Node]) -> bool:
    """Return whether these nodes can hold a job."""
    return sum(_holds(node, job) for node in nodes) >= job.hosts


def _unheld(job: Job) -> End:
    """Return the end of a job that no live node can hold."""
    kind = f" ({job.accelerator})" if job.accelerator else ""
    if job.hosts > 1:
        each = f"{job.hosts} remaining nodes have the {counted_devices(job.cpus, job.gpus)}{kind} of a trial each"
        return End("lost", f"no {each}")
    return End("lost", f"no remaining node has the {counted_devices(job.cpus, job.gpus)}{kind} of a trial")


def empty_trials(
    number: int,
    reuse_actors: bool = False,
    *,
    cpus: int = 1,
    gpus: int = 0,
    at_a_time: int | None = None,
    shared: Path | None = None,
) -> None:
    """Run Tune trials that return at once, without code of this project between. Call it inside `cluster`.

    Their time is Ray's own overhead, with which `bench.perf.schedule` and `bench.perf.fleet` compare.

    Args:
        number: of trials.
        reuse_actors: as Tune's option.
        cpus: of each trial.
        gpus: of each trial.
        at_a_time: trials at a time; None for as many as fit.
        shared: a new folder for Tune's files that all nodes see; None for one of this machine.
    """

    def nothing(config: dict[str, Any]) -> None:
        pass

    place = scratch.temporary("tune-") if shared is None else contextlib.nullcontext(str(shared))
    with place as folder, _silenced(), contextlib.redirect_stdout(io.StringIO()):
        tune.Tuner(
            tune.with_resources(nothing, {"CPU": cpus, "GPU": gpus}),
            param_space={"number": tune.grid_search(list(range(number)))},
            tune_config=tune.TuneConfig(reuse_actors=reuse_actors, max_concurrent_trials=at_a_time),
            run_config=tune.RunConfig(name="empty", storage_path=folder, verbose=0),
        ).fit()
    if shared is not None:
        shutil.rmtree(shared, ignore_errors=True)


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
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


def tracker(name: str, title: str, folder: Path) -> Any:
    """Return Ray's logger "mlflow" or "wandb", ready for trials (see `bench.execution.tracking`).

    MLflow writes to $MLFLOW_TRACKING_URI if that is set, else to the folder mlruns beside the run's folder.

    Args:
        name: of the logger.
        title: of the run.
        folder: of the TensorBoard files, inside the run's folder, beside which MLflow writes.

    Raises:
        UsageError: its package is not installed, or its service refuses.
    """
    made: Any
    try:
        if name == "mlflow":
            from ray.air.integrations.mlflow import MLflowLoggerCallback

            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # else MLflow 3 requires a database
            store = os.environ.get("MLFLOW_TRACKING_URI") or (folder.resolve().parents[1] / "mlruns").as_uri()
            made = MLflowLoggerCallback(store, experiment_name=title)
        else:
            from ray.air.integrations.wandb import WandbLoggerCallback

            made = WandbLoggerCallback(project=os.environ.get("WANDB_PROJECT_NAME", "segmentation-bench"), group=title)
        made.setup()
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"--track {name}: {reason}") from None
    return made
