"""What can be known before the first trial: weights, data sets, GPUs, nodes, and what changed since a run began."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import results
from bench.environment import MADE_BY, describe
from bench.errors import EXIT_USAGE, UsageError
from bench.grid import Grid
from bench.plan import Plan, misfit
from bench.spec import DataSpec, TrialSpec, initial_weights

_FITS = f"""
import sys
import models
try:
    models.build(models.ModelSpec.model_validate_json(sys.argv[1]), 2)
except ValueError as error:
    print(error)
    sys.exit({EXIT_USAGE})
"""

_COUNT_GPUS = "bench.training:visible_gpus"

if TYPE_CHECKING:
    from bench import schedule
    from bench.data.dataset import Dataset


def check_inputs(grid: Grid) -> dict[DataSpec, Dataset]:
    """Look at all weights and read every data set once, before any training; returns the data sets."""
    from bench.data import load

    labels: dict[tuple[str, str], str] = {}
    for cell in grid.cells:
        check_weights(cell.spec, f"cell {cell.label!r}")
        labels.setdefault((cell.spec.model.backbone, cell.spec.model.weights), cell.label)
    for (backbone, weights), label in labels.items():
        if weights not in ("none", "imagenet"):
            _check_fit(backbone, weights, f"cell {label!r}")
    return {spec: load(spec) for spec in dict.fromkeys(cell.spec.data for cell in grid.cells)}


def check_weights(spec: TrialSpec, where: str) -> None:
    """Refuse a trial whose weights are not there; `where` is said in the error."""
    import models.weights

    try:
        models.weights.check(spec.model.backbone, spec.model.weights)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None
    if spec.train.init_from:
        initial_weights(spec.train.init_from)


@functools.cache  # a run looks twice
def _check_fit(backbone: str, weights: str, where: str) -> None:
    """Refuse weights that do not fit, or cannot be downloaded: every trial would end so.

    In a process of its own, which imports TensorFlow.
    """
    import models

    spec = models.ModelSpec(backbone=backbone, weights=weights, output_stride=32)
    wanted = [sys.executable, "-c", _FITS, spec.model_dump_json()]
    done = subprocess.run(wanted, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout if done.returncode == EXIT_USAGE else done.stderr).strip().splitlines()
        raise UsageError(f"{where}: {lines[-1] if lines else f'weights {weights!r} cannot be loaded'}")


def check_trackers(names: Sequence[str]) -> None:
    """Refuse a tracker whose package is not installed."""
    for name in names:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:  # W&B leaves folders of its own name about
            raise UsageError(f"--track {name} needs the extra `{name}`: pip install 'segmentation-bench[{name}]'")


def check_placement(plan: Plan, nodes: Sequence[schedule.Node]) -> None:
    """Refuse what would wait for ever, and nodes whose TensorFlow cannot see the GPUs that Ray gives a trial there."""
    if fault := misfit(plan.needs, nodes):
        raise UsageError(fault)
    if plan.gpus:
        from bench import schedule

        for node, seen in schedule.on_every_node(_COUNT_GPUS, gpus=plan.gpus).items():
            if seen != plan.gpus:
                raise UsageError(
                    f"node {node}: Ray gives a trial {plan.gpus} GPU(s) but TensorFlow sees {seen}; install its CUDA "
                    "libraries there (make venv CUDA=1) or use --gpus-per-trial 0"
                )


def check_nodes(out: Path) -> None:
    """Refuse a cluster with a node that has other versions, or that does not see the place for results.

    Raises:
        UsageError: naming the node, with both versions.
    """
    from bench import schedule

    out.mkdir(parents=True, exist_ok=True)
    marker = out.resolve() / f".seen-by-all-nodes-{os.getpid()}"
    marker.touch()
    try:
        for node, found in schedule.on_every_node("bench.preflight:probe", str(marker)).items():
            if differ := differences(found["made_by"], here := made_by()):
                name = differ[0]
                raise UsageError(
                    f"node {node} has {name} {found['made_by'][name]}, this process {name} {here[name]}: "
                    "install the same on both"
                )
            if not found["sees"]:
                raise UsageError(f"node {node} does not see {out}: --storage has to be a path that all nodes share")
    finally:
        marker.unlink()


def check_data(data: Mapping[DataSpec, Dataset]) -> None:
    """Refuse a cluster on whose nodes a data root is missing, faulty or not the same."""
    from bench import schedule

    if not schedule.several_machines():
        return
    for spec, dataset in data.items():
        if spec.root is None:
            continue
        for node, (version, fault) in schedule.on_every_node("bench.data:version_here", spec.model_dump()).items():
            if fault or version != dataset.version:
                what = fault or f"data.root {spec.root} holds version {version}, here {dataset.version}"
                raise UsageError(f"node {node}: {what}; data.root has to hold the same set on every node")


def probe(marker: str) -> dict[str, Any]:
    """Run on a node: what it has, and whether it sees a file."""
    return {"made_by": made_by(), "sees": Path(marker).exists()}


def made_by() -> dict[str, Any]:
    """What the numbers of a trial made in this environment depend on, but for its data."""
    return {name: describe().get(name) for name in MADE_BY}


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return [name for name in MADE_BY if one.get(name) != other.get(name)]


def scored_otherwise(records: Iterable[results.Record]) -> set[int]:
    """The versions of these records' scores that are not the present one."""
    return {record.scoring for record in records if record.views} - {results.SCORING_VERSION}


def changed(records: Iterable[results.Record], data: Mapping[DataSpec, Dataset]) -> dict[str, list[str]]:
    """By the trial's name, in what code, versions, data or scoring of complete records differ from those at hand."""
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
