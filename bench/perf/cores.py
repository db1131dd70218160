"""How the speed of a training step depends on where the cores of the machine are: `python -m bench.perf.cores`.

    python -m bench.perf.cores [--backbone resnet18] [--size 64] [--batch 4] [--minutes 2] [--json FILE]

The host of a virtual machine may move its cores, onto cores that share a level-3 cache or onto some that do not. All
cores together then read and write memory faster, while threads that hand each other their results wait longer. The
machine cannot see this, and a reference of pure computation does not change. So this measures, again and again and
close together: how fast all cores add arrays that fit in no cache, the reference of the trials, and some steps. If the
rate of the additions has two levels, and steps take longer at one of them, the speed of a trial depends on its luck.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from scipy import stats

import models
from bench.core import EXIT_OK, command, describe, start
from bench.perf.models import Case, training_step
from bench.spec import Placement

NUMBERS = 8_000_000
"""Float32 of an array: 32 MB, of which each core adds two."""
STEPS = 8
CALLS = 6


class Moment(NamedTuple):
    """GB/s of all cores together and GFLOP/s of the reference, before and after some steps; ms of one of these."""

    memory: float
    reference: float
    step: float


def additions(threads: int) -> Callable[[], float]:
    """Return a function that measures the rate, GB/s, at which threads read two arrays each and write one of them."""
    arrays = [(np.ones(NUMBERS, np.float32), np.ones(NUMBERS, np.float32)) for _ in range(threads)]
    pool = ThreadPoolExecutor(threads)  # NumPy lets go of the interpreter's lock while it adds

    def add(pair: tuple[np.ndarray, np.ndarray]) -> None:
        np.add(*pair, out=pair[0])

    def measure() -> float:
        took = []
        for _ in range(CALLS):
            began = time.perf_counter()
            list(pool.map(add, arrays))
            took.append(time.perf_counter() - began)
        return threads * 3 * 4 * NUMBERS / statistics.median(took) / 1e9

    return measure


def moments(step: Callable[[], object], seconds: float) -> list[Moment]:
    """Return what was measured, moment by moment, for some time."""
    from bench.trial.machine_reference import reference

    memory = additions(len(os.sched_getaffinity(0)))
    found = []
    until = time.monotonic() + seconds
    before = memory(), reference(Placement())["gflops"]
    while time.monotonic() < until:
        began = time.perf_counter()
        for _ in range(STEPS):
            step()
        took = (time.perf_counter() - began) / STEPS
        after = memory(), reference(Placement())["gflops"]
        found.append(Moment((before[0] + after[0]) / 2, (before[1] + after[1]) / 2, 1e3 * took))
        before = after
    return found


def table(found: Sequence[Moment]) -> list[str]:
    """Return a table of the quarters of the moments by the rate of the additions, and the rank correlations."""
    ranked = sorted(found)
    lines = ["| GB/s of all cores | reference, GFLOP/s | ms per step |", "|--:|--:|--:|"]
    for part in np.array_split(np.array(ranked), 4):
        memory, reference, step = np.median(part, 0)
        lines.append(f"| {memory:.0f} | {reference:.0f} | {step:.1f} |")
    memory, reference, steps = (np.array(values) for values in zip(*found, strict=True))
    lines += [
        "",
        f"{len(found)} moments. Rank correlation of the time of a step with the rate of the additions "
        f"{stats.spearmanr(memory, steps).statistic:+.2f}, with the reference "
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
    """Measure steps, memory and the reference in turns, and print how they hang together."""
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
