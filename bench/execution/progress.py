"""The live view of a running grid: a table that is redrawn, or plain lines if the output is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text


@dataclass
class _Row:
    """The state of a trial, as the table shows it."""

    state: str = "waiting"
    epoch: int = 0
    loss: float | None = None
    miou: float | None = None
    rate: float | None = None
    began: float = 0.0


class ProgressView:
    """Shows trials done, running and failed, and each running trial's epoch, loss, mIoU and images/s.

    Args:
        trials: names of the trials to run, in order.
        epochs: epochs per trial.
        console: where to draw; one that is no terminal gets lines instead of a table.
        finished: number of further trials of the run, which are complete already.
        lasted: seconds of each of these, as far as they are known.
    """

    def __init__(
        self, trials: list[str], epochs: int, console: Console, finished: int = 0, lasted: Sequence[float] = ()
    ) -> None:
        self._rows = {name: _Row() for name in trials}
        self._epochs, self._console, self._finished = epochs, console, finished
        self._width = max(map(len, trials), default=10)
        self._started = time.monotonic()
        self._lasted = [*lasted]
        self._live = Live(console=console, refresh_per_second=2, get_renderable=self._draw, transient=True)

    def __enter__(self) -> ProgressView:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def started(self, trial: str) -> None:
        """Show a trial as running."""
        self._rows[trial].state, self._rows[trial].began = "running", time.monotonic()

    def message(self, trial: str, data: dict[str, Any]) -> None:
        """Update the numbers of a trial from a progress event."""
        row = self._rows[trial]
        row.epoch = data.get("epoch", row.epoch)
        row.loss = data.get("loss", row.loss)
        row.miou = data.get("miou", row.miou)
        row.rate = data.get("images_per_second", row.rate)

    def note(self, line: str) -> None:
        """Print a line that stays, above the table."""
        self._console.print(Text(line), style="dim", highlight=False, soft_wrap=True)

    def leave_out(self, trials: Iterable[str]) -> None:
        """Count trials no longer that will not be run."""
        for trial in trials:
            self._rows.pop(trial, None)

    def ended(self, trial: str, status: str, note: str = "") -> None:
        """Print a line that stays, above the table: the result of a trial, with its status."""
        row = self._rows[trial]
        row.state = "done" if status == "ok" else "failed"
        seconds = time.monotonic() - row.began if row.began else 0.0
        if status == "ok":  # one that failed tells nothing of the others
            self._lasted.append(seconds)
        done = sum(r.state in ("done", "failed") for r in self._rows.values()) + self._finished
        total = len(self._rows) + self._finished
        mark = (status, "green" if status == "ok" else "red")
        score = f"mIoU {row.miou:.3f}" if row.miou is not None else " " * 10
        rate = f"{row.rate:7.1f} img/s" if row.rate else " " * 13
        self._console.print(
            Text.assemble(
                f"[{done:>{len(str(total))}}/{total}] {trial:<{self._width}}  {score}  {rate}  {seconds:5.0f} s  "
                f"{_left(self.remaining()):>11}  ",
                mark,
                f" {note}" if note else "",
            ),
            highlight=False,
            soft_wrap=True,
        )

    def remaining(self) -> float | None:
        """Return the seconds to the end, estimated from the mean time of complete trials; None while there are none."""
        running = [row for row in self._rows.values() if row.state == "running"]
        waiting = sum(row.state == "waiting" for row in self._rows.values())
        if not self._lasted:
            return None
        typical = sum(self._lasted) / len(self._lasted)
        concurrency = max(1, len(running))
        current = [max(0.0, typical - (time.monotonic() - row.began)) for row in running]
        return max(current, default=0.0) + waiting * typical / concurrency

    def _draw(self) -> Group:
        count = {state: sum(r.state == state for r in self._rows.values()) for state in ("done", "running", "failed")}
        total = len(self._rows) + self._finished
        done = count["done"] + self._finished
        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(total=total, completed=done + count["failed"], width=30),
            Text(f"{done} done, {count['running']} running, {count['failed']} failed of {total}"),
            Text(f"{_clock(time.monotonic() - self._started)} gone, {_left(self.remaining())}", style="dim"),
        )
        body = Table(box=None, pad_edge=False, header_style="bold")
        for name, side in (
            ("trial", "left"),
            ("epoch", "right"),
            ("loss", "right"),
            ("mIoU", "right"),
            ("img/s", "right"),
        ):
            body.add_column(name, justify=side)  # type: ignore[arg-type]
        for name, row in self._rows.items():
            if row.state == "running":
                numbers = (_number(row.loss, ".4f"), _number(row.miou, ".3f"), _number(row.rate, ".1f"))
                body.add_row(Text(name), f"{row.epoch}/{self._epochs}", *numbers)
        return Group(head, body)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _left(seconds: float | None) -> str:
    return "? left" if seconds is None else f"~{_clock(seconds)} left"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
