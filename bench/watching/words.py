"""Where a run stands, as lines for a terminal or a log, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import results
from bench.core import Underway
from bench.execution import resume_command
from bench.storage import shown
from bench.watching.reading import RunStatus

MOST_FAILED, MOST_BEST = 5, 5
"""Failed trials and best cells that are shown."""


def lines(status: RunStatus) -> list[str]:
    """Return a run's state in words: a head, the trials under way, those that failed, and what is best so far."""
    return [*_head(status), *_running(status), *_failed(status), *_best(status)]


def plain(status: RunStatus) -> dict[str, Any]:
    """Return a run's state as JSON can hold it."""
    progress = status.progress
    return {
        "run": status.run.name, "folder": shown(status.run.resolve()), "state": status.state, "search": status.search,
        "trials": status.planned, "done": status.done, "failed": [asdict(one) for one in status.failed],
        "running": {name: asdict(one) for name, one in status.running.items()}, "left": status.left,
        "held": {**status.held},
        "seconds_left": progress.left if progress and status.running else None, "age_s": status.age,
        "best": [asdict(one) for one in status.best], "problems": [*status.problems],
    }  # fmt: skip


def _head(status: RunStatus) -> Iterator[str]:
    """Yield what the run does, and its counts."""
    yield f"Run {shown(status.run)}: {_state(status)}"
    counts = [
        f"{status.done} done", f"{len(status.running)} running", f"{status.left} {_left_are(status)}",
        f"{len(status.failed)} failed",
    ]  # fmt: skip
    of = f"{', '.join(counts)} of {results.counted(status.planned, 'trial')}{' of the search' * status.search}"
    yield f"{of}{_time_left(status)}"
    yield from (f"{why}; no trial is started there" for why in status.held.values())
    if not status.goes_on and (status.left or status.failed):
        yield f"Go on with: {resume_command(status.run)} (on a cluster with its --address)"


def _left_are(status: RunStatus) -> str:
    return "waiting" if status.goes_on else "not done"


def _state(status: RunStatus) -> str:
    """Return what the run does, with the machine of its command."""
    progress = status.progress
    if progress is None or status.age is None:
        return {"preparing": "no trial runs now; its command checks, reports or has ended"}.get(
            status.state, status.state
        )
    where = f"command on {progress.host}, process {progress.pid}"
    heard = f"last sign of life {results.duration(round(status.age))} ago"
    if status.state == "gone":
        return f"its command has ended without a message (was {where}, {heard})"
    if status.state == "silent":
        return f"SILENT, {heard} by the clocks of both machines ({where})"
    return f"running, {heard} ({where})"


def _time_left(status: RunStatus) -> str:
    progress = status.progress
    if progress is None or not status.goes_on:
        return ""
    if progress.left is None:
        return "; time left unknown until a trial is complete"
    told = f"from {results.counted(progress.told_by, 'complete trial')}"
    return f"; {results.time_range(progress.left[0], progress.left[2])} left ({told})"


def _running(status: RunStatus) -> list[str]:
    """Return a table of the trials under way."""
    rows = [
        (
            name, one.host or "–", f"{one.epoch}/{one.epochs}", _number(one.loss, ".4f"), _number(one.miou, ".3f"),
            _number(one.images_per_second, ".1f"), _since(one), f"attempt {one.attempt}" if one.attempt > 1 else "",
        )
        for name, one in status.running.items()
    ]  # fmt: skip
    return ["", *_table(("trial", "host", "epoch", "loss", "mIoU", "img/s", "for", ""), rows)] if rows else []


def _failed(status: RunStatus) -> list[str]:
    shown = [f"failed: {one.trial}: {one.status}: {one.reason}" for one in status.failed[:MOST_FAILED]]
    more = len(status.failed) - len(shown)
    shown += [f"and {more} more that failed"] if more else []
    shown += [f"cannot be read: {problem}" for problem in status.problems]
    return ["", *shown] if shown else []


def _best(status: RunStatus) -> list[str]:
    """Return a table of the cells with the highest mean validation mIoU, in percent."""
    rows = [
        (f"{place}.", one.label, f"{100 * one.miou:.1f} %", _spread(one.least, one.most, one.seeds), str(one.seeds))
        for place, one in enumerate(status.best[:MOST_BEST], 1)
    ]
    return ["", *_table(("", "best so far", "mIoU", "from seeds", "seeds"), rows)] if rows else []


def _spread(least: float, most: float, seeds: int) -> str:
    return f"{100 * least:.1f} to {100 * most:.1f}" if seeds > 1 else "–"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines with columns of equal width."""
    every = [head, *rows]
    widths = [max(len(row[i]) for row in every) for i in range(len(head))]
    return ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in every]


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _since(one: Underway) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(one.since)).total_seconds()
    return results.duration(max(0, round(seconds)))
