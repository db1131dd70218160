"""Where the trials of a run stand, as their events tell: waiting, running, done or failed, with their numbers."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench.core import RunProgress, Underway
from bench.execution.time_left import TimeLeft, time_left


@dataclass
class Row:
    """The state of a trial: "waiting", "running", "done" or "failed". `began` is by the monotonic clock."""

    cell: str
    epochs: int
    state: str = "waiting"
    epoch: int = 0
    loss: float | None = None
    miou: float | None = None
    rate: float | None = None
    host: str | None = None
    began: float = 0.0
    since: str = ""
    attempts: int = 0


class Standing:
    """Follows the trials of a session.

    Args:
        trials: cell and epochs of each trial to run, by name, in their order.
        lasted: cell and seconds of each trial that is complete already, as far as they are known.
    """

    def __init__(self, trials: Mapping[str, tuple[str, int]], lasted: Sequence[tuple[str, float]] = ()) -> None:
        self.rows = {name: Row(cell, epochs) for name, (cell, epochs) in trials.items()}
        self._lasted: dict[str, list[float]] = {}
        for cell, seconds in lasted:
            self._lasted.setdefault(cell, []).append(seconds)
        self._at_a_time = 1
        self._held: dict[str, str] = {}

    def started(self, trial: str) -> None:
        """Note that an attempt at a trial has begun."""
        row = self.rows[trial]
        row.state, row.began, row.since, row.host = "running", time.monotonic(), _now(), None
        row.attempts += 1
        self._at_a_time = len(self.running)

    def message(self, trial: str, data: Mapping[str, Any]) -> None:
        """Take the numbers of a progress event."""
        row = self.rows[trial]
        row.host = data.get("host", row.host)
        row.epoch = data.get("epoch", row.epoch)
        row.loss = data.get("loss", row.loss)
        row.miou = data.get("miou", row.miou)
        row.rate = data.get("images_per_second", row.rate)

    def hold(self, host: str, why: str) -> None:
        """Note why no trial is started on a host."""
        self._held[host] = why

    def let_go(self, host: str) -> None:
        """Note that trials are started on a host again."""
        self._held.pop(host, None)

    def retried(self, trial: str) -> None:
        """Note that a trial waits for another attempt."""
        self.rows[trial].state = "waiting"

    def ended(self, trial: str, status: str) -> float:
        """Note that a trial has ended, and return the seconds of its last attempt."""
        row = self.rows[trial]
        row.state = "done" if status == "ok" else "failed"
        seconds = time.monotonic() - row.began if row.began else 0.0
        if status == "ok":  # one that failed tells nothing of the others
            self._lasted.setdefault(row.cell, []).append(seconds)
        return seconds

    def leave_out(self, trials: Iterable[str]) -> None:
        """Count trials no longer that will not be run."""
        for trial in trials:
            self.rows.pop(trial, None)

    def count(self, *states: str) -> int:
        """Return the number of trials in one of these states."""
        return sum(row.state in states for row in [*self.rows.values()])

    @property
    def running(self) -> dict[str, Row]:
        """The trials under way, by name."""
        return {name: row for name, row in [*self.rows.items()] if row.state == "running"}

    def time_left(self) -> TimeLeft | None:
        """Return the time to the end, estimated from complete trials; None while there are none."""
        now = time.monotonic()
        return time_left(
            self._lasted,
            [(row.cell, now - row.began) for row in self.running.values()],
            [row.cell for row in [*self.rows.values()] if row.state == "waiting"],
            self._at_a_time,
        )

    def progress(self) -> RunProgress:
        """Return where the run stands, for other processes."""
        running = {
            name: Underway(
                row.since, row.attempts, row.host, row.epoch, row.epochs, row.loss, row.miou, row.rate
            )
            for name, row in self.running.items()
        }  # fmt: skip
        left = self.time_left()
        return RunProgress(
            platform.node(), os.getpid(), _now(), running,
            tuple(name for name, row in self.rows.items() if row.state == "waiting"),
            (left.least, left.typical, left.most) if left else None, left.trials if left else 0, {**self._held},
        )  # fmt: skip


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
