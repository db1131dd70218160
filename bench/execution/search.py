"""Fair tuning before the seeds are run: the same candidates and the same steps for every cell, none stopped early.

One shared learning rate compares learning rates, not losses. The search has seeds of its own, so that no reported seed
has helped to choose.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import results
from bench.execution.failure_policy import Trial
from bench.execution.run_folder import RunFolder
from bench.plan import Cell, Grid, Search
from bench.spec import assign, parse

SEED = 1000
"""First seed of a search."""


def candidates(grid: Grid) -> list[Trial]:
    """The trials of a grid's search, one candidate of all cells after the other."""
    assert grid.search is not None
    seeds = range(SEED, SEED + grid.search.seeds)
    cells = [_candidate(cell, grid.search, value) for value in grid.search.candidates for cell in grid.cells]
    return [(*_named(cell, seed),) for seed in seeds for cell in cells]


def _named(cell: Cell, seed: int) -> Trial:
    name, spec = cell.trial(seed)
    return name, cell, spec


def _candidate(cell: Cell, search: Search, value: float) -> Cell:
    short = search.field.rpartition(".")[2]
    changes: dict[str, Any] = {
        search.field: value,
        "eval.pictures": 0,
        "eval.views": [],
        "eval.keep_checkpoint": "none",
    }
    if search.epochs:
        changes["train.epochs"] = search.epochs
    return Cell(f"{cell.label} {short} {value:g}", {**cell.axes, short: value}, _with(cell, changes))


def _with(cell: Cell, changes: Mapping[str, Any]) -> Any:
    values = cell.spec.model_dump(mode="json")
    for field, value in changes.items():
        assign(values, field, value, "search")
    return parse(values, f"search: cell {cell.label!r}")


@dataclass(frozen=True)
class TunedGrid:
    """The grid with each cell's best candidate, what the record of each says of it, and notes for the user."""

    grid: Grid
    facts: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]


def choose(grid: Grid, run: RunFolder) -> TunedGrid:
    """For every cell the candidate with the highest validation mIoU, over the search's seeds; the smaller on a tie."""
    search = grid.search
    assert search is not None
    cells, facts, notes = [], {}, []
    for cell in grid.cells:
        scores = {value: _score(_candidate(cell, search, value), search, run) for value in search.candidates}
        measured = {value: score for value, score in scores.items() if score is not None}
        best = max(sorted(measured), key=lambda value: measured[value], default=None)
        if best is None:
            notes.append(f"{cell.label}: no candidate of the search was scored; its own {search.field} stays")
        elif best in (min(search.candidates), max(search.candidates)) and len(search.candidates) > 1:
            notes.append(f"{cell.label}: {search.field} {best:g} is at the edge of the search; the best may lie beyond")
        if best is not None and len(measured) < len(scores):
            lacking = ", ".join(f"{value:g}" for value, score in scores.items() if score is None)
            notes.append(f"{cell.label}: no score of {search.field} {lacking}; chosen among the others")
        tuned = cell if best is None else replace(cell, spec=_with(cell, {search.field: best}))
        train = cell.spec.train
        cells.append(tuned)
        facts[tuned.spec.cell] = {
            "field": search.field,
            "chosen": best,
            "candidates": [{"value": value, "miou": score} for value, score in scores.items()],
            "seeds": list(range(SEED, SEED + search.seeds)),
            "search_steps": len(scores) * search.seeds * (search.epochs or train.epochs) * train.steps_per_epoch,
            "training_steps": train.epochs * train.steps_per_epoch,
        }
    return TunedGrid(replace(grid, cells=tuple(cells)), facts, tuple(notes))


def _score(cell: Cell, search: Search, run: RunFolder) -> float | None:
    """Mean validation mIoU over the seeds; None when one of them has none."""
    found = []
    for seed in range(SEED, SEED + search.seeds):
        name, _ = cell.trial(seed)
        try:
            record = results.read(run.trial(name))
        except ValueError:
            return None
        view = next((view for view in record.views if (view.view, view.split) == ("default", "val")), None)
        if record.status != "ok" or view is None or view.miou is None:
            return None
        found.append(view.miou)
    return statistics.mean(found)
