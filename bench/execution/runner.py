"""Run the trials of a run through the scheduler, with the live view. Every trial ends with a record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

import results
from bench.core import ATTEMPTS_FILE, CHECKPOINT_FILE, SPEC_FILE, StorageLost, describe, own_code, read_checkpoint
from bench.execution import ray_reporting, ray_tune, uploads
from bench.execution.failure_policy import FailurePolicy, Trial, shrunk
from bench.execution.interim_report import InterimReports
from bench.execution.progress import ProgressView
from bench.execution.progress_file import ProgressFile
from bench.execution.run_folder import RunFolder, resume_command
from bench.execution.standing import Standing
from bench.execution.supervisor import End
from bench.execution.tracking import Tracking
from bench.plan import Cell, Plan
from bench.spec import TrialSpec

ENTRY = "bench.trial:worker"
WARM_UP = "bench.trial:warm_up"
"""What imports for a trial that has no GPU. With CUDA, to fork a process after the import was not tried."""
Asking = Callable[["TrialRunner"], Sequence[str]]
"""A function that names the trials to run next, see `TrialRunner.decide`."""
STATUS = {"timeout": "timeout", "stalled": "timeout", "preempted": "interrupted"}
"""Status of a trial by the kind of its process's end. Any other end without a record is "crashed"."""
LAST_SECONDS = 20.0
"""Longest wait of an interrupted run for data on their way to a tracker."""


class TrialRunner:
    """Schedules trials and makes sure that each leaves a record, even if its process died without one.

    Args:
        run: folder of the run.
        plan: for its concurrency.
        policy: how failed trials are handled.
        console: where the live view draws.
        tuning: what a search found, by cell, for the records.
        track: names of services that track the run.
    """

    def __init__(
        self,
        run: RunFolder,
        plan: Plan,
        policy: FailurePolicy,
        console: Console,
        tuning: Mapping[str, Mapping[str, Any]] | None = None,
        track: Sequence[str] = (),
    ) -> None:
        self._run, self._plan, self._policy, self._console = run, plan, policy, console
        self._track = track
        self._tuning = tuning or {}  # what a search found, by cell
        self._started: dict[str, str] = {}
        self._trials: dict[str, tuple[Cell, TrialSpec]] = {}

    def run(self, trials: list[Trial], finished: int = 0) -> None:
        """Run trials, and those that run out of memory again with half the batch if the policy says so.

        Args:
            trials: to run.
            finished: number of other trials of the run that are complete already.

        Raises:
            KeyboardInterrupt: Ctrl-C; the running trials have been recorded as interrupted.
            StorageLost: the run's folder can no longer be written.
        """
        self._schedule(trials, finished)
        if self._policy.on_oom == "shrink" and (smaller := self._shrunk(trials)):
            self._schedule(smaller, finished + len(trials))

    def decide(self, trials: Sequence[Trial], finished: int, ask: Asking) -> None:
        """Run the trials that are asked for, round by round, until none is.

        Args:
            trials: all that may be asked for.
            finished: number of other trials of the run that are complete already.
            ask: names the trials to run next; it is called with this runner when those it named before have ended.

        Raises:
            KeyboardInterrupt: Ctrl-C; the running trials have been recorded as interrupted.
            StorageLost: the run's folder can no longer be written.
        """
        self._schedule(trials, finished, ask)

    def note(self, line: str) -> None:
        """Print a line that stays, above the live view."""
        self._view.note(line)

    def leave_out(self, trials: Sequence[str]) -> None:
        """Take trials that will not be asked for out of the live view."""
        self._standing.leave_out(trials)
        self._interim.leave_out(trials)

    def _schedule(self, trials: Sequence[Trial], finished: int, ask: Asking | None = None) -> None:
        self._trials = {name: (cell, spec) for name, cell, spec in trials}
        self._started.clear()
        jobs = [self._job(*trial) for trial in trials]
        for name in () if ask else self._trials:
            self._specify(name)
        lasted = [(record.cell, record.clocks.total_s) for record in self._run.complete() if record.clocks.total_s]
        planned = {name: (spec.cell, spec.train.epochs) for name, _, spec in trials}
        self._standing = Standing(planned, lasted)
        self._file = ProgressFile(self._run.path, self._standing, self._run.mirror)
        gauges = ray_reporting.gauges(self._run.path.name, finished)

        def tick(end: bool = False) -> None:
            if not end:
                self._file.write()
            if gauges:
                gauges.show(self._standing, end)

        with ProgressView(self._standing, self._console, finished) as self._view:
            self._tracking, patience = self._tracked(), None
            self._interim = self._reports(trials)
            try:
                ray_tune.run(
                    jobs,
                    shared=self._run.mirror.address / ".tune" if self._run.mirror else self._run.path / ".tune",
                    max_concurrent=self._plan.concurrent,
                    grows=self._plan.alone,
                    listener=self._hear,
                    retries=self._policy.retries,
                    ask=ask and (lambda: self._named(ask)),
                    tick=tick,
                )
            except KeyboardInterrupt as stop:
                patience = LAST_SECONDS
                with contextlib.suppress(StorageLost):
                    for name in self._started:
                        self._record(name, "interrupted", type(stop).__name__, str(stop) or "stopped by the user")
                raise
            finally:
                tick(end=True)
                self._file.close()
                self._interim.close(patience)
                self._tracking.close(patience)

    def _reports(self, trials: Sequence[Trial]) -> InterimReports:
        """Return what writes the report between rounds of seeds; the trials of a search have none."""
        is_run = (self._run.path / "run.json").is_file()
        seeds = {name: spec.seed for name, _, spec in trials} if is_run else {}
        return InterimReports(self._run.path, seeds, self._plan.concurrent == 1, self._view.note)

    def _tracked(self) -> Tracking:
        """Return the trackers of the trials."""
        path = self._run.path.resolve()
        title = path.name if (path / "run.json").is_file() else f"{path.parent.name}-{path.name}"  # its search
        return Tracking(path / "tensorboard", title, self._track, self._facts, self._view.note)

    def _facts(self, name: str) -> dict[str, Any]:
        """Return the parameters of a trial for a tracker."""
        cell, spec = self._trials[name]
        return {"label": cell.label, "cell": spec.cell, **spec.model_dump(mode="json")}

    def _shrunk(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the trials that ran out of memory, with half the batch, as separate cells."""
        out = [trial for trial in trials if self._run.status(trial[0]) == "oom"]
        return [smaller for trial in out if (smaller := shrunk(trial)) and self._run.status(smaller[0]) != "ok"]

    def _named(self, ask: Asking) -> Sequence[str]:
        """Return the trials to run next, with their specifications written."""
        names = ask(self)
        for name in names:
            self._specify(name)
        return names

    def _specify(self, name: str) -> None:
        """Write the specification of a trial into its folder."""
        try:
            text = self._trials[name][1].model_dump_json(indent=2)
            file = results.write_bytes(self._run.trial(name).resolve() / SPEC_FILE, text.encode())
            if self._run.mirror:
                self._run.mirror.soon(file)
        except OSError as error:
            raise self._run.lost(error) from error

    def _job(self, name: str, cell: Cell, spec: TrialSpec) -> ray_tune.Job:
        """Return the job of a trial."""
        return ray_tune.Job(
            name,
            ENTRY,
            partial(self._payload, name, cell, spec),
            str(self._run.trial(name).resolve() / results.LOG),
            spec.placement.cpus or 1,
            spec.placement.gpus,
            self._policy.limits,
            spec.placement.accelerator,
            spec.placement.hosts,
            str(self._run.mirror.address / f"trials/{name}") if self._run.mirror else None,
            _warm_up(spec),
        )

    def _payload(self, name: str, cell: Cell, spec: TrialSpec) -> dict[str, Any]:
        """Return what the process of a trial is told."""
        return {
            "trial": name, "label": cell.label, "axes": dict(cell.axes), "spec": spec.model_dump(mode="json"),
            "folder": str(self._run.trial(name).resolve()), "cpus": spec.placement.cpus, "shared": self._plan.shared,
            "tuning": self._tuning.get(spec.cell),
            "code": [str(place.resolve()) for place in own_code.kept(spec.own_code.values(), self._run.code)],
        }  # fmt: skip

    def _hear(self, event: ray_tune.Event) -> None:
        """Handle an event of the scheduler."""
        if event.kind in ("left", "joined"):
            self._view.note(_of_node(event))
            return
        if event.kind == "unwritable":
            self._standing.hold(event.data["name"], event.data["why"])
            self._view.note(f"{event.data['why']}. No trial is started there until it can; its trials go on elsewhere")
            return
        if event.kind == "writable":
            self._standing.let_go(event.data["name"])
            self._view.note(f"host {event.data['name']} can write the folder of the run again")
            return
        if event.kind == "headless":
            self._view.note(self._without_head(event.data["cluster"]))
            return
        self._tracking(event)
        self._interim.poll()
        if event.kind == "started":
            if event.job not in self._started:
                self._clear(event.job)
            self._started[event.job] = _now()
            self._standing.started(event.job)
        elif event.kind == "message":
            self._standing.message(event.job, event.data)
        elif event.kind == "retried":
            assert event.end is not None
            self._standing.retried(event.job)
            self._view.note(f"{event.job}: {event.end.message}; it is retried")
        elif event.kind == "waits":
            assert event.end is not None
            minutes = ray_tune.STRANDED_SECONDS / 60
            self._view.note(f"{event.job} and others wait: {event.end.message}; given up in {minutes:g} minutes")
        elif event.kind == "ended":
            assert event.end is not None
            self._finish_job(event.job, event.end)

    def _without_head(self, address: str) -> str:
        """Return a line about a cluster whose head does not answer, which may be the last one of this command."""
        again = resume_command(self._whole.path, address)
        return (
            f"The head of the cluster ({address}) does not answer. If it stays away, Ray ends this command and the "
            f"trials a minute after it. Then start Ray on the head and the nodes again, and go on with: {again}"
        )

    @property
    def _whole(self) -> RunFolder:
        """The folder of the run, also for the trials of its search."""
        return self._run if (self._run.path / "run.json").is_file() else RunFolder(self._run.path.parent)

    def _clear(self, name: str) -> None:
        """Empty the folder of a trial that begins, except for its specification, checkpoint, log and attempts.

        Log and attempts stay only with a checkpoint. This happens when the trial begins, and not before: if it never
        begins, the record of its earlier failure stays. A complete trial is never scheduled again.
        """
        folder, mirror = self._run.trial(name), self._run.mirror
        try:
            there = mirror.store.listed(f"trials/{name}") if mirror else {}
            left = f"trials/{name}/{CHECKPOINT_FILE}" in there or (folder / CHECKPOINT_FILE).exists()
            kept = (SPEC_FILE, *((CHECKPOINT_FILE, results.LOG, ATTEMPTS_FILE) if left else ()))
            for one in sorted(there, key=lambda one: not one.endswith(f"/{results.RECORD}")):
                if mirror and one not in {f"trials/{name}/{file}" for file in kept}:
                    mirror.store.remove(one)
            uploads.keep_only(folder, kept)
        except OSError as error:
            raise self._run.lost(error) from error

    def _finish_job(self, name: str, end: End) -> None:
        """Write the record of a job that left none, and report how the job ended."""
        if end.kind == "unsent":
            raise self._run.unsent(f"trial {name}: {end.message}")
        self._run.bring(name)
        if self._run.status(name) is None:
            lines = [line.strip() for line in end.message.splitlines() if line.strip()]
            message = lines[-1][:500] if lines else "the trial returned without a record"
            self._record(name, end.status or STATUS.get(end.kind, "crashed"), end.kind, message, end.signal)
        record = results.read(self._run.trial(name))
        note = ""
        if record.status != "ok":
            message = record.error.message if record.error else "no reason recorded"
            note = f"{message} (log: {self._run.trial(name) / results.LOG})"
        self._tracking.ended(name, record.status == "ok")
        self._view.ended(name, record.status, self._standing.ended(name, record.status), note)
        self._interim.ended(name)

    def _record(self, name: str, status: str, kind: str, message: str, signal: str | None = None) -> None:
        """Write the record of a trial whose own process left none."""
        cell, spec = self._trials[name]
        detail = {"signal": signal, "log": _tail(self._run.trial(name) / results.LOG)}
        record = results.Record(
            trial=name, cell=spec.cell, label=cell.label, axes=dict(cell.axes), seed=spec.seed, status=status,
            error={"kind": kind, "message": message, "detail": detail}, spec=spec.model_dump(mode="json"),
            started=self._started.get(name, _now()), finished=_now(), environment=describe(),
            tuning=self._tuning.get(spec.cell),
            history=left.state["history"] if (left := read_checkpoint(self._run.trial(name))) else [],
        )  # fmt: skip
        if status == "interrupted" and self._run.status(name) is not None:
            return  # the trial has written its own record meanwhile
        try:
            self._run.keep(results.write(self._run.trial(name), record))
        except OSError as error:
            raise self._run.lost(error) from error


def _warm_up(spec: TrialSpec) -> tuple[str, ...]:
    """Return what the process of a trial finds imported, see `supervisor.run`; empty if nothing."""
    if spec.placement.gpus or not WARM_UP:
        return ()
    return (WARM_UP, str(spec.placement.cpus or ""), *spec.model.packages)


def _of_node(event: ray_tune.Event) -> str:
    """Return a line about a node that has left the cluster, or has joined it."""
    node = f"node {event.data['name']} ({event.data['address']})"
    if event.kind == "joined":
        return f"{node} is there again" if event.data["again"] else f"{node} has joined the cluster"
    if why := event.data["why"]:
        return f"{node} has left the cluster: {why}"
    return (
        f"{node} has left the cluster. Ray ends itself on a host that was cut off: once it is back, run there "
        f"`ray start --address={event.data['cluster']}`"
    )


def _tail(log: Path, characters: int = 4000) -> str:
    """Return the end of a log; empty if there is none."""
    return log.read_text(errors="replace")[-characters:] if log.exists() else ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
