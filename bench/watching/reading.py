"""Reads where a run stands from its folder alone: the plan, the records, and the file that its command keeps."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil

import results
from bench.core import RunProgress, Underway, UsageError, nearest, read_progress, runs_beside
from bench.execution import SEARCH

SILENT_SECONDS = 360.0
"""Age of the command's file from which on the run is called silent. A report between two rounds takes 300 s at most."""
FRESH_SECONDS = 15.0
"""Age of the command's file up to which its process need not be looked for."""
GONE = ("gone", "silent")


@dataclass(frozen=True)
class Failed:
    """A trial that did not end well: its status, and the reason in one line."""

    trial: str
    status: str
    reason: str


@dataclass(frozen=True)
class Best:
    """A cell by its complete trials: number of seeds, and mean, least and most validation mIoU, fractions."""

    label: str
    seeds: int
    miou: float
    least: float
    most: float


@dataclass(frozen=True)
class RunStatus:
    """Where a run stands.

    Attributes:
        run: its folder.
        state: "running"; "preparing", before its first trial or after its last; "silent", if its command has written
            nothing for `SILENT_SECONDS`; "gone", if its command ended without a message; or the manifest's "complete",
            "incomplete" or "interrupted".
        search: whether the numbers are those of the run's search.
        progress: what its command wrote last; None if no trial runs.
        age: seconds since then, by the clocks of both machines; None without it.
        planned: number of trials asked for so far.
        done: number of complete trials.
        failed: trials that did not end well and are not to be tried again by the command that runs.
        left: number of trials that are neither done nor failed nor running.
        best: the cells with complete trials, the highest mean first.
        problems: one line per record that cannot be read.
    """

    run: Path
    state: str
    search: bool
    progress: RunProgress | None
    age: float | None
    planned: int
    done: int
    failed: tuple[Failed, ...]
    left: int
    best: tuple[Best, ...]
    problems: tuple[str, ...] = ()

    @property
    def running(self) -> Mapping[str, Underway]:
        """The trials under way, by name."""
        return self.progress.running if self.progress and self.state not in GONE else {}

    @property
    def held(self) -> Mapping[str, str]:
        """Why no trial is started on a host, by its name."""
        return self.progress.held if self.progress and self.state not in GONE else {}

    @property
    def goes_on(self) -> bool:
        """Whether the run's command is at work, as far as can be told."""
        return self.state in ("running", "preparing", "silent")


def look(run: Path) -> RunStatus:
    """Return where the run in a folder stands. Nothing is written, and neither Ray nor the run's machines are asked.

    Args:
        run: folder of the run.

    Raises:
        UsageError: there is no run, or its manifest cannot be read.
    """
    if not (run / "run.json").is_file():
        raise UsageError(f"{run}: no run there{nearest(run.name, runs_beside(run))}")
    try:
        manifest = results.read_manifest(run)
    except ValueError as error:
        raise UsageError(str(error)) from None
    own, of_search = read_progress(run), read_progress(run / SEARCH)
    search, progress = own is None and of_search is not None, own or of_search
    records, problems = _records(run / SEARCH if search else run)
    age = _age(progress) if progress else None
    again = {*progress.running, *progress.waiting} if progress else set()
    failed = tuple(
        _failed(one) for one in records if one.status not in ("ok", "interrupted") and one.trial not in again
    )
    done = sum(one.status == "ok" for one in records)
    planned = _planned(manifest) if not search else len({one.trial for one in records} | again)
    state = _state(str(manifest.get("status", "running")), progress, age)
    running = len(progress.running) if progress and state not in GONE else 0
    return RunStatus(
        run, state, search, progress, age, planned, done, failed,
        max(0, planned - done - len(failed) - running), _best(records), tuple(problems),
    )  # fmt: skip


def _state(said: str, progress: RunProgress | None, age: float | None) -> str:
    """Return the state of a run.

    Args:
        said: status of the manifest. It says "running" until the command has ended in order; a run that is resumed
            keeps the status with which it ended before.
        progress: what its command wrote last.
        age: seconds since then.
    """
    if progress is None or age is None:
        return "preparing" if said == "running" else said
    if age > FRESH_SECONDS and progress.host == platform.node() and not psutil.pid_exists(progress.pid):
        return "gone"
    return "silent" if age > SILENT_SECONDS else "running"


def _age(progress: RunProgress) -> float:
    """Return the seconds since the file was written; 0 if this machine's clock is behind."""
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(progress.written)).total_seconds())


def _planned(manifest: Mapping[str, Any]) -> int:
    """Return how many trials a manifest asks for."""
    return sum(len(cell.get("seeds", [])) for cell in manifest.get("cells", []))


def _records(folder: Path) -> tuple[list[results.Record], list[str]]:
    """Return the records of a folder that can be read, and a line for each of the others."""
    records, problems = [], []
    for path in sorted((folder / "trials").glob("*/record.json")):
        try:
            state = path.stat()
            records.append(_read(path, state.st_mtime_ns, state.st_size))
        except OSError:
            continue  # a trial that begins again removes its record
        except ValueError as error:
            problems.append(str(error))
    return records, problems


@lru_cache(maxsize=10_000)
def _read(path: Path, changed: int, size: int) -> results.Record:
    """Read a record, once for as long as its file stays: who watches a run reads it every few seconds."""
    return results.read_in_place(path)


def _failed(record: results.Record) -> Failed:
    return Failed(record.trial, record.status, record.error.message if record.error else "no reason recorded")


def _best(records: Sequence[results.Record]) -> tuple[Best, ...]:
    """Return the cells with complete trials, the highest mean first."""
    scores: dict[str, list[float]] = {}
    for record in records:
        if (score := results.validation_miou(record)) is not None:
            scores.setdefault(record.label, []).append(score)
    cells = [Best(label, len(of), statistics.fmean(of), min(of), max(of)) for label, of in scores.items()]
    return tuple(sorted(cells, key=lambda cell: -cell.miou))
