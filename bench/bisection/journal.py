"""The state of a search on disk: what was fixed at the start, and every trial since. One file, written atomically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

import results
from bench.bisection.answers import Answer
from bench.bisection.measures import Measure
from bench.core import StorageLost, UsageError, first_fault
from bench.plan import Cell, grid
from bench.revisions import Commit, Revision
from results.statistics import SearchPlan

JOURNAL = "bisection.json"
DISTURBED = 3
"""Times that a turn is begun again because other work disturbed it, before its trial counts as lost."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class End(_Part):
    """GOOD or BAD, see `bench.revisions.Revision`."""

    repository: str
    commit: str
    parent: str
    name: str
    dirty: bool

    @property
    def revision(self) -> Revision:
        """The revision that it stands for."""
        return Revision(Path(self.repository), self.commit, self.parent, self.name, self.dirty)


class Trial(_Part):
    """One trial: its commit's number, its turn, the metric's value, or why there is none, and the hand-over (ns)."""

    commit: int
    turn: int
    value: float | None
    reason: str = ""
    disturbed: bool = False
    folder: str
    seconds: float
    hand_over_ns: float | None = None


class Journal(_Part):
    """Everything that a search is and has.

    Attributes:
        good, bad: the ends.
        line: the commits from GOOD to BAD, both included.
        cell: label, axes and spec of the trials.
        machine: entries of the environment in which it began.
        metric, margin, disturbed: see `Measure`; `margin` in the metric's unit, or a share for ratios.
        most_turns, alpha: see `SearchPlan`.
        trial_timeout: seconds of a trial; None for no limit.
        trials: those that count.
        again: turn -> how often it was begun again because other work disturbed it.
        broken: numbers of commits that cannot be measured at all, and why.
        used: trials run, those included that were given up.
        seconds: of all these.
        answer: of a search that has ended.
    """

    schema_version: Literal[1] = 1
    created: str
    command: str
    good: End
    bad: End
    line: tuple[Commit, ...]
    cell: dict[str, Any]
    machine: dict[str, Any]
    metric: str
    margin: float
    disturbed: bool
    most_turns: int
    alpha: float
    trial_timeout: float | None
    trials: tuple[Trial, ...] = ()
    again: dict[int, int] = {}
    broken: dict[int, str] = {}
    used: int = 0
    seconds: float = 0.0
    answer: Answer | None = None

    @property
    def measure(self) -> Measure:
        """The metric."""
        return Measure(self.metric, self.disturbed)

    @property
    def planned_cell(self) -> Cell:
        """The cell of the trials."""
        spec = grid.parse(self.cell["spec"], f"{JOURNAL}: cell")
        return Cell(self.cell["label"], self.cell["axes"], spec)

    @property
    def scores(self) -> dict[tuple[int, int], float | None]:
        """The scores of the trials, more being worse, by commit and turn."""
        measure = self.measure
        return {
            (trial.commit, trial.turn): None if trial.value is None else measure.score(trial.value)
            for trial in self.trials
        }

    @property
    def plan(self) -> SearchPlan:
        """What the search fixed before the first trial. The first value of GOOD gives a floor in MiB or seconds."""
        base = next((t.value for t in self.trials if t.commit == 0 and t.value is not None), None)
        limit = self.measure.rules.limit(self.margin, base or 1e9)
        return SearchPlan(len(self.line) - 1, limit, self.most_turns, self.measure.fresh, self.alpha)

    def with_trial(self, trial: Trial) -> Journal:
        """Return the journal with one more trial. A turn that other work disturbed is begun again, a few times."""
        counted = self.model_copy(update={"used": self.used + 1, "seconds": self.seconds + trial.seconds})
        times = self.again.get(trial.turn, 0) + 1
        if trial.disturbed and times <= DISTURBED:
            return counted.model_copy(update={"again": {**self.again, trial.turn: times}}).without_turn(trial.turn)
        return counted.model_copy(update={"trials": (*self.trials, trial)})

    def without_turn(self, turn: int) -> Journal:
        """Return the journal without the trials of a turn, which are to be run again side by side."""
        return self.model_copy(update={"trials": tuple(t for t in self.trials if t.turn != turn)})

    def with_broken(self, number: int, reason: str) -> Journal:
        """Return the journal with one more commit that cannot be measured."""
        return self.model_copy(update={"broken": {**self.broken, number: reason}})

    def save(self, folder: Path) -> Journal:
        """Write the journal into the folder of its search, atomically, and return it.

        Raises:
            StorageLost: it cannot be written. The file has the state before.
        """
        text = json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
        try:
            results.write_bytes(folder / JOURNAL, f"{text}\n".encode())
        except OSError as error:
            raise StorageLost(f"{folder / JOURNAL}: cannot be written: {error.strerror}") from None
        return self


def read_journal(folder: Path) -> Journal:
    """Read the journal of a search.

    Raises:
        UsageError: the folder has none, or it cannot be read.
    """
    path = folder / JOURNAL
    try:
        return Journal.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"--resume {folder}: no search there: {path}: {error.strerror}") from None
    except ValidationError as error:
        fault = first_fault(error)
        raise UsageError(f"{path}: {fault.place or 'journal'}: {fault.message}; begin a new search") from None
