"""How the time of a training step grows with crop, batch and classes, with the fitted exponents.

    python -m bench.perf.work [--backbone efficientnetlite_b0] [--output-stride 32] [--rounds 5] [--json FILE]

One quantity grows, and the others stay at those of a quick trial. Seconds grow as quantity^k. k is the slope of a
straight line through the logarithms (least squares, with its standard error). A second k is that of the two largest
values, where costs per step that do not grow hardly matter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import keras
import typer
from scipy import stats

import models
from bench.core import command, describe, start
from bench.perf.models import Case, training_step
from bench.perf.rounds import medians

USUAL = {"size": 128, "batch": 8, "classes": 8}
GROWING = {"size": (128, 192, 256, 384, 512), "batch": (1, 2, 4, 8, 16, 32), "classes": (2, 8, 21, 60, 150)}


def seconds(spec: models.ModelSpec, quantity: str, rounds: int) -> dict[int, float]:
    """Return the median seconds of a training step for each value of a quantity, measured in turns."""
    steps = {}
    for value in GROWING[quantity]:
        case = Case(spec.backbone, precision="float32", **{**USUAL, quantity: value})
        steps[str(value)] = training_step(models.build(spec, case.classes), case)
    found = {int(value): time for value, time in medians(steps, rounds, warm_up=2).items()}
    keras.backend.clear_session()
    return found


def exponent(times: Mapping[int, float]) -> tuple[float, float, float]:
    """Fit seconds = c * quantity^k; return k, its standard error, and the k of the two largest values."""
    line = stats.linregress([math.log(value) for value in times], [math.log(time) for time in times.values()])
    (small, less), (large, more) = sorted(times.items())[-2:]
    return float(line.slope), float(line.stderr), math.log(more / less) / math.log(large / small)


@command
def main(
    backbone: Annotated[str, typer.Option()] = "efficientnetlite_b0",
    output_stride: Annotated[int, typer.Option(help="8, 16 or 32.")] = 32,
    rounds: Annotated[int, typer.Option(min=3)] = 5,
    out: Annotated[Path | None, typer.Option("--json", help="Write figures and machine here.")] = None,
) -> int:
    """Measure how a training step's time grows with crop, batch and classes."""
    spec = models.ModelSpec(backbone=backbone, output_stride=output_stride)
    found = {quantity: seconds(spec, quantity, rounds) for quantity in GROWING}
    print("| what grows | ms a step | exponent | of the two largest |\n|---|---|--:|--:|")
    for quantity, times in found.items():
        slope, error, last = exponent(times)
        cells = ", ".join(f"{value}: {1e3 * time:.0f}" for value, time in times.items())
        print(f"| {quantity} | {cells} | {slope:.2f} ± {error:.2f} | {last:.2f} |")
    if out is not None:
        rows = {"environment": dict(describe()), "model": spec.model_dump(), "usual": USUAL, "seconds": found}
        out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    start(main)
