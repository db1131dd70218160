"""Which trials are pairs, in which order the two sides of a pair run, and the job that runs a pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import results
from bench.core import prepare_process
from bench.plan import Cell, Grid
from bench.revisions import Checkout, Revision, Runnable, measure
from bench.spec import parse

SIDES = ("base", "head")
ENTRY = "bench.versus.turns:run_pair"


@dataclass(frozen=True)
class Pair:
    """One cell at one seed, which both sides run one after the other on the same devices.

    Attributes:
        name: of both trials.
        cell: of the grid.
        seed: of both trials.
        order: which side runs first, and which second.
    """

    name: str
    cell: Cell
    seed: int
    order: tuple[str, str]


def pairs(grid: Grid) -> list[Pair]:
    """Return the pairs of a grid in the order in which they run: all cells at the first seed, then at the next.

    The order within a pair alternates (A B, B A), from cell to cell and, for one cell, from seed to seed. So a machine
    that becomes slower or faster does so for both sides alike.
    """
    return [
        Pair(cell.trial(seed)[0], cell, seed, SIDES if (seed + place) % 2 == 0 else SIDES[::-1])
        for seed in range(grid.seeds)
        for place, cell in enumerate(grid.cells)
    ]


def payload(pair: Pair, sides: dict[str, Runnable], folders: dict[str, Path], timeout: float | None) -> dict[str, Any]:
    """Return the argument of `run_pair` as plain data.

    Args:
        pair: what to run.
        sides: both sides by name.
        folders: folder of the trial by side; a side without one is complete already and does not run.
        timeout: seconds for each of the two trials; None for no limit.
    """
    cell = pair.cell
    return {
        "cell": {"label": cell.label, "axes": dict(cell.axes), "spec": cell.spec.model_dump(mode="json")},
        "seed": pair.seed,
        "turns": [
            {"runnable": _plain(sides[side]), "folder": str(folders[side].resolve()), "side": side}
            for side in pair.order
            if side in folders
        ],
        "timeout": timeout,
    }


def run_pair(asked: dict[str, Any], emit: Any) -> None:
    """Run the trials of a pair, one after the other.

    Args:
        asked: see `payload`.
        emit: called with a sign of life, and with "measured" after each trial.
    """
    prepare_process()
    values = asked["cell"]
    cell = Cell(values["label"], values["axes"], parse(values["spec"], f"cell {values['label']!r}"))
    turns = ", ".join(turn["side"] for turn in asked["turns"])
    for turn in asked["turns"]:
        record = measure(
            _runnable(turn["runnable"]), cell, asked["seed"], Path(turn["folder"]),
            facts={"turns": turns}, timeout=asked["timeout"], alive=lambda: emit({"event": "alive"}),
        )  # fmt: skip
        rate = record.throughput and record.throughput.images_per_second
        error = record.error and record.error.message
        emit({"event": "measured", "side": turn["side"], "status": record.status, "rate": rate, "error": error})


def _plain(runnable: Runnable) -> dict[str, Any]:
    revision, checkout = runnable.checkout.revision, runnable.checkout
    return {
        "repository": str(revision.repository), "commit": revision.commit, "parent": revision.parent,
        "name": revision.name, "dirty": revision.dirty, "folder": str(checkout.folder),
        "scratch": str(checkout.scratch), "python": str(runnable.python),
    }  # fmt: skip


def _runnable(values: dict[str, Any]) -> Runnable:
    """Return what `_plain` made plain."""
    named = {name: values[name] for name in ("commit", "parent", "name", "dirty")}
    revision = Revision(Path(values["repository"]), **named)
    return Runnable(Checkout(revision, Path(values["folder"]), Path(values["scratch"])), Path(values["python"]))


def to_do(planned: Sequence[Pair], done: dict[str, set[str]]) -> list[tuple[Pair, tuple[str, ...]]]:
    """Return the pairs that lack a trial, each with the sides that lack it.

    Args:
        planned: all pairs.
        done: names of the complete trials by side.
    """
    missing = [(pair, tuple(side for side in SIDES if pair.name not in done[side])) for pair in planned]
    return [(pair, sides) for pair, sides in missing if sides]


def order_in_words(base: Iterable[results.Record], head: Iterable[results.Record]) -> str:
    """Say in one sentence in which order the trials of a comparison ran.

    Args:
        base, head: records of the two sides.
    """
    sides = [{record.trial: str(record.environment.get("turns")) for record in side} for side in (base, head)]
    names = dict.fromkeys([*sides[0], *sides[1]])
    found = Counter(sides[0].get(name) if sides[0].get(name) == sides[1].get(name) else None for name in names)
    first, second = (found[", ".join(order)] for order in (SIDES, SIDES[::-1]))
    alone = len(names) - first - second
    apart = f" The two trials of {alone} more ran apart, after an interruption." if alone else ""
    ran = results.counted(first + second, "pair")
    return f"Both sides ran in turns on the same devices: {ran}, in {first} of them base first.{apart}"
