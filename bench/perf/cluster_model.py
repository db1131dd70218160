"""A run of a grid on a cluster of any size, simulated event by event from the costs of its parts.

Every GPU trains trials one after another. What several GPUs share is a queue that serves one request at a time, in the
order of arrival: the driver, which schedules trials and hears their events, and the storage, which takes checkpoints
(at the pace of `bench.core.WritingPace`) and records. The cores of a GPU make its batches and nobody else's. Networks
and failures are not modelled.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from bench.core import WritingPace

Part = Literal["steps", "input", "start", "scoring", "storage", "scheduling", "end", "report"]
PARTS: tuple[Part, ...] = ("steps", "input", "start", "scoring", "storage", "scheduling", "end", "report")
"""Where the time of a GPU goes: training steps; waiting for their batches; imports, model and tracing; evaluation;
checkpoints and records; waiting for the driver; idle while the last trials end; idle while the report is written."""


@dataclass(frozen=True)
class Costs:
    """Seconds of the parts of a run.

    Attributes:
        schedule: of the driver for a trial, from its start to its end.
        event: of the driver for an event of a trial.
        start: of a trial before its first step.
        step: of a GPU for a step.
        batch: CPU seconds of the batch of a step.
        scoring: of an evaluation.
        checkpoint: of the storage, for the checkpoint of an epoch.
        record: of the storage, for the record of a trial.
        report: of tables and report, per trial to the power of `report_power`.
        report_power: how tables and report grow with the trials.
    """

    schedule: float
    event: float
    start: float
    step: float
    batch: float
    scoring: float
    checkpoint: float
    record: float
    report: float
    report_power: float = 1.0


@dataclass(frozen=True)
class Work:
    """What is to be done: trials per GPU, epochs and steps of each, and the events that an epoch sends."""

    trials_per_gpu: int
    epochs: int
    steps_per_epoch: int
    events_per_epoch: int


class _Stage(NamedTuple):
    """A stage of a trial; `queue` is what several GPUs share, and `waits` whether the GPU waits for it."""

    part: Part
    seconds: float
    queue: str = ""
    waits: bool = True


@dataclass
class _Clock:
    """The time of the simulation, in seconds."""

    now: float = 0.0


@dataclass
class Outcome:
    """What became of a run.

    Attributes:
        gpus: their number.
        trials: their number.
        seconds: from the command to the report.
        spent: GPU seconds by part; together they are `gpus * seconds`.
        busy: seconds that each queue served.
    """

    gpus: int
    trials: int
    seconds: float = 0.0
    spent: dict[Part, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    busy: dict[str, float] = field(default_factory=dict)

    def share(self, part: Part) -> float:
        """Return the share of the time of all GPUs that a part takes, 0..1."""
        return self.spent[part] / (self.gpus * self.seconds)

    @property
    def limit(self) -> Part:
        """The part that takes most of the time besides the steps."""
        return max((part for part in PARTS if part != "steps"), key=lambda part: self.spent[part])


def simulate(gpus: int, cores_per_gpu: float, work: Work, costs: Costs) -> Outcome:
    """Simulate a run.

    Args:
        gpus: number of GPUs, one per trial.
        cores_per_gpu: CPU cores that make the batches of a GPU.
        work: what is to be done.
        costs: of its parts.
    """
    found = Outcome(gpus, gpus * work.trials_per_gpu, busy={"driver": 0.0, "storage": 0.0})
    free = dict.fromkeys(found.busy, 0.0)
    clock = _Clock()
    running = [(0.0, gpu, _of_gpu(cores_per_gpu, work, costs, clock)) for gpu in range(gpus)]
    last = [0.0] * gpus
    while running:
        now, gpu, stages = heapq.heappop(running)
        clock.now = now
        stage = next(stages, None)
        if stage is None:
            last[gpu] = now
            continue
        then = now + stage.seconds
        if stage.queue:
            then = free[stage.queue] = max(now, free[stage.queue]) + stage.seconds
            found.busy[stage.queue] += stage.seconds
        if stage.waits:
            found.spent[stage.part] += then - now
        heapq.heappush(running, (then if stage.waits else now, gpu, stages))
    report = costs.report * found.trials**costs.report_power
    found.spent["end"] = sum(max(last) - end for end in last)
    found.spent["report"] = gpus * report
    found.seconds = max(last) + report
    return found


def _of_gpu(cores: float, work: Work, costs: Costs, clock: _Clock) -> Iterator[_Stage]:
    """Yield the stages of the trials of a GPU, in order, and read from the clock when each has ended."""
    waiting = max(0.0, costs.batch / cores - costs.step)
    for _ in range(work.trials_per_gpu):
        yield _Stage("scheduling", costs.schedule, "driver")
        yield _Stage("start", costs.start)
        pace = WritingPace()
        for epoch in range(1, work.epochs + 1):
            yield _Stage("steps", work.steps_per_epoch * costs.step)
            yield _Stage("input", work.steps_per_epoch * waiting)
            yield _Stage("scheduling", work.events_per_epoch * costs.event, "driver", waits=False)
            yield _Stage("scoring", costs.scoring)
            began = clock.now
            if epoch == work.epochs or pace.due(began):
                yield _Stage("storage", costs.checkpoint, "storage")
                pace.wrote(began, clock.now)
        yield _Stage("storage", costs.record, "storage")


def saturated_at(work: Work, costs: Costs) -> float:
    """Return the number of GPUs from which on the driver has no pause, if nothing else holds them up."""
    epoch = work.steps_per_epoch * costs.step + costs.scoring + costs.checkpoint
    trial = costs.start + work.epochs * epoch + costs.record
    return trial / (costs.schedule + work.epochs * work.events_per_epoch * costs.event)
