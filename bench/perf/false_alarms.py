"""`python -m bench.perf.false_alarms`: how often the gate calls equal code slower, measured on real trials.

One revision is compared with itself by `bench.versus`. The seeds are cut into repetitions, each of which is judged as a
comparison of its own. The gate promises that at most 5 % of them raise a false alarm. Nothing else should run on the
machine. With `--out` an interrupted measurement goes on.
"""

from __future__ import annotations

import random
import shlex
import sys
from collections.abc import Iterable, Iterator
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


def drawn(base: results.Run, head: results.Run, seeds: int, draws: int) -> Iterator[tuple[results.Run, results.Run]]:
    """Yield comparisons of seeds drawn at random, whose two sides are exchanged at random, seed by seed.

    Equal code has no sides, so each of these might have been measured as well. They say more about the rule than the
    repetitions do, which are few; about the noise they know no more than the trials.

    Args:
        base, head: runs of the same cells and seeds, by equal code.
        seeds: number of seeds of a comparison; one occurs in it once at most.
        draws: number of comparisons.
    """
    by_seed: dict[int, tuple[list[results.Stored], list[results.Stored]]] = {}
    for side, whole in enumerate((base, head)):
        for one in whole.trials:
            by_seed.setdefault(one.record.seed, ([], []))[side].append(one)
    both = sorted(seed for seed, sides in by_seed.items() if all(sides))
    chance = random.Random(0)
    for _ in range(draws if len(both) >= seeds else 0):
        wanted = chance.sample(both, seeds)
        sides: tuple[list[results.Stored], list[results.Stored]] = ([], [])
        for seed in wanted:
            turn = chance.random() < 0.5
            for side in (0, 1):
                sides[side].extend(by_seed[seed][side ^ turn])
        yield _cut(replace(base, trials=sides[0]), {*wanted}), _cut(replace(head, trials=sides[1]), {*wanted})


def _cut(run: results.Run, seeds: set[int]) -> results.Run:
    """Return a run with these seeds only."""
    cells = [{**cell, "seeds": sorted(seeds)} for cell in run.manifest.get("cells", [])]
    trials = [one for one in run.trials if one.record.seed in seeds]
    return replace(run, manifest={**run.manifest, "cells": cells}, trials=trials)


def count(comparisons: Iterable[tuple[results.Run, results.Run]]) -> Counted:
    """Judge each comparison of equal code as `bench.compare` does, and count what is said about the speed."""
    said = [
        {row.verdict for row in results.compare(*both).rows if row.metric == SPEED} - {"not comparable", "missing"}
        for both in comparisons
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
    draws: Annotated[int, typer.Option(min=0, help="Comparisons to draw from the trials, besides.")] = 1000,
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
    print(said_of(Path(run(request, cli.console()).head.folder).parent, seeds, draws))
    return EXIT_OK


def said_of(folder: Path, seeds: int, draws: int) -> str:
    """Return what the comparisons in a folder of `bench.versus` say, in words.

    Args:
        folder: of two sides of equal code.
        seeds: number of seeds of a comparison.
        draws: number of comparisons to draw, see `drawn`.
    """
    both = results.read_run(folder / "base"), results.read_run(folder / "head")
    lines = [report(count(repetitions(*both, seeds)), seeds)]
    more = count(drawn(*both, seeds, draws))
    if more.judged:
        lines += [
            f"{more.judged} more, drawn from these trials, with sides exchanged at random: "
            f"called slower {more.alarms / more.judged:.1%}, faster {more.praises / more.judged:.1%}"
        ]
    return "\n".join(lines)


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
