"""A run whose data were moved since it was planned. A cell does not depend on their place: records stay valid."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import results
from bench.core import UsageError, code_version
from bench.plan.grid import Cell, Grid
from bench.spec import DataSpec, TrialSpec
from bench.storage import Address, is_address

if TYPE_CHECKING:
    from bench.data import Dataset

Moves = Mapping[str, str]
"""The present folder of each `data.root` of a plan that was moved, by the old one."""


def to(root: Path, grid: Grid) -> Moves:
    """Return the moves that `--data-root` with `--resume` means: `root` is the present folder of the run's data.

    If the run reads several folders, `root` is the present place of the folder that holds them all.

    Raises:
        UsageError: the run reads no data folder, or one of its several folders is not under `root`.
    """
    before = list(dict.fromkeys(cell.spec.data.root for cell in grid.cells if cell.spec.data.root))
    if not before:
        raise UsageError(f"--data-root {root}: the run reads no data folder; leave the option out")
    if len(before) == 1:
        return _apart({before[0]: str(Address.of(root)) if is_address(root) else str(root.resolve())})
    now = root.resolve()
    top = os.path.commonpath([os.path.abspath(one) for one in before])
    moves = {one: str(now / os.path.relpath(os.path.abspath(one), top)) for one in before}
    for old, new in moves.items():
        if not Path(new).is_dir():
            raise UsageError(
                f"--data-root {root}: no folder {new} there for data.root {old}; the run reads {len(before)} folders, "
                f"so give the folder that {top} is now"
            )
    return _apart(moves)


def _apart(moves: Moves) -> Moves:
    """Return the moves that change the folder."""
    return {old: new for old, new in moves.items() if old != new}


def joined(first: Moves, then: Moves) -> dict[str, str]:
    """Return the moves that `first` and after it `then` amount to."""
    return {**{old: then.get(new, new) for old, new in first.items()}, **then}


def moved(grid: Grid, moves: Moves) -> Grid:
    """Return the grid with the present folders of its data. Every cell keeps its hash."""
    return replace(grid, cells=tuple(replace(cell, spec=_moved(cell, moves)) for cell in grid.cells))


def _moved(cell: Cell, moves: Moves) -> TrialSpec:
    data = cell.spec.data
    new = moves.get(data.root or "")
    if new is None:
        return cell.spec
    changes = {"root": new, "planned_root": data.planned_root or data.root}
    return cell.spec.model_copy(update={"data": data.model_copy(update=changes)})


def check_places(grid: Grid) -> None:
    """Refuse to resume a run whose data folders or weights are not where they were.

    Raises:
        UsageError: names the first that is missing, and what helps.
    """
    for cell in grid.cells:
        root = cell.spec.data.root
        if root and not is_address(root) and not Path(root).expanduser().is_dir():
            raise UsageError(f"data.root {root}: no such folder; if it was moved, give its new path with --data-root")
        for field, place in (
            ("train.init_from", cell.spec.train.init_from),
            ("model.weights", cell.spec.model.weights),
        ):
            if place and os.sep in place and not Path(place).expanduser().exists():
                raise UsageError(
                    f"cell {cell.label!r}: {field} {place}: no longer there; the path is part of the cell, so put "
                    "the file back, or a link in its place"
                )


def check_content(root: Path, records: Iterable[results.Record], data: Mapping[DataSpec, Dataset]) -> None:
    """Refuse a folder with another data set than the one that the run was made on.

    Records of other code are not compared, because that code may read the same files differently. `--changed` decides
    about them.

    Args:
        root: the folder that the error names.
        records: of the run.
        data: the data sets as they are now.

    Raises:
        UsageError: names both versions.
    """
    versions = {dataset.version for dataset in data.values()}
    for record in records:
        if record.dataset is None or record.environment.get("code") != code_version():
            continue
        if record.dataset.version not in versions:
            raise UsageError(
                f"--data-root {root}: holds another set (version {', '.join(sorted(versions))}) than the run was made "
                f"on (version {record.dataset.version}); give the folder with the same files, or start a new run"
            )
