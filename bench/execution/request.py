"""The request for a run as one value: what to run, where, and how failures are handled."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.execution.failure_policy import FailurePolicy
from bench.plan import GridRequest

Changed = Literal["ask", "keep", "redo"]


@dataclass(frozen=True)
class UntilRequest:
    """What a run has to decide, as the command says it; all None if the command says nothing.

    Attributes:
        words: decided, best, release or groups, and perhaps a margin.
        max_seeds: seeds of the last look.
        budget: trials (80) or hours (4h).
        against: name or folder of a release.
    """

    words: str | None = None
    max_seeds: int | None = None
    budget: str | None = None
    against: str | None = None


@dataclass(frozen=True)
class RunRequest:
    """A run as it is requested.

    Attributes:
        what: the grid and the options that resolve it. On resume only grid, seeds and data_root may be given.
        address: of a Ray cluster; None to start one on this machine.
        max_concurrent: trials at a time; None for the default.
        out: folder of runs; None for `runs`.
        name: of the run's folder in it; None for grid, data set and time.
        policy: how failed trials are handled. On resume, options that are not given here keep their first values.
        track: names of services that track the run.
        changed: on resume, what to do with complete trials of other code, versions or data.
        until: what the run has to decide.
        dry_run: show cells and placement, and train nothing.
        command: the command line, for the run's manifest.
    """

    what: GridRequest = field(default_factory=GridRequest)
    address: str | None = None
    max_concurrent: int | None = None
    out: Path | None = None
    name: str | None = None
    policy: FailurePolicy = field(default_factory=FailurePolicy)
    track: tuple[str, ...] = ()
    changed: Changed = "ask"
    until: UntilRequest = field(default_factory=UntilRequest)
    dry_run: bool = False
    command: str = ""

    @property
    def storage(self) -> Path:
        """The folder of runs."""
        return self.out or Path("runs")
