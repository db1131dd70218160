"""Fair tuning before the seeds are run: the same candidates and steps for every cell. No candidate is stopped early.

With one shared learning rate a grid compares learning rates, not losses. The search has separate seeds, so that no
reported seed took part in the choice.
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
"""First seed of every search."""


def candidates(grid: Grid) -> list[Trial]:
    """Return the trials of a grid's search: per seed, the first candidate of all cells, then the next, and so on."""
    assert grid.search is not None
    seeds = range(SEED, SEED + grid.search.seeds)
    cells = [_candidate(cell, grid.search, value) for value in grid.search.candidates for cell in grid.cells]
    return [(*_named(cell, seed),) for seed in seeds for cell in cells]


def _named(cell: Cell, seed: int) -> Trial:
    name, spec = cell.trial(seed)
    return name, cell, spec


def _candidate(cell: Cell, search: Search, value: float) -> Cell:
    """Return a cell with one candidate, which keeps no weights and no images and has no further views.

    All candidates are trained for equally many steps, so a target ends none of them.
    """
    short = search.field.rpartition(".")[2]
    changes: dict[str, Any] = {
        search.field: value,
        "eval.pictures": 0,
        "eval.views": [],
        "eval.keep_checkpoint": "none",
        "train.until": None,
    }
    if search.epochs:
        changes["train.epochs"] = search.epochs
    return Cell(f"{cell.label} {short} {value:g}", {**cell.axes, short: value}, _with(cell, changes))


def _with(cell: Cell, changes: Mapping[str, Any]) -> Any:
    """Return the validated spec of a cell with fields changed, by their dotted names."""
    values = cell.spec.model_dump(mode="json")
    for field, value in changes.items():
        assign(values, field, value, "search")
    return parse(values, f"search: cell {cell.label!r}")


@dataclass(frozen=True)
class TunedGrid:
    """The result of a search.

    Attributes:
        grid: every cell with its best candidate.
        facts: the record's `tuning`, by cell.
        notes: for the user, one line each.
    """

    grid: Grid
    facts: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]


def choose(grid: Grid, run: RunFolder) -> TunedGrid:
    """Choose for every cell the candidate with the highest validation mIoU, averaged over the search's seeds.

    In a tie the smaller candidate is chosen. A cell without a scored candidate stays as it is.

    Args:
        grid: with a search.
        run: folder of the search's trials.
    """
    search = grid.search
    assert search is not None
    cells, facts, notes = [], {}, []
    for cell in grid.cells:
        scores = {value: _score(_candidate(cell, search, value), search, run) for value in search.candidates}
        measured = {value: score for value, score in scores.items() if score is not None}
        best = max(sorted(measured), key=lambda value: measured[value], default=None)
        if best is None:
            notes.append(f"{cell.label}: no candidate of the search was scored; its own {search.field} is kept")
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
    """Return the mean validation mIoU over the search's seeds, or None if one of them has none."""
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
