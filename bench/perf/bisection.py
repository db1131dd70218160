"""`python -m bench.perf.bisection`: simulate the search for the commit that made a metric worse.

It prints, for histories with one step and without, how often the search names the right commit, gives a range that
holds it, gives a wrong answer, or stays undecided, and the trials used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from bench.core import EXIT_OK, command, start
from results.statistics import SearchPlan, effect_across, replay

Draw = Callable[[np.random.Generator, int, int], float]
"""(random numbers, commit, count of the trial) -> noise of one trial, with standard deviation 1 unless said."""


def normal(rng: np.random.Generator, commit: int, trial: int) -> float:
    """Draw normal noise."""
    return float(rng.standard_normal())


def heavy(rng: np.random.Generator, commit: int, trial: int) -> float:
    """Draw Student's t with 3 degrees of freedom, scaled to a standard deviation of 1."""
    return float(rng.standard_t(3)) / 3**0.5


def drifting(rng: np.random.Generator, commit: int, trial: int) -> float:
    """Draw normal noise on a machine that gets worse by 0.3 with every trial."""
    return normal(rng, commit, trial) + 0.3 * trial


def swinging(rng: np.random.Generator, commit: int, trial: int) -> float:
    """Draw normal noise on a machine that swings by 3 either way, once in 40 trials."""
    return normal(rng, commit, trial) + 3.0 * float(np.sin(trial * 2 * np.pi / 40))


def uneven(rng: np.random.Generator, commit: int, trial: int) -> float:
    """Draw normal noise that is 3 times as large at every other commit."""
    return normal(rng, commit, trial) * (3 if commit % 2 else 1)


@dataclass(frozen=True)
class World:
    """A history and its noise.

    Attributes:
        name: for the table.
        levels: how much worse each commit is than GOOD, GOOD first, in standard deviations of one trial.
        draw: the noise.
        fresh: whether GOOD and BAD are measured anew for each step.
        broken: share of the commits between GOOD and BAD that cannot be built.
        rerun: correlation of the trials of one seed.
        margin: smallest difference that matters, in the same unit.
    """

    name: str
    levels: tuple[float, ...]
    draw: Draw = normal
    fresh: bool = True
    broken: float = 0.0
    rerun: float = 0.0
    margin: float = 0.5


def one_step(commits: int, size: float, at: int | None = None) -> tuple[float, ...]:
    """Return the levels of a history that gets worse at one commit; by default at two thirds of it."""
    at = at or max(1, round(2 * commits / 3))
    return tuple(size * (commit >= at) for commit in range(commits + 1))


@dataclass(frozen=True)
class Answer:
    """What one simulated search said.

    Attributes:
        kind: "named" (one commit, right), "range" (right), "wrong", "none" or "undecided".
        trials: trials used.
        width: commits in the answer; 0 without one.
        covered: whether the 95 % interval of the effect holds the true one.
        gain: true change across the answer, as a share of the whole.
    """

    kind: str
    trials: int
    width: int = 0
    covered: bool = True
    gain: float = 1.0


def search(world: World, rng: np.random.Generator, most_turns: int = 16) -> Answer:
    """Simulate one search to its end."""
    last = len(world.levels) - 1
    plan = SearchPlan(last, world.margin, most_turns, world.fresh)
    broken = [commit for commit in range(1, last) if rng.random() < world.broken]
    scores: dict[tuple[int, int], float] = {}
    seeds: dict[int, float] = {}
    while (found := replay(plan, scores, broken)).next:
        for commit, turn in found.next:
            own = world.draw(rng, commit, len(scores)) * (1 - world.rerun) ** 0.5
            shared = seeds.setdefault(turn, float(rng.standard_normal())) * world.rerun**0.5
            scores[commit, turn] = world.levels[commit] + own + shared
    if found.outcome != "found":
        return Answer("undecided" if found.outcome == "undecided" else "none", len(scores))
    low, high, whole = world.levels[found.good], world.levels[found.bad], world.levels[-1]
    if not (whole > 0 and low <= whole / 2 <= high):
        return Answer("wrong", len(scores), found.bad - found.good, gain=0.0)
    told = effect_across(scores, found.good, found.bad)
    width = found.bad - found.good
    covered = bool(np.isnan(told.low) or told.low <= high - low <= told.high)
    return Answer("named" if width == 1 else "range", len(scores), width, covered, (high - low) / whole)


def worlds() -> list[World]:
    """Return the histories of the table."""
    null = (0.0,) * 17
    return [
        World("no change", null),
        World("no change, margin 2 σ", null, margin=2.0),
        World("no change, heavy tails", null, heavy),
        World("no change, drift", null, drifting),
        World("no change, swings", null, swinging),
        World("no change, every other commit 3 times as noisy", null, uneven),
        *(World(f"one step of {size:g} σ", one_step(16, size)) for size in (1, 2, 3, 4, 8)),
        *(World(f"one step of 4 σ, {n} commits", one_step(n, 4.0)) for n in (2, 4, 8, 32, 64)),
        World("one step of 4 σ, heavy tails", one_step(16, 4.0), heavy),
        World("one step of 4 σ, drift", one_step(16, 4.0), drifting),
        World("one step of 4 σ, swings", one_step(16, 4.0), swinging),
        World("one step of 4 σ, every other commit 3 times as noisy", one_step(16, 4.0), uneven),
        World("one step of 4 σ, a third cannot be built", one_step(16, 4.0), broken=1 / 3),
        World("one step of 4 σ, scores kept by seed", one_step(16, 4.0), fresh=False),
        World("the same, trials of a seed correlate at .6", one_step(16, 4.0), fresh=False, rerun=0.6),
        World("two steps of 3 σ", tuple(3.0 * ((i >= 5) + (i >= 11)) for i in range(17))),
        World("4 σ worse, mended, 4 σ worse", tuple(4.0 * (4 <= i < 7 or i >= 12) for i in range(17))),
        World("3 σ better, then 7 σ worse", tuple(-3.0 * (4 <= i < 10) + 4.0 * (i >= 10) for i in range(17))),
        World("16 steps of 0.5 σ", tuple(0.5 * i for i in range(17))),
        World("one step to just above the middle (.55), then the rest", (0.0,) * 6 + (4.4,) * 6 + (8.0,) * 5),
    ]


def row(world: World, draws: int, seed: int = 0, most_turns: int = 16) -> list[str]:
    """Simulate a history `draws` times; return its line of the table."""
    rng = np.random.default_rng([seed, sum(map(ord, world.name))])
    answers = [search(world, rng, most_turns) for _ in range(draws)]
    shares = [sum(a.kind == kind for a in answers) / draws for kind in ("named", "range", "wrong", "none", "undecided")]
    right = [a for a in answers if a.kind in ("named", "range")]
    trials = sorted(a.trials for a in answers)
    width, gain = (f"{np.mean([getattr(a, part) for a in right]):.2f}" if right else "" for part in ("width", "gain"))
    return [
        world.name,
        *(f"{100 * share:.1f}" for share in shares),
        width,
        gain,
        f"{100 * np.mean([a.covered for a in right]):.0f}" if right else "",
        f"{np.median(trials):.0f} ({trials[draws // 10]} to {trials[-1 - draws // 10]})",
    ]


HEAD = [
    "history", "right commit %", "right range %", "wrong %", "none %", "undecided %", "commits named",
    "share of the difference", "interval holds %", "trials, median (10 to 90 %)",
]  # fmt: skip


@command
def main(
    draws: Annotated[int, typer.Option(min=20, help="Simulated searches for each line without a change.")] = 2000,
    most_turns: Annotated[int, typer.Option(min=3, help="Turns after which a step stays undecided.")] = 16,
    only: Annotated[str, typer.Option(help="Lines whose name contains this.")] = "",
) -> int:
    """Simulate the search for the commit that made a metric worse."""
    print(f"| {' | '.join(HEAD)} |\n|:---{'|---:' * (len(HEAD) - 1)}|", flush=True)
    for world in worlds():
        if only in world.name:
            mine = draws if not any(world.levels) else draws // 5
            print(f"| {' | '.join(row(world, mine, most_turns=most_turns))} |", flush=True)
    alarm, share = 100 * (0.05 * 0.95 / draws) ** 0.5, 50 / (draws // 5) ** 0.5
    print(f"\nMargin 0.5 σ unless said. {draws} searches per line without a change, a fifth of them for the others.")
    print(f"Standard error of 5 % wrong: {alarm:.1f} points without a change; of the other shares at most {share:.1f}.")
    return EXIT_OK


if __name__ == "__main__":
    start(main)
