"""A training step with wide depthwise filters trained in pieces, beside the same step by TensorFlow's own gradient.

    python -m bench.perf.depthwise [--case efficientnetlite_b0:160:8 ...] [--precision float32] [--rounds 25]

Both are ours and differ in that alone (`models.layers.depthwise`). They take turns in one process.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bench.core import UsageError, command, start
from bench.perf.peers import PRECISIONS, Case, Step, case_of, ours
from bench.perf.ratios import Ratio, report
from bench.perf.rounds import quartiles, times

PIECES, PLAIN = "in pieces", "TensorFlow's own gradient"
BAR = 1.0


@contextmanager
def _undivided() -> Iterator[None]:
    """Let every filter count as narrow while a step is traced."""
    from models.layers import depthwise

    before = depthwise.COLUMNS
    depthwise.COLUMNS = 1000
    try:
        yield
    finally:
        depthwise.COLUMNS = before


def sides(case: Case) -> dict[str, Step]:
    """Return the traced steps by name."""
    build = ours(case)
    steps = {PIECES: build()}
    steps[PIECES]()
    with _undivided():
        steps[PLAIN] = build()
        steps[PLAIN]()
    return steps


def ratio(case: Case, rounds: int) -> Ratio:
    """Return the ratio of the seconds of a step, measured in turns."""
    seconds = times(sides(case), rounds, warm_up=2)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    spread = quartiles(seconds[PIECES], seconds[PLAIN])
    return Ratio(f"step, {case}", "s", middle[PIECES], PLAIN, middle[PLAIN], at_most=BAR, spread=spread)


@command
def main(
    case: Annotated[list[str] | None, typer.Option(help="BACKBONE:PIXELS:BATCH; may be given again.")] = None,
    precision: Annotated[str, typer.Option(help=" or ".join(PRECISIONS))] = "float32",
    output_stride: Annotated[int, typer.Option(help="8, 16 or 32.")] = 16,
    classes: Annotated[int, typer.Option(min=2)] = 21,
    rounds: Annotated[int, typer.Option(min=3)] = 25,
    out: Annotated[Path | None, typer.Option("--json", help="Write figures and machine here.")] = None,
) -> int:
    """Print what training in pieces is worth. Exit status: 0 it is no slower, 1 it is, 2 usage."""
    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision}: expected {' or '.join(PRECISIONS)}")
    cases = [case_of(text, output_stride, classes, precision) for text in case or ["efficientnetlite_b0:160:8"]]
    return report([ratio(one, rounds) for one in cases], out)


if __name__ == "__main__":
    start(main)
