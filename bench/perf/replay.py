"""`python -m bench.perf.replay [RUN...]`: play finished runs as runs that decide, in many orders of their seeds.

Without RUN these are the published records. Each grid had a fixed number of seeds. A plan whose last look is at that
number is played on its scores, in every order of the seeds, or in a thousand of them. So the noise is that of real
trainings. It prints, in Markdown, what the plan would have spent and decided, beside what all seeds together say, and
beside what the same plan spends on made up scores with the means, the noise and the correlation of the grid.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import factorial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import results
from bench.core import EXIT_OK, UsageError, command, start
from reports.format import percent
from results.statistics import contenders
from results.statistics.blocks import fit
from results.statistics.sequential import Plan, check, rehearse

RELEASES = Path(__file__).resolve().parents[2] / "results" / "releases"
ORDERS = 1000


@dataclass(frozen=True)
class Scores:
    """The validation mIoU of a grid whose cells all ran the same seeds: names of cells, and shape (cells, seeds)."""

    name: str
    cells: tuple[str, ...]
    table: np.ndarray


@dataclass(frozen=True)
class Replayed:
    """What plans did over the orders of the seeds of one grid; shares are 0 to 1.

    Attributes:
        orders: number of orders.
        trials: mean share of the trials of the fixed grid.
        simulated: the same on normal scores with the means, the noise and the effect of the seeds of the grid.
        decided: share of the orders in which the plan was decided before or at its last look.
        out: mean share of the cells that are surely not the best by the fixed grid which the plan left out.
        best_lost: share of the orders in which the cell with the highest mean over all seeds was left out.
        winner: share of the orders in which it is the leader at the end.
        close: share of the orders in which the leader at the end is within the margin of it, by the means of all seeds.
    """

    orders: int
    trials: float
    simulated: float
    decided: float
    out: float
    best_lost: float
    winner: float
    close: float


def published(folder: Path) -> Iterator[Scores]:
    """Yield the scores of every published grid with two cells and three seeds, or more; cells that lack a seed are out.

    Args:
        folder: of the releases.
    """
    for manifest in sorted(folder.glob("*/*/run.json")):
        with contextlib.suppress(ValueError):
            yield scores_of(results.read_run(manifest.parent), f"{manifest.parts[-3]} {manifest.parts[-2]}")


def of_run(folder: str) -> Scores:
    """Return the scores of a run's folder, or of a published release with one run.

    Raises:
        UsageError: it is none, or not a grid that can be replayed.
    """
    try:
        run = results.read_run(folder)
        if results.decision_of(run.manifest):
            raise ValueError(f"{folder}: asked for its seeds itself (--until); give a run with a fixed number of seeds")
        return scores_of(run, run.folder.name)
    except ValueError as error:
        raise UsageError(str(error)) from None


def scores_of(run: results.Run, name: str) -> Scores:
    """Return the scores of a run, of the cells that have as many as any.

    Raises:
        ValueError: fewer than two of these cells, or fewer than three seeds, or not the same ones; one line.
    """
    found: dict[str, dict[int, float]] = {}
    for one in run.trials:
        if (score := results.validation_miou(one.record)) is not None:
            found.setdefault(one.record.label, {})[one.record.seed] = score
    most = max(map(len, found.values()), default=0)
    whole = {label: of for label, of in found.items() if len(of) == most}
    seeds = sorted(set.intersection(*map(set, whole.values()))) if whole else []
    if len(whole) < 2 or len(seeds) < 3 or len(seeds) < most:
        raise ValueError(
            f"{run.folder}: a replay needs two cells or more with a score of the same three seeds or more; finish the "
            "run with --resume, or give it more seeds"
        )
    return Scores(name, tuple(whole), np.array([[of[seed] for seed in seeds] for of in whole.values()]))


def orders(seeds: int, most: int = ORDERS) -> np.ndarray:
    """Return all orders of so many seeds, or `most` of them at random, shape (orders, seeds)."""
    if factorial(seeds) <= most:
        return np.array([*permutations(range(seeds))])
    rng = np.random.default_rng(seeds)
    return np.array([rng.permutation(seeds) for _ in range(most)])


def replay(scores: Scores, margin: float, first: int = 2) -> Replayed:
    """Play the plan "best" on the scores in every order of the seeds.

    Args:
        scores: of a grid with a fixed number of seeds.
        margin: difference that does not matter, a fraction.
        first: seeds of the first look; the last is at all seeds.
    """
    cells, seeds = scores.table.shape
    turns = orders(seeds)
    plan = Plan("best", margin, first, seeds)
    found = rehearse(plan, scores.table[:, turns].transpose(1, 0, 2))
    means = scores.table.mean(1)
    best, out = int(means.argmax()), found.verdict < 0
    worse = np.array([cell in _surely_worse(scores) for cell in scores.cells])
    return Replayed(
        len(turns),
        float(found.trials.mean()) / (cells * seeds),
        float(rehearse(plan, made_up(scores.table)).trials.mean()) / (cells * seeds),
        float(found.decided.mean()),
        float(out[:, worse].mean()) if worse.any() else float("nan"),
        float(out[:, best].mean()),
        float((found.leader == best).mean()),
        float((means[found.leader] >= means[best] - margin).mean()),
    )


def made_up(table: np.ndarray, draws: int = ORDERS) -> np.ndarray:
    """Return normal scores that are like a table, shape (draws, cells, seeds).

    The means are those of the table. The variances of the noise and of the common effect of a seed are estimated by the
    mean squares (Fisher 1935); a negative estimate counts as none.
    """
    cells, seeds = table.shape
    rest = fit(table[None], np.ones((1, cells), bool))
    noise = float(rest.squares[0]) / float(rest.df[0])
    common = max(0.0, float(table.mean(0).var(ddof=1)) - noise / cells)
    rng = np.random.default_rng([cells, seeds])
    of_seeds = np.sqrt(common) * rng.standard_normal((draws, 1, seeds))
    return table.mean(1)[:, None] + of_seeds + np.sqrt(noise) * rng.standard_normal((draws, cells, seeds))


def _surely_worse(scores: Scores) -> set[str]:
    """Return the cells that are surely not the best by all seeds together."""
    cells = {cell: dict(enumerate(row)) for cell, row in zip(scores.cells, scores.table.tolist(), strict=True)}
    return set(contenders(cells).out)


def lines(all_scores: Sequence[Scores], margin: float, first: int = 2) -> Iterator[str]:
    """Yield the table, line by line."""
    heads = (
        "trials", "simulated", "decided", "surely worse ones left out", "best left out", "same leader",
        "leader within margin",
    )  # fmt: skip
    yield f"| grid | cells, seeds | orders | {' | '.join(heads)} |"
    yield "| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    shares = []
    for scores in all_scores:
        one = replay(scores, margin, first)
        shares.append([one.trials, one.simulated, one.decided, one.out, one.best_lost, one.winner, one.close])
        size = f"{scores.table.shape[0]}, {scores.table.shape[1]}"
        yield f"| {scores.name} | {size} | {one.orders} | {_row(shares[-1])} |"
    if len(shares) > 1:
        yield f"| mean | | | {_row(np.nanmean(shares, axis=0).tolist())} |"


def _row(shares: Sequence[float]) -> str:
    return " | ".join("–" if np.isnan(share) else f"{percent(share, 0)} %" for share in shares)


@command
def main(
    runs: Annotated[list[str] | None, typer.Argument(help="Folders of finished runs; default: the releases.")] = None,
    margin: Annotated[float, typer.Option(min=0, help="Points of mIoU that do not matter.")] = 0.5,
    first: Annotated[int, typer.Option(min=2, help="Seeds of the first look.")] = 2,
    releases: Annotated[Path, typer.Option(help="Folder of the releases.")] = RELEASES,
) -> int:
    """Replay finished runs, and print a table in Markdown."""
    found = [of_run(run) for run in runs] if runs else [*published(releases)]
    for one in found:
        try:
            check(Plan("best", margin / 100, first, one.table.shape[1]), len(one.cells))
        except ValueError as error:
            raise UsageError(f"{one.name}: {error}") from None
    for line in lines(found, margin / 100, first):
        print(line, flush=True)
    return EXIT_OK


if __name__ == "__main__":
    start(main)
