"""What is asked of a run, as one value: what to run, where, and what is done when something fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.execution.failure_policy import FailurePolicy
from bench.plan import GridRequest

Changed = Literal["ask", "keep", "redo"]


@dataclass(frozen=True)
class RunRequest:
    """A run as it is asked for.

    Attributes:
        what: the grid and the options that resolve it. A run that is resumed takes grid, seeds and data_root alone.
        address: of a Ray cluster; None starts one on this machine.
        max_concurrent: trials at a time, None for the default.
        out: folder of runs, None for `runs`; name: of the run's folder in it, None for grid, data set and time.
        policy: what is done about trials that do not end well. A run that is resumed keeps what it was begun with, but
            for what is given here.
        track: services that track the run, by name.
        changed: on resume, what is done about complete trials of other code, versions or data.
        dry_run: show cells and placement, and train nothing.
        command: as it was typed, for the run's manifest.
    """

    what: GridRequest = field(default_factory=GridRequest)
    address: str | None = None
    max_concurrent: int | None = None
    out: Path | None = None
    name: str | None = None
    policy: FailurePolicy = field(default_factory=FailurePolicy)
    track: tuple[str, ...] = ()
    changed: Changed = "ask"
    dry_run: bool = False
    command: str = ""

    @property
    def storage(self) -> Path:
        return self.out or Path("runs")
