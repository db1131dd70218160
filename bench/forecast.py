"""How long a run may take, from what its models cost and from earlier records on the same devices."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import results
from bench.environment import describe, gpu_names
from bench.plan import Plan
from bench.spec import DataSpec, TrialSpec

if TYPE_CHECKING:
    from bench.costs import Sized
    from bench.data.dataset import Dataset
    from models.cost import Cost

NEWEST = 200
"""Earlier records that are looked at."""
BACKWARD = 2.0
"""FLOPs of the backward pass over those of the forward pass: the gradients of inputs and of weights."""

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Forecast:
    """Device-hours of a run.

    Attributes:
        flops: of all trainings together.
        hours: (least, typical, most), None when no earlier record tells the speed of these devices.
        device: "GPU" or "machine".
        records: how many earlier records it rests on.
        seconds: of one trial, typically, by cell.
    """

    flops: float
    hours: Interval | None
    device: str
    records: int
    seconds: Mapping[str, float]

    def __str__(self) -> str:
        work = f"{self.flops / 1e15:.3g} PFLOP of training"
        if self.hours is None:
            return f"{work}; hours unknown: no earlier record of these devices beside the new run"
        least, typical, most = self.hours
        return (
            f"{work}; about {typical:.2g} {self.device}-hours ({least:.2g} to {most:.2g}), "
            f"by {self.records} earlier trials on these devices"
        )


def costs(plan: Plan, found: Mapping[DataSpec, Dataset]) -> dict[str, tuple[Sized, Cost]]:
    """What one training image costs, by cell; seconds for each distinct model, in other processes."""
    from bench.costs import Sized
    from bench.costs import costs as worked_out

    sized = {}
    for cell in plan.grid.cells:
        model = cell.spec.model.model_copy(update={"weights": "none"})
        size, classes = cell.spec.data.crop, len(found[cell.spec.data].class_names)
        sized[cell.spec.cell] = Sized(model, classes, size, cell.spec.train.precision)
    by_size = worked_out(sized.values())
    return {cell: (one, by_size[one]) for cell, one in sized.items()}


def forecast(plan: Plan, costs: Mapping[str, tuple[Sized, Cost]], earlier: Path) -> Forecast:
    """Device-hours of a plan.

    A cell that has been run on such devices takes as long again; another takes its FLOPs over the rate at which earlier
    trainings went there (least, median and greatest), and what they took beside training.

    Args:
        earlier: folder of runs whose records tell the speed.
    """
    flops = {cell.spec.cell: _flops(cell.spec, costs[cell.spec.cell][1].flops) for cell in plan.grid.cells}
    known = [record for record in _newest(earlier) if _same_devices(record, plan.gpus)]
    by_cell: dict[str, list[float]] = {}
    for record in known:
        by_cell.setdefault(record.cell, []).append(record.clocks.total_s or 0.0)
    rates = [
        flops[record.cell] / record.clocks.train_s for record in known if record.cell in flops and record.clocks.train_s
    ]
    beside = statistics.median((r.clocks.total_s or 0.0) - (r.clocks.train_s or 0.0) for r in known) if known else 0.0
    each: dict[str, Interval] = {}
    for cell, work in flops.items():
        if cell in by_cell:
            each[cell] = min(by_cell[cell]), statistics.median(by_cell[cell]), max(by_cell[cell])
        elif rates:
            fast, typical, slow = max(rates), statistics.median(rates), min(rates)
            each[cell] = beside + work / fast, beside + work / typical, beside + work / slow
    total = sum(flops.values()) * plan.grid.seeds
    hours = None
    if len(each) == len(flops):
        share = {cell.spec.cell: plan.grid.seeds * max(1, cell.spec.placement.gpus) / 3600 for cell in plan.grid.cells}
        least, typical, most = (sum(each[cell][i] * share[cell] for cell in each) for i in range(3))
        hours = least, typical, most
    seconds = {cell: times[1] for cell, times in each.items()} if hours else dict(flops)
    return Forecast(total, hours, "GPU" if plan.gpus else "machine", len(known), seconds)


def _flops(spec: TrialSpec, forward: float) -> float:
    train = spec.train
    return (1 + BACKWARD) * forward * train.epochs * train.steps_per_epoch * train.batch_size


def _newest(folder: Path) -> Iterable[results.Record]:
    files = sorted(folder.glob("*/trials/*/record.json"), key=lambda path: -path.stat().st_mtime)[:NEWEST]
    for path in files:
        try:
            record = results.read(path)
        except ValueError:
            continue
        if record.status == "ok":
            yield record


def _same_devices(record: results.Record, gpus: int) -> bool:
    environment = record.environment
    if gpus:
        return environment.get("device") == "gpu" and environment.get("gpu_names", [None])[0] in gpu_names()
    here = describe()
    return environment.get("device") == "cpu" and all(environment.get(k) == here[k] for k in ("processor", "cores"))
