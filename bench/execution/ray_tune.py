"""Run jobs with Ray Tune, one process per job. This module knows devices and processes, and nothing of models.

The cluster is that of `ray_cluster`. The settings rest on these facts, seen with Ray 2.60:

- A trial has one bundle with all its GPUs of a host. With two bundles it sees one GPU.
- Actors are reused, which saves a second per trial. Nothing leaks, because each job has a separate process.
- There is no `metric=`, because one trial without that key would end the run.
- A request that no node can satisfy waits for ever. So it is refused beforehand, and given up if a node is lost.
"""

from __future__ import annotations

import contextlib
import io
import os
import platform
import shutil
import tempfile
import textwrap
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.execution import ray_cluster  # isort: skip (before Ray, whose environment it sets)

import ray
from ray import tune
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from bench.core import StorageLost
from bench.execution import gpu_memory, head_watch, ray_holds, ray_hosts, scratch, supervisor, uploads
from bench.execution.supervisor import End, Limits
from bench.storage import Address, Store
from results import counted_devices

STRANDED_SECONDS = 600.0
"""Longest wait of jobs for a node that can hold them, because an autoscaling cluster replaces a lost node."""
LOOK_SECONDS = 2.0
"""Shortest time between two looks at the live nodes."""


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
        kind = {f"{ray_cluster.KIND}{job.accelerator}": 0.001} if job.accelerator and ray_cluster.joined() else {}
        self.name, self.hosts, self.bundle = job.name, job.hosts, {"CPU": job.cpus, "GPU": job.gpus, **kind}
        self.folder, self.elsewhere = os.getcwd(), ray_cluster.joined()
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


Listener = Callable[[Event], None]
Ask = Callable[[], Sequence[str]]
"""A function that names the jobs to run next; none at the end."""
Tick = Callable[[], None]
_followed: dict[str, _Follower] = {}  # by experiment: Tune pickles callbacks, and a live display cannot be pickled


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
            max_concurrent_trials=None if grows and ray_cluster.joined() else max_concurrent,
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
        with ray_cluster.silenced(), _head_watched(listener):
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
    if not ray_cluster.joined():
        yield
        return
    address = ray_cluster.gcs_address()
    with head_watch.watched(address, lambda: listener(Event("headless", "", {"cluster": address}))):
        yield


def _tunes_own(shared: Path | Address) -> Path | Address:
    """Return the place of Tune's own files.

    Raises:
        StorageLost: there is no space on this machine.
    """
    try:
        if (own := ray_cluster.own_folder()) is not None:
            return Path(tempfile.mkdtemp(prefix="tune-", dir=own.parent))
    except OSError as error:
        raise StorageLost(f"{own}: can no longer be written: {error.strerror}") from error
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
        self._there, self._gone = ray_cluster.known_nodes(), set[tuple[str, str]]()
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
        nodes = [] if self._running else ray_cluster.nodes()
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
        now = ray_cluster.known_nodes()
        left = {one: self._there[one] for one in self._there if one not in now}
        joined = {one: now[one] for one in now if one not in self._there}
        ended = ray_cluster.ended_nodes() if left else {}
        for one, (name, address) in sorted(left.items(), key=lambda item: item[1]):
            why = {"cluster": ray_cluster.gcs_address(), "why": ended.get(one, "")}
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


def _holds(node: ray_cluster.Node, job: Job) -> bool:
    """Return whether a node has what a job needs of each of its hosts."""
    kind = not (ray_cluster.joined() and job.accelerator) or node.accelerator == job.accelerator
    return kind and node.cpus >= job.cpus and node.gpus >= job.gpus


def _placed(job: Job, nodes: Sequence[ray_cluster.Node]) -> bool:
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
    with place as folder, ray_cluster.silenced(), contextlib.redirect_stdout(io.StringIO()):
        tune.Tuner(
            tune.with_resources(nothing, {"CPU": cpus, "GPU": gpus}),
            param_space={"number": tune.grid_search(list(range(number)))},
            tune_config=tune.TuneConfig(reuse_actors=reuse_actors, max_concurrent_trials=at_a_time),
            run_config=tune.RunConfig(name="empty", storage_path=folder, verbose=0),
        ).fit()
    if shared is not None:
        shutil.rmtree(shared, ignore_errors=True)
