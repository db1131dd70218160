"""The time that a new run will take, told before its first trial: from earlier runs, else from this machine's speed.

Without earlier records one model of the grid is applied to a batch in a process of its own. The seconds until it has
run once and those of its forward pass make the estimate. It is a range, because neither compiling a training step nor
the backward pass is measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import results
from bench.core import UsageError
from bench.plan.durations import accelerators, costs, forecast, known_records, trainings
from bench.plan.placement import Machine, Plan
from bench.spec import DataSpec, TrialSpec, share_of_pixels

if TYPE_CHECKING:
    from bench.data import Dataset
    from bench.plan.model_costs import Speed

LEAST_IMAGES = 2000
"""Training images of a whole run below which nothing is measured: it would be over soon after."""
START = (1.5, 3.0)
"""Seconds of a trial besides training and evaluation, divided by those until a model has run once: least and most."""
STEP = (3.0, 5.0)
"""Seconds of a training step divided by those of its forward pass in inference: least and most."""
SCORING = (1.0, 8.0)
"""Seconds of an evaluation divided by those of its forward passes: least and most. Scoring costs, too."""


@dataclass(frozen=True)
class TimeEstimate:
    """Seconds of a whole run, least and most; `records` counts the earlier trials that tell them, 0 if none does."""

    least: float
    most: float
    records: int

    def __str__(self) -> str:
        source = f"from {results.counted(self.records, 'earlier trial')} here" if self.records else "first run here"
        return f"about {results.time_range(self.least, self.most)} ({source})"


def time_estimate(
    plan: Plan, data: Mapping[DataSpec, Dataset], earlier: Path, nodes: Sequence[Machine], here: bool
) -> TimeEstimate | None:
    """Return the time that a plan will take, or None if nothing tells it.

    Args:
        plan: the placed trials.
        data: its data sets.
        earlier: folder of runs whose records give the speed.
        nodes: the machines that trials may run on.
        here: whether the trials run on this machine, whose speed may be measured. GPUs are not measured.
    """
    kinds = accelerators(nodes)
    at_a_time = _at_a_time(plan, nodes)
    known = known_records(earlier, plan.gpus, kinds)
    cells = {cell.spec.cell for cell in plan.grid.cells}
    if cells & {record.cell for record in known}:
        # Records of all cells tell their seconds without the cost of any model.
        priced = {} if cells <= {record.cell for record in known} else costs(plan, data)
        told = forecast(plan, priced, earlier, kinds)
        if told.hours:
            least, _, most = (3600 * hours / (at_a_time * max(1, plan.all_gpus)) for hours in told.hours)
            return TimeEstimate(least, most, told.records)
    eager = any(cell.spec.train.eager for cell in plan.grid.cells)
    if plan.gpus or not here or eager or _images(plan) < LEAST_IMAGES:
        return None
    try:
        return _measured(plan, data, at_a_time)
    except (UsageError, BrokenExecutor):  # the trials will tell the reason; an estimate is none to stop
        return None


def _measured(plan: Plan, data: Mapping[DataSpec, Dataset], at_a_time: int) -> TimeEstimate:
    """Return the estimate of a first run on this machine."""
    from bench.plan.model_costs import measured

    priced = costs(plan, data)
    one, cost = next(iter(priced.values()))
    batch = plan.grid.cells[0].spec.train.batch_size
    speed = measured(one, batch)
    rate = cost.flops * batch / speed.forward_s
    ranges = [
        _seconds(cell.spec, priced[cell.spec.cell][1].flops, rate, speed, _scored(cell.spec, data[cell.spec.data]))
        for cell in plan.grid.cells
    ]
    often = [trainings(plan.grid, cell.spec) for cell in plan.grid.cells]
    least, most = (
        sum(seconds[end] * times for seconds, times in zip(ranges, often, strict=True)) / at_a_time for end in (0, 1)
    )
    return TimeEstimate(least, most, 0)


def _seconds(spec: TrialSpec, flops: float, rate: float, speed: Speed, scored: int) -> tuple[float, float]:
    """Return the least and the most seconds of a trial.

    Args:
        spec: of the trial.
        flops: of the forward pass of one training image.
        rate: FLOP/s of the forward pass.
        speed: as measured.
        scored: images of all evaluations.
    """
    train = spec.train
    step = flops * share_of_pixels(spec) * train.steps * train.batch_size / rate
    scoring = flops * (spec.data.size / spec.data.crop) ** 2 * scored / rate
    least, most = (speed.start_s * START[end] + step * STEP[end] + scoring * SCORING[end] for end in (0, 1))
    return least, most


def _images(plan: Plan) -> int:
    return sum(spec.train.epochs * spec.train.steps_per_epoch * spec.train.batch_size for _, _, spec in plan.trials)


def _scored(spec: TrialSpec, dataset: Dataset) -> int:
    """Return the images of all evaluations: validation after each epoch, and every view of all splits at the end."""
    sizes = {name: len(split) for name, split in dataset.splits.items() if name not in spec.data.trained}
    return sizes.get("val", 0) * spec.train.epochs + sum(sizes.values()) * (1 + len(spec.eval.views))


def _at_a_time(plan: Plan, nodes: Iterable[Machine]) -> int:
    """Return how many trials run at a time."""
    possible = plan.concurrent or sum(node.gpus for node in nodes) // max(1, plan.all_gpus)
    return max(1, min(possible, len(plan.trials)))
