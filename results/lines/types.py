"""Types of a history: a point, a step, a line, and all lines."""

import math
from dataclasses import dataclass

from results.comparison.margins import Margins
from results.comparison.types import ComparisonRow, Verdict


@dataclass(frozen=True)
class Step:
    """A change of the level.

    Attributes:
        row: the row of the test.
        against: columns of the runs that the test compared with; several: a drift, seen against the whole level.
    """

    row: ComparisonRow
    against: tuple[int, ...]

    @property
    def drift(self) -> bool:
        """Return whether only the comparison with the whole level shows the change."""
        return len(self.against) > 1


@dataclass(frozen=True)
class Point:
    """What one run says about a line.

    Attributes:
        mean: in the metric's own unit, geometric where the metric's scale is a ratio; NaN if it was not measured.
        low, high: its 95 % interval; NaN if the seeds do not allow one.
        seeds: number of seeds with a value; 0 if it was not measured.
        level: number of the level that the point belongs to, from 0; -1 if it was not measured.
        before: column of the run that it was judged against; None for the first that was measured.
        row: the metric's row of that judgement; None if nothing was judged.
        verdict, reason: those of the row, or of how the trials ended, if that changed; None if nothing was judged.
        broken: why it is not comparable with the run before; empty if it is.
        step: the change of the level; None if there is none.
    """

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    seeds: int = 0
    level: int = -1
    before: int | None = None
    row: ComparisonRow | None = None
    verdict: Verdict | None = None
    reason: str = ""
    broken: str = ""
    step: Step | None = None


@dataclass(frozen=True)
class Line:
    """A cell in a view and a metric over runs; `points` has one point per run.

    The label is unique in its data set: where several cells have the same one, the cell's key follows it.
    """

    dataset: str
    cell: str
    label: str
    view: str
    metric: str
    points: tuple[Point, ...]

    @property
    def measured(self) -> list[int]:
        """List the columns of the runs that measured it."""
        return [column for column, point in enumerate(self.points) if point.seeds]


@dataclass(frozen=True)
class History:
    """The lines of all runs.

    Attributes:
        runs: a name per run, from the oldest to the newest.
        lines: sorted by data set, metric (in the order of the margins), label and view.
        margins: the rules of the test.
    """

    runs: tuple[str, ...]
    lines: tuple[Line, ...]
    margins: Margins

    @property
    def datasets(self) -> list[str]:
        """List the names of the data sets, sorted."""
        return sorted({line.dataset for line in self.lines})
