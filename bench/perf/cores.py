"""How the speed of a training step depends on where the cores of the machine are: `python -m bench.perf.cores`.

    python -m bench.perf.cores [--backbone resnet18] [--size 64] [--batch 4] [--minutes 2] [--json FILE]

The host of a virtual machine may move its cores, onto cores that share a level-3 cache or onto some that do not.
Threads that hand each other their results then wait longer. The machine cannot see this, and a reference of pure
computation does not change. So this measures, again and again and close together: the time in which two cores hand a
byte to each other and back, the reference of the trials, and some steps. If that time has two levels, and steps take
longer at one of them, the speed of a trial depends on its luck, and trials are compared within one level only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from scipy import stats

import models
from bench.core import EXIT_OK, UsageError, command, describe, start
from bench.perf.models import Case, training_step
from bench.spec import Placement

STEPS = 8


class Moment(NamedTuple):
    """Nanoseconds of a hand-over and GFLOP/s of the reference, before and after some steps; ms of one of these."""

    hand_over: float
    reference: float
    step: float


def moments(step: Callable[[], object], seconds: float) -> list[Moment]:
    """Return what was measured, moment by moment, for some time; without moments at whose edges the cores moved.

    Raises:
        UsageError: this machine has one core, or one on which no time is known.
    """
    from bench.trial.hand_over import HandOver
    from bench.trial.machine_reference import reference
    from results import hand_over

    between = HandOver()
    found = []
    until = time.monotonic() + seconds
    try:
        before = between.measure(), reference(Placement())["gflops"]
        while time.monotonic() < until:
            began = time.perf_counter()
            for _ in range(STEPS):
                step()
            took = (time.perf_counter() - began) / STEPS
            after = between.measure(), reference(Placement())["gflops"]
            if before[0] and after[0] and not hand_over.moved(before[0], after[0]):
                found.append(Moment((before[0] + after[0]) / 2, (before[1] + after[1]) / 2, 1e3 * took))
            before = after
    finally:
        between.close()
    if not found:
        raise UsageError("no time of a hand-over is known: it takes two cores that nothing else uses, on Linux")
    return found


def table(found: Sequence[Moment]) -> list[str]:
    """Return a table of the quarters of the moments by the time of a hand-over, and the rank correlations."""
    ranked = sorted(found)
    lines = ["| hand-over, ns | reference, GFLOP/s | ms per step |", "|--:|--:|--:|"]
    for part in np.array_split(np.array(ranked), 4):
        between, reference, step = np.median(part, 0)
        lines.append(f"| {between:.0f} | {reference:.0f} | {step:.1f} |")
    times, reference, steps = (np.array(values) for values in zip(*found, strict=True))
    lines += [
        "",
        f"{len(found)} moments. Rank correlation of the time of a step with that of a hand-over "
        f"{stats.spearmanr(times, steps).statistic:+.2f}, with the reference "
        f"{stats.spearmanr(reference, steps).statistic:+.2f}.",
    ]
    return lines


@command
def main(
    backbone: Annotated[str, typer.Option()] = "resnet18",
    size: Annotated[int, typer.Option(min=32, help="Pixels.")] = 64,
    batch: Annotated[int, typer.Option(min=1)] = 4,
    minutes: Annotated[float, typer.Option(min=0.1)] = 2.0,
    out: Annotated[Path | None, typer.Option("--json", help="Write figures and machine here.")] = None,
) -> int:
    """Measure steps, hand-overs and the reference in turns, and print how they hang together."""
    case = Case(backbone, size, batch, 4, "float32")
    spec = models.ModelSpec(backbone=backbone, output_stride=32, aspp_channels=16, decoder_channels=16)
    step = training_step(models.build(spec, case.classes), case)
    for _ in range(3):
        step()
    found = moments(step, 60 * minutes)
    print(f"{case}\n\n" + "\n".join(table(found)))
    if out is not None:
        rows = {"environment": dict(describe()), "case": case._asdict(), "moments": [one._asdict() for one in found]}
        out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return EXIT_OK


if __name__ == "__main__":
    start(main)
