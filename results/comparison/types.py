"""Types of a comparison: a loaded run, one cell of both runs, a row with its verdict, and the whole comparison."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from results import hand_over
from results.comparison.margins import Margins
from results.decision import Decision
from results.record import Record
from results.statistics.gate import Change
from results.table import VIEW_METRICS

Outcome = Literal["ok", "incomplete", "regressed", "inconclusive"]
Verdict = Literal["ok", "improved", "regressed", "inconclusive", "not comparable", "newly failing", "fixed", "missing"]
# The order in which people should read them.
VERDICTS: tuple[Verdict, ...] = (
    "regressed", "newly failing", "missing", "inconclusive", "not comparable", "improved", "fixed", "ok"
)  # fmt: skip
FAILING = ("regressed", "newly failing", "missing")
TRIALS = "trials"
# Metrics of the quality of predictions; the others measure speed or memory.
SCORES = (
    "miou", "mean_dice", "pixel_accuracy", "mean_image_iou", "boundary_iou", "soft_iou", "class_recall", "soft_dice",
    "loss_value", "best_miou",
)  # fmt: skip
# Metrics of the speed of training, which other work on the machine spoils.
SPEEDS = ("images_per_second", "images_per_100_gflop", "target_seconds")
# Times to a target score, which a seed may not reach.
TARGETS = ("target_steps", "target_seconds")

Seeds = dict[int, float]
Key = tuple[str, str, str]  # cell, view, metric


@dataclass(frozen=True)
class ComparisonRow:
    """One cell in one view and one metric. The metric "trials" counts how the cell's trials ended.

    Numbers that were not measured or not tested are NaN. A change has the sign of the value: +5 % seconds is slower.

    Attributes:
        cell, label: the cell's key, and its readable name.
        view, metric: view and metric of the row. The view of "trials" is empty.
        verdict, reason: the verdict, and remarks on it.
        base, head: means in the metric's own unit; geometric means where `scale` is "ratio".
        seeds: numbers of seeds with a value, of base and head.
        change, low, high: the change and its 90 % interval; a difference, or a ratio - 1, depending on `scale`.
        p: Holm-adjusted p-value of being worse.
        margin: the loss that matters, above zero, in the unit of `change`.
        smallest: the smallest true loss that would have been detected, above zero, in the unit of `change`.
        more_seeds: further seeds per side that would decide an inconclusive row; 0: decided, or unknown.
        suspect: worse at the false discovery rate of the margins.
        gate: whether this metric can fail the gate.
        scale: "difference" or "ratio".
        method: the method of the test, see `results.statistics.Change`.
    """

    cell: str
    label: str
    view: str
    metric: str
    verdict: Verdict
    reason: str = ""
    base: float = math.nan
    head: float = math.nan
    seeds: tuple[int, int] = (0, 0)
    change: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    margin: float = math.nan
    smallest: float = math.nan
    more_seeds: int = 0
    suspect: bool = False
    gate: bool = True
    scale: str = "difference"
    method: str = "none"


@dataclass(frozen=True)
class Side:
    """One side of a comparison: its name, its folder, its environment, and what it lacks."""

    name: str
    folder: str
    commit: str
    environments: tuple[str, ...]
    trials: int
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The verdicts, most urgent first.

    Attributes:
        base, head: the two sides.
        rows: one per cell, view and metric.
        headline: the change of the mean mIoU over the cells of both, in fractions.
        improvement: probability that a trial of head beats one of base, 0 to 1, averaged over the cells.
        margins: the rules.
        differences: {name: (base, head)} of the differences between the environments.
        added: labels of the cells that only head has.
        retuned: {cell of head: cell of base} where a search chose another value; they are judged as one cell.
        unjudged: one line per planned cell or view without a verdict on a guarded score.
        require_conclusive: undecided cells fail the gate.
        allow_incomplete: missing trials do not fail the gate.
    """

    base: Side
    head: Side
    rows: tuple[ComparisonRow, ...]
    headline: Change
    improvement: float
    margins: Margins
    differences: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    retuned: Mapping[str, str] = field(default_factory=dict)
    unjudged: tuple[str, ...] = ()
    require_conclusive: bool = False
    allow_incomplete: bool = False

    @property
    def outcome(self) -> Outcome:
        """Return the outcome of the gate; head may be released if it is "ok". The first case that applies decides."""
        if (self.gaps and not self.allow_incomplete) or (not self.measured and not self.failing):
            return "incomplete"
        if self.failing:
            return "regressed"
        return "inconclusive" if self.require_conclusive and self.inconclusive else "ok"

    @property
    def gaps(self) -> tuple[str, ...]:
        """List why this comparison is incomplete, one line per reason.

        It is empty if both sides hold every planned trial, and every planned cell was judged.
        """
        lacking = (f"{side.name}: {gap}" for side in (self.base, self.head) for gap in side.gaps)
        return (*lacking, *self.unjudged)

    @property
    def failing(self) -> tuple[ComparisonRow, ...]:
        """List the rows that fail the gate."""
        return tuple(row for row in self.rows if row.gate and row.verdict in FAILING)

    @property
    def inconclusive(self) -> tuple[ComparisonRow, ...]:
        """List the rows of guarded metrics that the seeds cannot decide."""
        return tuple(row for row in self.rows if row.gate and row.verdict == "inconclusive")

    @property
    def measured(self) -> bool:
        """Return whether each guarded score that both have was compared in some cell, and any guarded metric at all."""
        guarded = [row for row in self.rows if row.gate and row.metric != TRIALS]
        compared = {row.metric for row in guarded if not math.isnan(row.change)}
        both = {row.metric for row in guarded if row.metric in SCORES and min(row.seeds)}
        return bool(compared) and both <= compared

    def count(self, gate: bool = True) -> dict[Verdict, int]:
        """Count the rows per verdict: those that can fail the gate, or the others."""
        found = [row.verdict for row in self.rows if row.gate == gate]
        return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}

    def frame(self) -> pd.DataFrame:
        """Return the rows as a table, one column per attribute."""
        return pd.DataFrame([vars(row) for row in self.rows])


@dataclass(frozen=True)
class LoadedRun:
    """A run as a comparison needs it.

    Attributes:
        side: its description.
        labels: {cell: label}, planned cells first.
        records: {cell: its records}.
        measured: {(cell, view, metric): {seed: value}} of the trials that ended well.
        planned: cells that were planned; others are their versions with a smaller batch.
        shrunk: cells whose trials all ran out of memory, and ended well with a smaller batch.
        decisions: what the run had to decide, by metric; tests of a fixed number of seeds do not hold for it. Empty for
            others.
        usually: where the cores of each machine were in most trials; speeds are those of trials with them there.
    """

    side: Side
    labels: dict[str, str]
    records: dict[str, list[Record]]
    measured: dict[Key, Seeds]
    planned: frozenset[str]
    shrunk: frozenset[str]
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    usually: hand_over.Levels = field(default_factory=dict)

    def of(self, cell: str) -> list[Record]:
        """List the records of a cell."""
        return self.records.get(cell, [])

    def well(self, cell: str) -> list[Record]:
        """List the records of a cell's trials that ended well."""
        return [record for record in self.of(cell) if record.status == "ok"]

    def seeds(self, cell: str, view: str, metric: str) -> Seeds:
        """Return {seed: value}, empty if nothing was measured."""
        return self.measured.get((cell, view, metric), {})

    def owed(self, cell: str) -> set[str]:
        """Return the views that the trials which ended well had to measure, whether they did or not."""
        views = (
            name
            for one in self.well(cell)
            for name in (*one.failed_views, *(v.view for v in one.views if v.split == "val"))
        )
        return set(views)

    def views(self, cell: str) -> list[str]:
        """List the views in which a cell was measured."""
        return sorted({view for key, view, metric in self.measured if key == cell and metric in VIEW_METRICS})


@dataclass(frozen=True)
class Aligned:
    """One cell in both runs; one of them may lack it."""

    cell: str
    base: LoadedRun
    head: LoadedRun

    @property
    def label(self) -> str:
        """Return the cell's readable name, base's if both have one."""
        return (self.base if self.cell in self.base.labels else self.head).labels[self.cell]

    @property
    def sides(self) -> tuple[LoadedRun, LoadedRun]:
        """Return base and head."""
        return self.base, self.head

    @property
    def records(self) -> tuple[list[Record], list[Record]]:
        """Return the records of base and of head."""
        return self.base.of(self.cell), self.head.of(self.cell)

    @property
    def well(self) -> tuple[list[Record], list[Record]]:
        """Return the records of the trials that ended well, of base and of head."""
        return self.base.well(self.cell), self.head.well(self.cell)

    def seeds(self, view: str, metric: str) -> tuple[Seeds, Seeds]:
        """Return {seed: value} of base and of head."""
        return self.base.seeds(self.cell, view, metric), self.head.seeds(self.cell, view, metric)

    def views(self) -> list[str]:
        """List the views in which either side measured the cell, base's first."""
        return list(dict.fromkeys([*self.base.views(self.cell), *self.head.views(self.cell)]))
