"""Ray Tune runs jobs, one worker process each. This module knows devices and processes, and nothing of models.

The only module that imports Ray. Facts behind the settings, seen with Ray 2.60: one bundle with all of a trial's GPUs
(two bundles show the trial one GPU); no reuse of actors (the precision policy would leak); no `metric=` (one trial
without the key ends the run); a request no node can satisfy waits for ever, so it is refused before.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UsageError

_QUIET = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune's own turns Ctrl-C into a normal end
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "PYTHONWARNINGS": "ignore",
}
os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})

import ray  # noqa: E402
from ray import tune  # noqa: E402


@dataclass(frozen=True)
class Job:
    """One trial to schedule.

    Attributes:
        name: unique, fit for a folder.
        entry: "module:function", called in the worker as function(payload, tell).
        payload: what the function gets; plain data.
        log: file that takes the worker's output.
        cpus, gpus: whole devices, all on one node.
    """

    name: str
    entry: str
    payload: dict[str, Any]
    log: str
    cpus: int
    gpus: int = 0


@dataclass(frozen=True)
class Event:
    """Something that happened to a job: "started", "told" (with `data`), "ended", or "failed" (with data["error"])."""

    kind: str
    job: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Node:
    """A live machine of the cluster."""

    cpus: int
    gpus: int
    accelerator: str | None


Listener = Callable[[Event], None]
_listeners: dict[str, Listener] = {}  # callbacks are pickled with the experiment, a live display cannot be


@contextlib.contextmanager
def cluster(address: str | None) -> Iterator[list[Node]]:
    """Join the cluster at `address`, or start an embedded one; yields its live nodes.

    Raises:
        UsageError: no cluster answers there.
    """
    options: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 2**28} if address is None else {}
    # Workers import this very copy of the project, whatever lies in their working directory.
    paths = [str(Path(__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}}
    try:
        ray.init(
            address=address or "local",
            runtime_env=environment,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **options,
        )
    except (ConnectionError, ValueError) as error:
        raise UsageError(f"--address {address}: no Ray cluster joined: {str(error).splitlines()[0]}") from None
    # Ray prints a screenful for each dead worker, past `log_to_driver`; the run says it in a line and keeps the log.
    ray._private.worker._worker_logs_enabled = False
    try:
        yield _nodes()
    finally:
        ray.shutdown()


def _nodes() -> list[Node]:
    nodes = []
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            kind = next((name.partition(":")[2] for name in has if name.startswith("accelerator_type:")), None)
            nodes.append(Node(int(has.get("CPU", 0)), int(has.get("GPU", 0)), kind))
    return nodes


def misfit(cpus: int, gpus: int, nodes: Sequence[Node]) -> str | None:
    """Why no single node can hold such a trial; None when one can."""
    most = max((node.gpus for node in nodes), default=0)
    if gpus > most:
        return f"{gpus} GPU(s) a trial asked, but no node has more than {most}"
    if not any(node.cpus >= cpus and node.gpus >= gpus for node in nodes):
        return f"{cpus} CPU(s) and {gpus} GPU(s) a trial asked, but no node has both"
    return None


def call(entry: str, gpus: int) -> Any:
    """Run "module:function" once in a worker that holds `gpus` GPUs, and return its plain answer."""
    return ray.get(ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_resolve).remote(entry))


def _resolve(entry: str) -> Any:
    return _function(entry)()


def _function(entry: str) -> Callable[..., Any]:
    module, _, name = entry.partition(":")
    return getattr(importlib.import_module(module), name)


def run(jobs: Sequence[Job], *, scratch: Path, max_concurrent: int | None, listener: Listener) -> None:
    """Run all jobs to their end; one that fails takes nobody with it.

    Args:
        jobs: in the order in which they should start.
        scratch: a folder for Tune's own files, on a path all nodes share; removed at the end.
        max_concurrent: jobs at a time, None for as many as fit.
        listener: called in this process with every event.

    Raises:
        KeyboardInterrupt: Ctrl-C; running workers end with the cluster.
    """
    by_name = {job.name: job for job in jobs}
    experiment = scratch.name + str(os.getpid())
    _listeners[experiment] = listener
    needs = jobs[0].cpus, jobs[0].gpus
    bundle = tune.PlacementGroupFactory([{"CPU": needs[0], "GPU": needs[1]}], strategy="STRICT_PACK")
    assert all((job.cpus, job.gpus) == needs for job in jobs), "one grid, one placement"

    def name_of(trial: Any) -> str:
        return trial.config["job"]["name"]

    tuner = tune.Tuner(
        tune.with_resources(_work, bundle),
        param_space={"job": tune.grid_search([vars(job) for job in by_name.values()])},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=max_concurrent, trial_name_creator=name_of, trial_dirname_creator=name_of
        ),
        run_config=tune.RunConfig(
            name=experiment, storage_path=str(scratch.resolve()), verbose=0, callbacks=[_Relay(experiment)]
        ),
    )
    try:
        with _silenced():
            tuner.fit()
    finally:
        _listeners.pop(experiment, None)
        shutil.rmtree(scratch, ignore_errors=True)


def _work(config: dict[str, Any]) -> None:
    """In the worker: send its output to the job's log and call the job's function."""
    job = config["job"]
    with open(job["log"], "ab", buffering=0) as log:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    tune.report({"told": {"event": "started", "pid": os.getpid()}})
    try:
        _function(job["entry"])(job["payload"], lambda event: tune.report({"told": event}))
    except Exception as error:
        traceback.print_exc()
        # Tune's callback for a failed trial does not have the error yet.
        tune.report({"told": {"event": "raised", "error": f"{type(error).__name__}: {error}"}})
        raise


class _Relay(tune.Callback):
    """Turns Tune's callbacks into events. Holds a key only, because Tune pickles it."""

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment
        self._raised: dict[str, str] = {}

    def _emit(self, kind: str, trial: Any, data: dict[str, Any]) -> None:
        listener = _listeners.get(self._experiment)
        if listener:
            listener(Event(kind, trial.config["job"]["name"], data))

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._emit("started", trial, {})

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        told = result.get("told", {})
        if told.get("event") == "raised":
            self._raised[trial.trial_id] = told["error"]
        elif told:
            self._emit("told", trial, told)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._emit("ended", trial, {})

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._emit("failed", trial, {"error": self._raised.get(trial.trial_id, "the worker process died")})


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
