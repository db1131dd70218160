"""`python -m bench.perf.levels`: simulate the changes of level that a history shows, without any change and in a drift.

It prints the share of releases of an unchanged history with a false change, and after how many releases a drift is
found. The rules are those of `results.lines`: each release is judged against the one before, and against its level.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer

from bench.core import EXIT_OK, command, start
from reports.format import percent
from results.lines.levels import ALPHA_SHARE
from results.statistics import changes, decide

CELLS = 14
SEEDS = (3, 5)
RELEASES = 10
MARGIN = 0.5  # standard deviations of one seed, as in docs/gate.md
DRIFTS = (0.15, 0.3)  # per release, in the same unit


def follow(values: np.ndarray, margin: float = MARGIN) -> list[list[str]]:
    """Return which test found a change, per release from the second on and per cell: "", "step" or "drift".

    Args:
        values: shape (releases, cells, seeds); the seeds of each release are others.
    """
    releases, cells, _ = values.shape
    level = [[0] for _ in range(cells)]
    found: list[list[str]] = []
    for at in range(1, releases):
        said = _judge({c: (values[at - 1, c], values[at, c]) for c in range(cells)}, margin, "step", 0.05)
        steady = [c for c in range(cells) if c not in said and len(level[c]) > 1]
        said |= _judge(
            {c: (values[level[c], c].ravel(), values[at, c]) for c in steady}, margin, "drift", 0.05 * ALPHA_SHARE
        )
        level = [[at] if c in said else [*level[c], at] for c in range(cells)]
        found.append([said.get(c, "") for c in range(cells)])
    return found


def _judge(pairs: dict[int, tuple[np.ndarray, np.ndarray]], margin: float, name: str, alpha: float) -> dict[int, str]:
    """Return {cell: name} of the cells that are regressed or improved."""
    seeds = {
        c: ({-1 - i: float(v) for i, v in enumerate(base)}, {i: float(v) for i, v in enumerate(head)})
        for c, (base, head) in pairs.items()
    }
    verdicts = decide(changes(seeds), dict.fromkeys(seeds, margin), alpha=alpha)
    return {c: name for c, one in verdicts.items() if one.verdict in ("regressed", "improved")}


def false_changes(seeds: int, draws: int, seed: int = 0) -> dict[str, float]:
    """Return the share of releases, from the third on, in which an unchanged cell changes: by each test, and by either.

    Args:
        seeds: number of seeds per cell.
        draws: number of histories of `RELEASES` releases.
        seed: of the random numbers.
    """
    rng = np.random.default_rng([seed, seeds])
    counts = {"step": 0, "drift": 0, "either": 0}
    for _ in range(draws):
        for said in follow(rng.normal(size=(RELEASES, CELLS, seeds)))[1:]:
            counts["step"] += "step" in said
            counts["drift"] += "drift" in said
            counts["either"] += any(said)
    return {name: count / (draws * (RELEASES - 2)) for name, count in counts.items()}


def found_after(seeds: int, drift: float, draws: int, seed: int = 0) -> tuple[float, float]:
    """Return the share of histories in which the first cell's drift is found, by a neighbour alone and by either test.

    Args:
        seeds: number of seeds per cell.
        drift: of the first cell per release, in standard deviations of a seed.
        draws: number of histories of `RELEASES` releases.
        seed: of the random numbers.
    """
    rng = np.random.default_rng([seed, seeds, round(1000 * drift)])
    alone = either = 0
    for _ in range(draws):
        values = rng.normal(size=(RELEASES, CELLS, seeds))
        values[:, 0] -= drift * np.arange(RELEASES)[:, None]
        said = [one[0] for one in follow(values)]
        alone += "step" in said
        either += any(said)
    return alone / draws, either / draws


@command
def main(draws: Annotated[int, typer.Option(min=10, help="Simulated histories for each number.")] = 500) -> int:
    """Simulate and print both tables in Markdown."""
    print("| seeds | against the release before | against the level | either |\n| ---: | ---: | ---: | ---: |")
    for seeds in SEEDS:
        shares = false_changes(seeds, draws)
        print(f"| {seeds} | {' | '.join(f'{percent(share)} %' for share in shares.values())} |")
    print(f"\n| seeds | drift, σ per release | over {RELEASES} releases, σ | before alone | either |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for seeds in SEEDS:
        for drift in DRIFTS:
            alone, either = found_after(seeds, drift, draws)
            total = f"{drift * (RELEASES - 1):.2f}"
            print(f"| {seeds} | {drift:g} | {total} | {percent(alone)} % | {percent(either)} % |")
    return EXIT_OK


if __name__ == "__main__":
    start(main)
