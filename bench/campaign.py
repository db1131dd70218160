"""Trials of a run through the scheduler, every one ending in a record, with the live view."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

import results
from bench import schedule
from bench.environment import describe
from bench.grid import Cell
from bench.live import View
from bench.plan import Plan
from bench.runfolder import RunFolder
from bench.spec import TrialSpec

Trial = tuple[str, Cell, TrialSpec]


class Campaign:
    """Schedules trials and sees to it that each leaves a record, even one whose process died without a word."""

    def __init__(self, run: RunFolder, plan: Plan, console: Console) -> None:
        self._run, self._plan, self._console = run, plan, console
        self._started: dict[str, str] = {}

    def run(self, trials: list[Trial], finished: int = 0) -> None:
        """Run the trials; `finished` others of the run are complete already.

        Raises:
            KeyboardInterrupt: after the running trials have been recorded as interrupted.
        """
        self._trials = {name: (cell, spec) for name, cell, spec in trials}
        epochs = max(spec.train.epochs for _, _, spec in trials)
        jobs = [self._job(*trial) for trial in trials]
        with View(list(self._trials), epochs, self._console, finished) as self._view:
            try:
                schedule.run(
                    jobs,
                    scratch=self._run.path / ".tune",
                    max_concurrent=self._plan.concurrent,
                    listener=self._hear,
                )
            except KeyboardInterrupt:
                for name in self._started:
                    if self._run.status(name) is None:
                        self._record(name, "interrupted", "KeyboardInterrupt", "stopped by the user")
                raise

    def _job(self, name: str, cell: Cell, spec: TrialSpec) -> schedule.Job:
        folder = self._run.trial(name).resolve()
        if folder.exists():
            shutil.rmtree(folder)  # left by an attempt that did not end well; a complete trial is never scheduled again
        folder.mkdir(parents=True)
        results.write_bytes(folder / "spec.json", spec.model_dump_json(indent=2).encode())
        payload = {
            "trial": name, "label": cell.label, "axes": dict(cell.axes), "spec": spec.model_dump(mode="json"),
            "folder": str(folder), "cpus": self._plan.cpus, "shared": self._plan.shared,
        }  # fmt: skip
        return schedule.Job(
            name, "bench.trial:worker", payload, str(folder / "log.txt"), self._plan.cpus, self._plan.gpus
        )

    def _hear(self, event: schedule.Event) -> None:
        if event.kind == "started":
            self._started[event.job] = _now()
            self._view.started(event.job)
        elif event.kind == "told":
            self._view.told(event.job, event.data)
        elif event.kind == "failed":
            self._settle(event.job, event.data["error"])
        elif event.kind == "ended":
            self._settle(event.job, "the worker ended without a record")

    def _settle(self, name: str, reason: str) -> None:
        """Once a job is over: make sure of its record and say how it went."""
        if self._run.status(name) is None:
            lines = [line for line in reason.splitlines() if line.strip()] or [reason]
            self._record(name, "crashed", "WorkerDied", lines[-1].strip()[:500])
        record = results.read(self._run.trial(name))
        note = ""
        if record.status != "ok":
            message = record.error.message if record.error else "no reason recorded"
            note = f"{message} (log: {self._run.trial(name) / 'log.txt'})"
        self._view.ended(name, record.status, note)

    def _record(self, name: str, status: str, kind: str, message: str) -> None:
        cell, spec = self._trials[name]
        log = self._run.trial(name) / "log.txt"
        record = results.Record(
            trial=name, cell=spec.cell, label=cell.label, axes=dict(cell.axes), seed=spec.seed, status=status,
            error={"kind": kind, "message": message, "detail": {"log": _tail(log)}}, spec=spec.model_dump(mode="json"),
            started=self._started.get(name, _now()), finished=_now(), environment=describe(),
        )  # fmt: skip
        results.write(self._run.trial(name), record)


def _tail(log: Path, characters: int = 4000) -> str:
    return log.read_text(errors="replace")[-characters:] if log.exists() else ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
