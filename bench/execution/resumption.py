"""What changes when a run is resumed: its data were moved, its grid grows, outdated trials are redone or kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import results
from bench.core import UsageError
from bench.execution.request import Changed, RunRequest
from bench.execution.run_folder import SEARCH, RunFolder
from bench.plan import Grid, GridRequest, Machine, checks, make, merge_grids, moved_data

Redo = Mapping[RunFolder, Mapping[str, list[str]]]
"""Trials to redo and what differs in each, by their folder: that of the run, and that of its search."""
Ask = Callable[[str], bool]
"""A function that asks the user whether to redo outdated trials, given what differs."""


@dataclass(frozen=True)
class Found:
    """A run as it was planned, with the present folders of its data.

    Attributes:
        grid: of the run, before it grows.
        gpus: GPUs of the trial that has most.
        moves: the present folder of each data folder that was moved, by the planned one.
        moved: whether this request moves any.
        redo: the trials to redo.
    """

    grid: Grid
    gpus: int
    moves: moved_data.Moves
    moved: bool
    redo: Redo


def check_request(request: RunRequest) -> None:
    """Refuse options that would change the plan of a run that is resumed.

    Raises:
        UsageError: names the options that go with --resume.
    """
    planned = {*request.what.fields_set} - {"grid", "seeds", "data_root"}
    if planned or request.dry_run or request.name or request.out:
        raise UsageError(
            "--resume keeps the plan of the run; leave out all but --grid and --seeds (to extend it), --data-root (to "
            "follow moved data), --address, --max-concurrent, --changed, --track, --retries, --on-oom, --trial-timeout "
            "and --stall-timeout"
        )


def examine(folder: RunFolder, request: RunRequest, ask: Ask | None) -> Found:
    """Check a run and its data, and choose the trials to redo. This changes nothing.

    Args:
        folder: of the run.
        request: how it is resumed.
        ask: asks the user; None if there is nobody to ask.

    Raises:
        UsageError: data or weights are missing or differ, or trials are outdated and there is nobody to ask.
    """
    grid = folder.grid()
    gpus = max(cell.spec.placement.gpus for cell in grid.cells)
    root = request.what.data_root
    moves = moved_data.to(root, grid) if root else {}
    grid = moved_data.moved(grid, moves)
    moved_data.check_places(grid)
    data = checks.check_inputs(grid, folder.code)
    folders = (folder, RunFolder(folder.path / SEARCH))
    if root:
        moved_data.check_content(root, [record for one in folders for record in one.records()], data)
    outdated = {one: checks.changed(one.complete(), data) for one in folders}
    other_scores = checks.scored_otherwise(record for one in folders for record in one.complete())
    outdated = {one: trials for one, trials in outdated.items() if trials}
    redo = choose_trials_to_redo(outdated, request.changed, ask, other_scores)
    return Found(grid, gpus, moved_data.joined(folder.moves(), moves), bool(moves), redo)


def choose_trials_to_redo(
    outdated: Redo, changed: Changed, ask: Ask | None, other_scores: Collection[int] = ()
) -> Redo:
    """Choose which complete trials to redo because code, versions or data changed.

    Outdated and new trials are never mixed unless the user asks for it.

    Args:
        outdated: complete trials that were made differently.
        changed: "keep" these trials, "redo" them, or "ask".
        ask: asks the user; None if there is nobody to ask.
        other_scores: scoring versions of them that differ from the present one; such trials cannot be kept.

    Returns:
        All of `outdated`, or none.

    Raises:
        UsageError: there is nobody to ask, or trials would be kept whose scores cannot be compared with new ones.
    """
    if not outdated:
        return {}
    reasons = [why for trials in outdated.values() for why in trials.values()]
    trials_were = results.counted(len(reasons), "complete trial was", "complete trials were")
    what = f"{trials_were} made by other code, versions or data ({'; '.join(reasons[0])})"
    if changed == "ask":
        if ask is None:
            raise UsageError(f"{what}: --changed keep leaves them next to new ones, --changed redo runs them again")
        changed = "redo" if ask(what) else "keep"
    if changed == "keep" and other_scores:
        raise UsageError(
            f"complete trials have scores of version {', '.join(map(str, sorted(other_scores)))}, new ones would have "
            f"version {results.SCORING_VERSION}, and the two cannot be compared: --changed redo runs them again"
        )
    return outdated if changed == "redo" else {}


def grows(what: GridRequest) -> bool:
    """Return whether a run gets more seeds or the cells of another grid."""
    return what.grid is not None or what.seeds is not None


def grow(
    folder: RunFolder,
    grid: Grid,
    what: GridRequest,
    nodes: Sequence[Machine],
    max_concurrent: int | None,
    moves: moved_data.Moves,
) -> Grid:
    """Return the run's grid with more seeds, or with the cells of another grid as well.

    For more seeds the grid file is not read again, because it may have changed.

    Args:
        folder: of the run.
        grid: of the run.
        what: the options by which the run grows.
        nodes: the machines trials may run on.
        max_concurrent: trials at a time; None for the default.
        moves: the present folder of each data folder that was moved.

    Raises:
        UsageError: the other grid has a fault, or another search.
    """
    if what.grid is None:
        return replace(grid, seeds=max(grid.seeds, what.seeds or 0))
    more = moved_data.moved(make(original_request(folder, grid, what), nodes, max_concurrent).grid, moves)
    if more.search != grid.search:
        raise UsageError(
            f"--grid {more.name}: its search differs from that of {folder.path}; run it as a run of its own"
        )
    return merge_grids(grid, more)


def original_request(folder: RunFolder, grid: Grid, what: GridRequest) -> GridRequest:
    """Return the request that resolves another grid as the run's own was resolved, whatever machine this is."""
    request = GridRequest.stored(folder.manifest().get("options", {}))
    # Preset, GPUs per trial and precision have defaults that depend on the machine; the run's own values are taken.
    gpus = {cell.spec.placement.gpus for cell in grid.cells}
    if request.gpus_per_trial is None and gpus == {0}:
        request = replace(request, gpus_per_trial=0)
    precisions = {cell.spec.train.precision for cell in grid.cells}
    if len(precisions) == 1:
        request = replace(request, precision=precisions.pop())
    return replace(request, preset=grid.preset, grid=what.grid, seeds=what.seeds or request.seeds)


def overrides(what: GridRequest) -> dict[str, str | int | Path]:
    """Return the given options by which a run grows or its data move, by name."""
    given = what.fields_set
    return {name: given[name] for name in ("grid", "seeds", "data_root") if name in given}
