"""Checks before the first trial: weights, data sets, and what changed since a run began."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import results
from bench.core import EXIT_USAGE, UsageError, differences, made_by
from bench.plan import recipes
from bench.plan.grid import Grid
from bench.plan.own_code_checks import check_own_code
from bench.spec import DataSpec, TrialSpec, initial_weights

_FITS = f"""
import sys
import models
from bench.core import own_code
spec = models.ModelSpec.model_validate_json(sys.argv[1])
own_code.make_importable(name for name in (spec.backbone, spec.head) if own_code.is_own(name))
try:
    models.build(spec, 2)
except ValueError as error:
    print(error)
    sys.exit({EXIT_USAGE})
"""


if TYPE_CHECKING:
    from bench.data import Dataset

Datasets = Mapping[DataSpec, "Dataset"]
"""The data sets of a grid, by their section of the spec."""


def check_inputs(grid: Grid, code: Path | None = None) -> dict[DataSpec, Dataset]:
    """Check own code and all weights and read every data set once, before any training; return the data sets.

    Args:
        grid: the resolved grid.
        code: folder in which a run keeps the user's own code; None before there is a run.

    Raises:
        UsageError: code, weights or a data set are missing or do not fit, or the grid chooses by a split that a cell is
            trained on.
    """
    _check_choices(grid)
    check_own_code((cell.spec for cell in grid.cells), code)
    labels: dict[tuple[str, str], str] = {}
    for cell in grid.cells:
        check_weights(cell.spec, f"cell {cell.label!r}")
        labels.setdefault((cell.spec.model.backbone, cell.spec.model.weights), cell.label)
    for (backbone, weights), label in labels.items():
        if weights not in ("none", "imagenet"):
            _check_fit(backbone, weights, f"cell {label!r}")
    found = {spec: _loaded(grid, spec) for spec in dict.fromkeys(cell.spec.data for cell in grid.cells)}
    if grid.recipe:
        for spec, dataset in found.items():
            recipes.check(grid.recipe, spec, dataset)
    return found


def _check_choices(grid: Grid) -> None:
    """Refuse a grid that chooses by the validation split, or compares on it, where cells are trained on it.

    Raises:
        UsageError: names the first such cell.
    """
    inside = [cell.label for cell in grid.cells if "val" in cell.spec.data.trained]
    if not inside:
        return
    why = f"cell {inside[0]!r}: data.train_on trainval leaves no val"
    if grid.search:
        raise UsageError(f"{why} to choose {grid.search.field} by; search with train, then set the value that it chose")
    if grid.until:
        raise UsageError(f"{why} to decide by; take a fixed number of seeds")
    if len(inside) < len(grid.cells):
        raise UsageError(f"{why} to compare it with the others on; set it in all cells, or run it by itself")


def _loaded(grid: Grid, spec: DataSpec) -> Dataset:
    """Return a data set of a grid. A fault of a recipe's data is followed by what to do with data of one's own.

    Raises:
        UsageError: the data set is missing or has a fault.
    """
    from bench.data import load

    try:
        return load(spec)
    except UsageError as error:
        if grid.recipe is None or spec.root is None or spec.dataset == "folder":
            raise
        raise UsageError(f"{error}; {recipes.OWN}") from None


def check_weights(spec: TrialSpec, where: str) -> None:
    """Refuse a trial whose weights do not exist.

    Args:
        spec: of the trial; `model.weights` and `train.init_from` are checked.
        where: the place that the error names.

    Raises:
        UsageError: there are no such weights.
    """
    import models

    try:
        models.check_weights(spec.model.backbone, spec.model.weights)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None
    if spec.train.init_from:
        initial_weights(spec.train.init_from)


@functools.cache  # a run checks its inputs twice
def _check_fit(backbone: str, weights: str, where: str) -> None:
    """Refuse weights that do not fit or cannot be downloaded, because every trial would fail on them.

    The model is built in a separate process, which imports TensorFlow.

    Raises:
        UsageError: names `where` and the reason.
    """
    import models

    spec = models.ModelSpec(backbone=backbone, weights=weights, output_stride=32)
    wanted = [sys.executable, "-c", _FITS, spec.model_dump_json()]
    done = subprocess.run(wanted, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout if done.returncode == EXIT_USAGE else done.stderr).strip().splitlines()
        raise UsageError(f"{where}: {lines[-1] if lines else f'weights {weights!r} cannot be loaded'}")


def scored_otherwise(records: Iterable[results.Record]) -> set[int]:
    """Return the scoring versions of these records that differ from the present one."""
    return {record.scoring for record in records if record.views} - {results.SCORING_VERSION}


def changed(records: Iterable[results.Record], data: Mapping[DataSpec, Dataset]) -> dict[str, list[str]]:
    """Return how code, versions, data or scoring of complete records differ from the present ones, by trial name."""
    versions = {dataset.version for dataset in data.values()}
    found = {}
    for record in records:
        here = made_by()
        differ = differences(record.environment, here)
        what = [f"{name} {record.environment.get(name)} -> {here[name]}" for name in differ]
        if scored_otherwise([record]):
            what.append(f"scoring {record.scoring} -> {results.SCORING_VERSION}")
        if record.dataset and record.dataset.version not in versions:
            what.append(f"data {record.dataset.version} -> {', '.join(sorted(versions))}")
        if what:
            found[record.trial] = what
    return found
