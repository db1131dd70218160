"""How long a run may take, estimated from the cost of its models and from earlier records on the same devices."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import results
from bench.core import describe
from bench.plan.grid import Grid
from bench.plan.placement import Machine, Plan, same_kind
from bench.spec import DataSpec, TrialSpec, share_of_pixels

if TYPE_CHECKING:
    from bench.data import Dataset
    from bench.plan.model_costs import Sized
    from models import Cost

NEWEST = 200
"""Most earlier records that are read, the newest ones."""
BACKWARD = 2.0
"""FLOPs of the backward pass divided by those of the forward pass: the gradients of inputs and of weights."""

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Forecast:
    """Device-hours of a run.

    Attributes:
        flops: of all trainings together, including those of a search.
        hours: (least, typical, most) device-hours; None if earlier records do not give the speed of all cells.
        device: the unit of `hours`: "GPU", or "trial" without GPUs, where several trials may share a machine.
        records: number of earlier records that it is based on.
        known: number of cells that these are of; the others are extrapolated by their FLOPs.
        seconds: typical seconds of one trial, by cell; FLOPs instead if the speed is unknown.
    """

    flops: float
    hours: Interval | None
    device: str
    records: int
    known: int
    seconds: Mapping[str, float]

    def __str__(self) -> str:
        work = f"{self.flops / 1e15:.3g} PFLOP of training"
        if self.hours is None:
            return f"{work}; hours unknown: no earlier run in the folder of this one has such trials on these devices"
        least, typical, most = (f"{hours:.2g}" for hours in self.hours)
        # A single record tells no spread: an interval from it to itself would pretend to.
        between = "" if least == most else f"{least} to {most}, "
        unit = f"{self.device}-{'hour' if typical == '1' else 'hours'}"
        others = len(self.seconds) - self.known
        rest = f"; {others} of {results.counted(len(self.seconds), 'cell')} by FLOPs" if others else ""
        source = f"from {results.counted(self.records, 'earlier trial')} on these devices{rest}"
        return f"{work}; about {typical} {unit} ({between}{source})"


SCORING_PIXEL = 70
"""Bytes per pixel of a label while it is scored: ids, the two boundary bands and their integral images."""
SCORING_STRIP = 80 << 20
"""Most bytes that `models.labels` takes for its strips, for a label of any size."""


def scoring_bytes(size: int, batch: int, classes: int, pixels: int) -> int:
    """Return the bytes that an evaluation takes besides the model's own layers.

    Args:
        size: longest side of an image as the model sees it, in pixels.
        batch: images per batch.
        classes: channels of the logits.
        pixels: number of pixels of the largest label, at its own size.
    """
    seen = batch * size**2
    scores = 4 * seen * (2 * classes + 3)  # the logits, the logits of the content, and the image
    return scores + min(SCORING_STRIP, 10 * pixels * classes) + SCORING_PIXEL * pixels + batch * pixels


def costs(
    plan: Plan, found: Mapping[DataSpec, Dataset], progress: Callable[[int, int], object] = lambda done, of: None
) -> dict[str, tuple[Sized, Cost]]:
    """Return what one training image costs, by cell. This takes seconds per distinct model, in other processes.

    Args:
        plan: the placed trials.
        found: its data sets.
        progress: called with the number of models that are done, and of those that are not in the cache.
    """
    from bench.plan.model_costs import Sized
    from bench.plan.model_costs import costs as worked_out

    sized = {}
    for cell in plan.grid.cells:
        model = cell.spec.model.model_copy(update={"weights": "none"})
        size, classes = cell.spec.data.crop, len(found[cell.spec.data].class_names)
        sized[cell.spec.cell] = Sized(model, classes, size, cell.spec.train.precision)
    by_size = worked_out(sized.values(), progress)
    return {cell: (one, by_size[one]) for cell, one in sized.items()}


def forecast(
    plan: Plan, costs: Mapping[str, tuple[Sized, Cost]], earlier: Path, accelerators: Collection[str] = ()
) -> Forecast:
    """Return the device-hours of a plan.

    Args:
        plan: the placed trials.
        costs: by cell, as `costs` returns them; empty if earlier records tell the seconds of every cell.
        earlier: folder of runs whose records give the speed.
        accelerators: kinds of GPU that the trials will have, as this machine or the cluster names them.
    """
    specs = [cell.spec for cell in plan.grid.cells]
    work = {spec.cell: _flops(spec, costs[spec.cell][1].flops) if costs else math.nan for spec in specs}
    known = known_records(earlier, plan.gpus, accelerators)
    times = [trainings(plan.grid, spec) for spec in specs]
    total = sum(work[spec.cell] * often for spec, often in zip(specs, times, strict=True))
    told = [one for spec in specs if (one := _seconds(spec, work, known))]
    hours = None
    if len(told) == len(specs):
        devices = [_devices(spec.placement.gpus, spec.placement.hosts) if plan.gpus else 1 for spec in specs]
        share = [count * often / 3600 for count, often in zip(devices, times, strict=True)]
        least, typical, most = (sum(t[i] * s for t, s in zip(told, share, strict=True)) for i in range(3))
        hours = least, typical, most
    seconds = {spec.cell: one[1] for spec, one in zip(specs, told, strict=True)} if hours else work
    used = [record.cell for record in known if record.cell in work]
    return Forecast(total, hours, "GPU" if plan.gpus else "trial", len(used), len({*used}), seconds)


def known_records(earlier: Path, gpus: int, accelerators: Collection[str] = ()) -> list[results.Record]:
    """Return the newest complete records of a folder of runs that were made on such devices.

    Args:
        earlier: folder of runs.
        gpus: number of GPUs of a trial; 0 for a CPU like that of this machine.
        accelerators: as for `forecast`.
    """
    return [record for record in _newest(earlier) if _same_devices(record, gpus, accelerators)]


def longest_first(plan: Plan, found: Mapping[DataSpec, Dataset], earlier: Path, nodes: Sequence[Machine]) -> Plan:
    """Return the plan with a duration per cell, if the order of trials matters.

    The order matters if cells differ in their work and several trials run at a time.

    Args:
        found: the data sets of the plan.
        earlier: folder of runs whose records give the speed.
        nodes: the machines trials may run on.
    """
    concurrency = plan.concurrent or sum(node.gpus for node in nodes)
    if concurrency < 2 or len({_work(cell.spec) for cell in plan.grid.cells}) < 2:
        return plan
    return replace(plan, seconds=forecast(plan, costs(plan, found), earlier, accelerators(nodes)).seconds)


def accelerators(nodes: Sequence[Machine]) -> set[str]:
    """Return the kinds of GPU of these nodes."""
    return {node.accelerator for node in nodes if node.accelerator}


def _work(spec: TrialSpec) -> str:
    """Return what the duration of a trial depends on, as JSON. The loss is left out, because it hardly matters."""
    return spec.model_dump_json(include={"model", "data", "train", "eval", "placement"})


def _seconds(spec: TrialSpec, work: Mapping[str, float], known: Sequence[results.Record]) -> Interval | None:
    """Return the least, typical and most seconds of a trial.

    They are those of earlier trials of this cell on as many devices. If there are none, they are the FLOPs of the trial
    divided by the FLOP rate per device of earlier trials of any cell of the plan, plus the seconds that these took
    besides training. If there are none of these either, the result is None.

    Args:
        spec: of the trial.
        work: FLOPs of a training, by cell.
        known: earlier records on the same devices.
    """
    devices = _devices(spec.placement.gpus, spec.placement.hosts)
    took = [r.clocks.total_s or 0.0 for r in known if (r.cell, _devices_of(r)) == (spec.cell, devices)]
    if took:
        return min(took), statistics.median(took), max(took)
    trained = [(r, r.clocks.train_s) for r in known if r.cell in work and r.clocks.train_s]
    if not trained:
        return None
    rates = [work[record.cell] / seconds / _devices_of(record) for record, seconds in trained]
    beside = statistics.median((record.clocks.total_s or 0.0) - seconds for record, seconds in trained)
    own = work[spec.cell] / devices
    return beside + own / max(rates), beside + own / statistics.median(rates), beside + own / min(rates)


def _devices(gpus: int, hosts: int) -> int:
    """Return the number of devices of a trial: the GPUs of its hosts, or 1 for each of them."""
    return max(1, gpus) * hosts


def _devices_of(record: results.Record) -> int:
    return _devices(record.spec.get("placement", {}).get("gpus", 0), record.hosts)


def trainings(grid: Grid, spec: TrialSpec) -> float:
    """Return how often a cell is trained: once per seed, plus its search in units of whole trainings."""
    if grid.search is None:
        return grid.seeds
    epochs = grid.search.epochs or spec.train.epochs
    return grid.seeds + len(grid.search.candidates) * grid.search.seeds * epochs / spec.train.epochs


def _flops(spec: TrialSpec, forward: float) -> float:
    """Return the FLOPs of a training, given those of the forward pass of one image."""
    train = spec.train
    return (1 + BACKWARD) * forward * share_of_pixels(spec) * train.steps * train.batch_size


def _newest(folder: Path) -> Iterable[results.Record]:
    """Yield the records of complete trials among the `NEWEST` newest records of a folder of runs."""
    files = sorted(folder.glob("*/trials/*/record.json"), key=lambda path: -path.stat().st_mtime)[:NEWEST]
    for path in files:
        try:
            record = results.read(path)
        except ValueError:
            continue
        if record.status == "ok":
            yield record


def _same_devices(record: results.Record, gpus: int, accelerators: Collection[str]) -> bool:
    """Return whether a record was made on GPUs of these kinds, or on a CPU like this machine's if `gpus` is 0."""
    environment = record.environment
    if gpus:
        name = str((environment.get("gpu_names") or [""])[0])
        return environment.get("device") == "gpu" and any(same_kind(kind, name) for kind in accelerators)
    here = describe()
    alike = {"instructions": here["instructions"], **environment}  # early records lack the instructions
    return environment.get("device") == "cpu" and all(
        alike.get(name) == here[name] for name in ("processor", "instructions", "cores")
    )
