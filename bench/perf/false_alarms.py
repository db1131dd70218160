"""`python -m bench.perf.false_alarms`: how often the gate calls equal code slower, measured on real trials.

One revision is compared with itself by `bench.versus`. The seeds are cut into repetitions, each of which is judged as a
comparison of its own. The gate promises that at most 5 % of them raise a false alarm. Nothing else should run on the
machine. With `--out` an interrupted measurement goes on.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from scipy import special

import results
from bench.core import EXIT_OK, cli, command, signals, start
from bench.plan import GridRequest
from bench.versus import Request, run

SMALL = (
    "train.epochs=2", "train.steps_per_epoch=24", "data.size=64", "data.crop=64", "data.train_limit=64",
    "data.val_limit=8", "data.test_limit=2", "eval.pictures=0", "eval.window_steps=4", "eval.keep_checkpoint=last",
    "model.aspp_channels=16", "model.decoder_channels=16",
)  # fmt: skip
"""Settings of a small trial: twelve windows of four steps."""
SPEED = "images_per_second"


@dataclass(frozen=True)
class Counted:
    """What the repetitions said.

    Attributes:
        judged: repetitions in which the speed of some cell was judged.
        alarms: of these, those that call the speed of some cell regressed.
        praises: of these, those that call the speed of some cell improved.
        unjudged: repetitions in which no speed could be compared, because other work disturbed the trials.
    """

    judged: int
    alarms: int
    praises: int
    unjudged: int


def repetitions(base: results.Run, head: results.Run, seeds: int) -> Iterator[tuple[results.Run, results.Run]]:
    """Yield both runs cut to seeds 0 to `seeds` - 1, then to the next as many, and so on. What is left over is dropped.

    Args:
        base, head: runs of the same cells and seeds.
        seeds: number of seeds of a repetition.
    """
    present = sorted({one.record.seed for run in (base, head) for one in run.trials})
    for first in range(0, len(present) - seeds + 1, seeds):
        wanted = set(present[first : first + seeds])
        yield _cut(base, wanted), _cut(head, wanted)


def _cut(run: results.Run, seeds: set[int]) -> results.Run:
    """Return a run with these seeds only."""
    cells = [{**cell, "seeds": sorted(seeds)} for cell in run.manifest.get("cells", [])]
    trials = [one for one in run.trials if one.record.seed in seeds]
    return replace(run, manifest={**run.manifest, "cells": cells}, trials=trials)


def count(base: results.Run, head: results.Run, seeds: int) -> Counted:
    """Judge every repetition as `bench.compare` does, and count what is said about the speed.

    Args:
        base, head: runs of the same cells and seeds, by equal code.
        seeds: number of seeds of a repetition.
    """
    said = [
        {row.verdict for row in results.compare(*both).rows if row.metric == SPEED} - {"not comparable", "missing"}
        for both in repetitions(base, head, seeds)
    ]
    judged = [verdicts for verdicts in said if verdicts]
    alarms, praises = (sum(word in verdicts for verdicts in judged) for word in ("regressed", "improved"))
    return Counted(len(judged), alarms, praises, len(said) - len(judged))


def exact_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a binomial proportion, 0 to 1 (Clopper and Pearson 1934).

    Args:
        successes: number of successes.
        trials: number of trials.
        level: of the interval, 0 to 1.

    >>> low, high = exact_interval(0, 50)
    >>> round(low, 4), round(high, 4)
    (0.0, 0.0711)
    """
    tail = (1 - level) / 2
    low = float(special.betaincinv(successes, trials - successes + 1, tail)) if successes else 0.0
    high = float(special.betaincinv(successes + 1, trials - successes, 1 - tail)) if successes < trials else 1.0
    return low, high


@command
def main(
    revision: Annotated[str, typer.Argument(help="The revision that runs on both sides.")] = "HEAD",
    repetitions: Annotated[int, typer.Option(min=1, help="Comparisons to judge.")] = 50,
    seeds: Annotated[int, typer.Option(min=2, help="Seeds of a comparison.")] = 3,
    grid: Annotated[str, typer.Option(help="A shipped grid's name, or a file ending in .yaml.")] = "smoke",
    only: Annotated[list[str] | None, typer.Option(help="axis=value,value keeps part of the grid; repeatable.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="field=value; added to the settings of a small trial.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the comparison; one that holds it is finished.")] = None,
    repository: Annotated[Path, typer.Option(help="A checkout of the project; default: here.")] = Path(),
) -> int:
    """Compare a revision with itself, and print how many comparisons call equal code slower."""
    signals.install()
    what = GridRequest(
        grid=grid, seeds=repetitions * seeds, only=tuple(only or ()), preset="smoke", settings=(*SMALL, *(set_ or ()))
    )
    request = Request(
        sides={"base": revision, "head": revision}, what=what, out=out, repository=repository,
        command=shlex.join(["python", "-m", "bench.perf.false_alarms", *sys.argv[1:]]),
    )  # fmt: skip
    folder = Path(run(request, cli.console()).head.folder).parent
    print(report(count(results.read_run(folder / "base"), results.read_run(folder / "head"), seeds), seeds))
    return EXIT_OK


def report(found: Counted, seeds: int) -> str:
    """Return the counts in words, with the exact interval of the share of false alarms."""
    if not found.judged:
        return f"Not measured: no speed could be compared in any of {found.unjudged} comparisons."
    lines = [f"{found.judged} comparisons of equal code, {seeds} seeds each:"]
    for what, number in (("slower, a false alarm", found.alarms), ("faster", found.praises)):
        low, high = exact_interval(number, found.judged)
        lines.append(f"  called {what}: {number}, {number / found.judged:.1%} (95 % interval {low:.1%} to {high:.1%})")
    if found.unjudged:
        lines.append(f"  not judged, because other work disturbed the trials: {found.unjudged} more")
    return "\n".join(lines)


if __name__ == "__main__":
    start(main)
