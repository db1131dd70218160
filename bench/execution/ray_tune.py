"""Ray Tune runs jobs, one worker process each. This module knows devices and processes, and nothing of models.

The only module that imports Ray. Facts behind the settings, seen with Ray 2.60: one bundle with all of a trial's GPUs
(two bundles show the trial one GPU); actors are used again, which saves a second a trial and lets nothing leak, as each
job has a process of its own; no `metric=` (one trial without the key ends the run); a request no node can satisfy waits
for ever, so it is refused before, and given up when a node is lost.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.core import CACHE_VARIABLE, COMMIT_VARIABLE, ROOMS, StorageLost, UsageError, describe
from bench.execution import gpu_memory, scratch, supervisor
from bench.execution.supervisor import End, Limits
from bench.execution.worker_process import function

_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_prestart_worker_first_driver": "0",  # workers with another environment than trials have: none would be used
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # nobody restores Tune's state: a run is resumed from its records
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune's own turns Ctrl-C into a normal end
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "PYTHONWARNINGS": "ignore",
}
os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})

import ray  # noqa: E402
from ray import tune  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

_VARIABLES = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # a GPU has the same number for Ray, CUDA and nvidia-smi
HOME = Path(__file__).resolve().parents[2]
GONE_SECONDS = 60.0
"""How long a node that is gone may still be listed as live."""
STRANDED_SECONDS = 600.0
"""How long jobs that no live node can hold wait for one: a cluster that grows by itself replaces a lost node. A task
waits as long for GPUs that other work holds."""
BUSY_SECONDS = 60.0
"""How long the GPUs of other nodes are waited for, once a node has had some to spare."""
LOOK_SECONDS = 2.0
JOIN_SECONDS = 10.0
"""How long the head of a cluster may take to answer."""


@dataclass(frozen=True)
class Job:
    """One trial to schedule.

    Attributes:
        name: unique, fit for a folder.
        entry: "module:function", called in the worker as function(payload, emit).
        payload: what the function gets; plain data.
        log: file that takes the worker's output.
        cpus, gpus: whole devices, all on one node.
        limits: after which an attempt is ended.
    """

    name: str
    entry: str
    payload: dict[str, Any]
    log: str
    cpus: int
    gpus: int = 0
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Event:
    """Something that happened to a job: an attempt "started"; it sent a "message", `data`; it is "retried"; it "ended".
    The last two say in `end` how the attempt ended. "waits": no live node can hold it, nor any other that is left."""

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
_joined = False  # a cluster that others started, perhaps of several machines
_own: Path | None = None  # the folder of an embedded cluster
_followed: dict[str, _Follower] = {}  # callbacks are pickled with the experiment, a live display cannot be


@contextlib.contextmanager
def cluster(address: str | None) -> Iterator[list[Node]]:
    """Join the cluster at `address`, or start an embedded one that nobody else can join; yields its live nodes.

    Raises:
        UsageError: no cluster to join there, or one with another Ray or Python; or this machine cannot start one.
    """
    if address is not None:
        _check_address(address)
    global _joined
    _joined = address is not None
    with _shipped() if _joined else _private() as options:
        with _as_refusal(address), _deaf_to_sigterm():
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **options)
        # Ray prints a screenful for each dead worker, past `log_to_driver`; the run says it in a line, and has the log.
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
    """Refuse an address at which nothing listens, which Ray itself asks again for many minutes.

    Raises:
        UsageError: naming it.
    """
    found = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    named = f"--address {address}" if found in ("", address) else f"--address {address}, RAY_ADDRESS {found}"
    if found.startswith("ray://"):
        raise UsageError(f"{named}: trials are followed from a node of the cluster; run there, --address auto")
    host, colon, port = found.rpartition(":")
    if not (colon and port.isdigit()):
        return  # Ray looks for it by itself
    try:
        socket.create_connection((host.strip("[]"), int(port)), JOIN_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{named}: no Ray cluster joined: {reason}; is its head up, and is this its port?") from None


@contextlib.contextmanager
def _as_refusal(address: str | None) -> Iterator[None]:
    """Make whatever keeps Ray from starting, or from being joined, a refusal. It raises errors of any type."""
    try:
        yield
    except Exception as error:
        reason = textwrap.shorten(str(error) or type(error).__name__, 400)
        if address is not None:
            raise UsageError(f"--address {address}: no Ray cluster joined: {reason}") from None
        logs = _own and _own / "session_latest" / "logs"
        raise scratch.KeepFolder(f"Ray does not start on this machine: {reason} (its logs: {logs})") from None


def _end_at_once(node: Any) -> None:
    """Let the shutdown of an embedded cluster kill Ray's processes, which are deaf to SIGTERM: it would send that first
    and wait a second for each, one after another. The raylet keeps its second, in which it ends its workers."""
    end = node._kill_process_type
    node._kill_process_type = lambda kind, **how: end(kind, **{**how, "allow_graceful": kind == "raylet"})


@contextlib.contextmanager
def _deaf_to_sigterm() -> Iterator[None]:
    """Processes started meanwhile never hear SIGTERM, as Ray's own never hear Ctrl-C.

    A batch system sends it to all processes of a job at once; where Ray's was quicker to end than this one, it took
    this one with it, before the running trials had their records.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _private() -> Iterator[dict[str, Any]]:
    """Options of an embedded cluster. Whoever reaches a Ray cluster can run code in it, so this one listens on loopback
    alone, has no dashboard, and asks for a token (Ray's default here) that only its own processes know."""
    global _own
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # read once in the life of a process
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = False  # as Ray has it on macOS and Windows: loopback
    paths = [str(HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(paths), **_VARIABLES}}
    try:
        with scratch.folder() as _own:
            # Of the cores Ray counts all, or what a container may use; trials are planned for what `describe` counts.
            yield {
                "include_dashboard": False, "object_store_memory": 2**28, "runtime_env": environment,
                "num_cpus": describe()["cores"], "_temp_dir": str(_own),
                "_plasma_directory": None if scratch.shared_memory() else str(_own.parent),
            }  # fmt: skip
    finally:
        _own = None
        ray._private.ray_constants.ENABLE_RAY_CLUSTER = True


@contextlib.contextmanager
def _shipped() -> Iterator[dict[str, Any]]:
    """Options on joining a cluster: its workers get this very copy of the project, whatever is installed there."""
    with scratch.temporary("code-") as folder:
        for room in ROOMS:
            shutil.copytree(HOME / room, Path(folder, room), ignore=shutil.ignore_patterns("__pycache__", "releases"))
        variables = {name: value for name, value in os.environ.items() if name in ("PYTHONPATH", CACHE_VARIABLE)}
        if commit := describe()["git_commit"]:  # the copy is no checkout
            variables[COMMIT_VARIABLE] = commit
        yield {"runtime_env": {"working_dir": folder, "env_vars": {**variables, **_VARIABLES}}}


def _nodes() -> list[Node]:
    """Live nodes but those without a CPU, such as the head of many a cluster."""
    nodes = []
    for has in (node["Resources"] for node in _live().values() if node["Resources"].get("CPU")):
        kind = next((name.partition(":")[2] for name in has if name.startswith("accelerator_type:")), None)
        nodes.append(Node(int(has.get("CPU", 0)), int(has.get("GPU", 0)), kind))
    return nodes


def on_every_node(entry: str, *arguments: Any, gpus: int = 0) -> dict[str, Any]:
    """Run "module:function" on each live node, and return its plain answers by the node's address.

    It asks for no CPU, so that it waits for none. A node that leaves the cluster meanwhile is left out. With `gpus` it
    runs in workers that hold so many, on the nodes that have them; where other work holds them, the node is left out.

    Raises:
        UsageError: a live node does not take the task or cannot run the project, or no node had GPUs to spare.
    """
    task = ray.remote(num_cpus=0, num_gpus=gpus, max_retries=0)(_resolve)
    deadline: float | None = None
    answers: dict[str, Any] = {}
    busy: set[str] = set()
    while left := {address: node for address, node in _live(gpus).items() if address not in busy | {*answers}}:
        asked = {}
        for address, node in left.items():
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked[address] = task.options(scheduling_strategy=there).remote(os.getcwd(), entry, *arguments)
        if gpus:
            busy |= _called_off(asked, BUSY_SECONDS if answers else STRANDED_SECONDS)
        for address in [address for address in asked if address not in busy]:
            try:
                answers[address] = _answer(address, asked[address])
            except ray.exceptions.RayTaskError:
                raise  # the function's own
            except ray.exceptions.RayError as error:
                deadline = deadline or time.monotonic() + GONE_SECONDS
                if time.monotonic() > deadline:
                    raise UsageError(f"node {address} takes no task: {str(error).splitlines()[0]}") from None
                time.sleep(0.5)
    if busy and not answers:
        raise UsageError(
            f"no node has had {gpus} free GPU(s) for {STRANDED_SECONDS / 60:g} minutes: other work of this cluster "
            "holds them; wait for it, or ask for fewer with --gpus-per-trial"
        )
    return answers


def _called_off(asked: dict[str, Any], patience: float) -> set[str]:
    """The nodes whose tasks still wait for GPUs `BUSY_SECONDS` after the first was done, or `patience` when none is."""
    done, waiting = ray.wait([*asked.values()], timeout=patience)
    if done and waiting:
        waiting = ray.wait(waiting, num_returns=len(waiting), timeout=BUSY_SECONDS)[1]
    for task in waiting:
        ray.cancel(task)
    return {address for address, task in asked.items() if task in waiting}


def _answer(address: str, task: Any) -> Any:
    """What a task on a node returns or raises; what is not installed there is reported in one line."""
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        # The second is Ray's word for a function of ours that it could not unpickle there.
        if not isinstance(error.cause, ImportError) and "function failed to import on the worker" not in str(error):
            raise
        raise UsageError(
            f"node {address} cannot run the project: {str(error).strip().splitlines()[-1]}; "
            "install the same locked environment there (make venv CUDA=1)"
        ) from None


def several_machines() -> bool:
    """Whether the cluster has other machines than this one, a head without a CPU among them."""
    return _joined and len(_live()) > 1


def _live(gpus: int = 0) -> dict[str, dict[str, Any]]:
    """Ray's description of every live node, by its address; with `gpus` of those that can hold trials with so many."""
    return {
        f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}": node
        for node in ray.nodes()
        if node["Alive"] and (not gpus or (node["Resources"].get("CPU") and node["Resources"].get("GPU", 0) >= gpus))
    }


def _resolve(folder: str, entry: str, *arguments: Any) -> Any:
    if os.path.isdir(folder):
        os.chdir(folder)
    return function(entry)(*arguments)


def run(jobs: Sequence[Job], *, shared: Path, max_concurrent: int | None, listener: Listener, retries: int = 0) -> None:
    """Run all jobs to their end; one that fails takes nobody with it.

    Args:
        jobs: in the order in which they should start.
        shared: a folder to make for Tune's own files, on a path all nodes share; removed at the end. Not used in an
            embedded cluster, so that Tune does not fail with a full disk.
        max_concurrent: jobs at a time, None for as many as fit.
        listener: called in this process with every event.
        retries: further attempts at a job whose attempt ended in a way that may pass (see `End.may_pass`).

    Raises:
        KeyboardInterrupt: Ctrl-C; running workers end with the cluster.
        StorageLost: Tune has no place for its own files.
    """
    try:
        store = shared.resolve() if _own is None else Path(tempfile.mkdtemp(prefix="tune-", dir=_own.parent))
    except OSError as error:
        raise StorageLost(f"{_own}: cannot be written any more: {error.strerror}") from error
    experiment = f"trials-{os.getpid()}"
    follower = _followed[experiment] = _Follower(jobs, listener)

    by_name = {job.name: job for job in jobs}
    work = tune.with_parameters(_work, jobs={job.name: asdict(job) for job in jobs}, folder=os.getcwd())

    def bundle(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        job = by_name[config["job"]]
        return tune.PlacementGroupFactory([{"CPU": job.cpus, "GPU": job.gpus}], strategy="STRICT_PACK")

    def name_of(trial: Any) -> str:
        return trial.config["job"]

    tuner = tune.Tuner(
        tune.with_resources(work, bundle),
        param_space={"job": tune.grid_search(list(by_name))},  # names alone: Tune copies all of it for each trial
        tune_config=tune.TuneConfig(
            max_concurrent_trials=max_concurrent,
            trial_name_creator=name_of,
            trial_dirname_creator=name_of,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=experiment,
            storage_path=str(store),
            verbose=0,
            callbacks=[_Relay(experiment)],
            stop=_Stranded(experiment),
            failure_config=tune.FailureConfig(max_failures=retries),
        ),
    )
    try:
        with _silenced():
            tuner.fit()
        follower.give_up()
    finally:
        _followed.pop(experiment, None)
        shutil.rmtree(store, ignore_errors=True)


def _work(config: dict[str, Any], jobs: dict[str, dict[str, Any]], folder: str) -> None:
    """In the worker that holds the devices: watch over the process that runs the job."""
    job = jobs[config["job"]]
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # what Ray's processes do not hear, a trial does
    tune.report({"message": {"event": "started", "pid": os.getpid()}})
    if job["gpus"]:
        gpu_memory.await_memory(job["log"])

    def emit(event: dict[str, Any]) -> None:
        tune.report({"message": event})

    end = supervisor.run(job["entry"], job["payload"], job["log"], Limits(**job["limits"]), emit, folder)
    tune.report({"end": asdict(end)})
    if end.may_pass:
        raise RuntimeError(end.message)  # the one failure that Tune sees of a job, so the one that it retries


class _Relay(tune.Callback):
    """Turns Tune's callbacks into events. Holds a key only, because Tune pickles it."""

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment
        self._ends: dict[str, End] = {}

    def _emit(self, trial: Any, kind: str, **what: Any) -> None:
        if follower := _followed.get(self._experiment):
            follower(Event(kind, trial.config["job"], **what))

    def _end(self, trial: Any) -> End:
        # Tune's callbacks for a failed trial do not have the error yet.
        return self._ends.pop(trial.trial_id, End("lost", "its node or its worker was lost"))

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
        self._emit(trial, "retried", end=self._end(trial))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._emit(trial, "ended", end=self._end(trial))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._emit(trial, "ended", end=self._end(trial))


class _Stranded(tune.Stopper):
    """Ends a run when no live node can hold what is left of it, for which Tune would wait for ever."""

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        follower = _followed.get(self._experiment)
        return follower is not None and follower.stranded()


class _Follower:
    """Passes events on and knows which jobs are left and which run."""

    def __init__(self, jobs: Sequence[Job], listener: Listener) -> None:
        self._left, self._listener = {job.name: job for job in jobs}, listener
        self._running: set[str] = set()
        self._looked = time.monotonic()
        self._since: float | None = None

    def __call__(self, event: Event) -> None:
        if event.kind == "started":
            self._running.add(event.job)
        elif event.kind in ("retried", "ended"):
            self._running.discard(event.job)
        if event.kind == "ended":
            self._left.pop(event.job, None)
        self._listener(event)

    def stranded(self) -> bool:
        """Whether nothing has run, and no live node could hold any job that is left, for `STRANDED_SECONDS`."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return False
        self._looked = now
        left = self._left.values()
        if self._running or not left or any(n.cpus >= j.cpus and n.gpus >= j.gpus for n in _nodes() for j in left):
            self._since = None
        elif self._since is None:
            self._since = now
            first = next(iter(left))
            self._listener(Event("waits", first.name, end=_unheld(first)))
        return self._since is not None and now - self._since >= STRANDED_SECONDS

    def give_up(self) -> None:
        """End what was left when Tune came to its end."""
        for job in list(self._left.values()):
            self(Event("ended", job.name, end=_unheld(job)))


def _unheld(job: Job) -> End:
    return End("lost", f"no node that is left has the {job.cpus} CPUs and {job.gpus} GPUs of a trial")


def empty_trials(number: int, reuse_actors: bool = False) -> None:
    """Ray's own floor, which `bench.perf.schedule` compares with: Tune trials that return at once, nothing of ours
    between. To be called inside `cluster`."""

    def nothing(config: dict[str, Any]) -> None:
        pass

    with scratch.temporary("tune-") as folder, _silenced(), contextlib.redirect_stdout(io.StringIO()):
        tune.Tuner(
            tune.with_resources(nothing, {"CPU": 1}),
            param_space={"number": tune.grid_search(list(range(number)))},
            tune_config=tune.TuneConfig(reuse_actors=reuse_actors),
            run_config=tune.RunConfig(name="empty", storage_path=folder, verbose=0),
        ).fit()


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Tune prints one line about failed trials whatever its verbosity; the run's own view tells more."""
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
    """Ray's logger "tensorboard", "mlflow" or "wandb", ready to follow trials (see bench.execution.tracking).

    MLflow's keeps files beside the runs in `folder`, or where $MLFLOW_TRACKING_URI says.

    Raises:
        UsageError: its package is not installed, or its service refuses.
    """
    made: Any
    try:
        if name == "mlflow":
            from ray.air.integrations.mlflow import MLflowLoggerCallback

            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # else MLflow 3 wants a database
            store = os.environ.get("MLFLOW_TRACKING_URI") or (folder.resolve().parents[1] / "mlruns").as_uri()
            made = MLflowLoggerCallback(store, experiment_name=title)
        elif name == "wandb":
            from ray.air.integrations.wandb import WandbLoggerCallback

            made = WandbLoggerCallback(project=os.environ.get("WANDB_PROJECT_NAME", "segmentation-bench"), group=title)
        else:
            from ray.tune.logger import TBXLoggerCallback

            made = TBXLoggerCallback()
        made.setup()
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"--track {name}: {reason}") from None
    return made
