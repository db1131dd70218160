"""The live view of a running grid: a table that is redrawn, or plain lines if the output is no terminal."""

from __future__ import annotations

import time

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.execution.standing import Standing


class ProgressView:
    """Shows trials done, running and failed, and each running trial's epoch, loss, mIoU and images/s.

    Args:
        standing: of the trials to run; this view does not change it.
        console: where to draw; one that is no terminal gets lines instead of a table.
        finished: number of further trials of the run, which are complete already.
    """

    def __init__(self, standing: Standing, console: Console, finished: int = 0) -> None:
        self._standing, self._console, self._finished = standing, console, finished
        self._width = max(map(len, standing.rows), default=10)
        self._started = time.monotonic()
        self._live = Live(console=console, refresh_per_second=2, get_renderable=self._draw, transient=True)

    def __enter__(self) -> ProgressView:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def note(self, line: str) -> None:
        """Print a line that stays, above the table."""
        self._console.print(Text(line), style="dim", highlight=False, soft_wrap=True)

    def ended(self, trial: str, status: str, seconds: float, note: str = "") -> None:
        """Print a line that stays, above the table: the result of a trial, with its status and its seconds."""
        row = self._standing.rows[trial]
        done = self._standing.count("done", "failed") + self._finished
        total = len(self._standing.rows) + self._finished
        mark = (status, "green" if status == "ok" else "red")
        score = f"mIoU {row.miou:.3f}" if row.miou is not None else " " * 10
        rate = f"{row.rate:7.1f} img/s" if row.rate else " " * 13
        self._console.print(
            Text.assemble(
                f"[{done:>{len(str(total))}}/{total}] {trial:<{self._width}}  {score}  {rate}  {seconds:5.0f} s  "
                f"{self._left():>11}  ",
                mark,
                f" {note}" if note else "",
            ),
            highlight=False,
            soft_wrap=True,
        )

    def _left(self) -> str:
        left = self._standing.time_left()
        return "? left" if left is None else f"~{_clock(left.typical)} left"

    def _draw(self) -> Group:
        done, running, failed = (self._standing.count(state) for state in ("done", "running", "failed"))
        total = len(self._standing.rows) + self._finished
        done += self._finished
        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(total=total, completed=done + failed, width=30),
            Text(f"{done} done, {running} running, {failed} failed of {total}"),
            Text(f"{_clock(time.monotonic() - self._started)} elapsed, {self._left()}", style="dim"),
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
        for name, row in self._standing.running.items():
            numbers = (_number(row.loss, ".4f"), _number(row.miou, ".3f"), _number(row.rate, ".1f"))
            body.add_row(Text(name), f"{row.epoch}/{row.epochs}", *numbers)
        return Group(head, body)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
