"""The times of the cells of a run to their targets."""

from dataclasses import dataclass

import results
from reports.metrics import of
from results.statistics import Time, TimeToTarget, median_time


@dataclass(frozen=True)
class CellTarget:
    """The target of a cell, and its times to it over the seeds.

    Attributes:
        metric, value: a score on the validation split, and what it has to reach.
        each: the time of each seed, in steps.
        steps, seconds, cpu_seconds: medians; seconds are those of training, without compiling and evaluation.
    """

    metric: str
    value: float
    each: tuple[Time, ...]
    steps: TimeToTarget
    seconds: TimeToTarget
    cpu_seconds: TimeToTarget

    @property
    def name(self) -> str:
        """Return the target in words, such as "mIoU 60 %"."""
        return f"{of(self.metric).name} {100 * self.value:g} %"


def by_cell(run: results.Run) -> dict[str, CellTarget]:
    """Return the targets of the cells that have one, by the key of the cell."""
    records: dict[str, list[results.Record]] = {}
    for one in run.trials:
        records.setdefault(one.record.cell, []).append(one.record)
    found = {}
    for key, own in records.items():
        if target := results.target_of(own):
            steps = tuple(results.times_to_target(own))
            medians = [median_time(results.times_to_target(own, kind)) for kind in ("steps", "seconds", "cpu_seconds")]
            found[key] = CellTarget(*target, steps, *medians)
    return found
