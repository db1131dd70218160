"""Several runs as one: their cells side by side, and what of them cannot be compared."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import results
from results import MACHINE, Dataset, Record, Run


@dataclass(frozen=True)
class _Clashes:
    """What several runs have in common: keys and labels of cells, and names of data sets with several versions.

    `machines` is how the machines of the runs differ; empty if they do not.
    """

    keys: frozenset[str]
    labels: frozenset[str]
    datasets: frozenset[str]
    machines: str


def join(runs: Sequence[Run], folder: Path) -> Run:
    """Return the cells of several runs as one run.

    A cell that several runs have is one cell per run: trainings of two runs are no repetitions of each other. Labels
    that several runs have are followed by the name of the run. Data sets of one name and several versions are told
    apart by their versions, so that their scores are not ranked together. If the machines differ, no speed is
    comparable.

    Args:
        runs: two or more runs; their order is kept.
        folder: the folder of the new run, in which nothing is read or written.

    Raises:
        ValueError: a run is given twice.
    """
    cells = [_cells(run) for run in runs]
    versions = {
        (one.record.dataset.name, one.record.dataset.version)
        for run in runs
        for one in run.trials
        if one.record.dataset
    }
    clashes = _Clashes(
        _repeated(cells),
        _repeated(found.values() for found in cells),
        frozenset(name for name, n in Counter(name for name, _ in versions).items() if n > 1),
        _machines_differ(runs),
    )
    names = named(runs)
    joined = [_renamed(run, name, clashes) for run, name in zip(runs, names, strict=True)]
    commands = [str(run.manifest["command"]) for run in runs if run.manifest.get("command")]
    return Run(
        folder,
        {"cells": [cell for one in joined for cell in one.manifest["cells"]], "command": "\n".join(commands)},
        [trial for one in joined for trial in one.trials],
        [problem for one in joined for problem in one.problems],
    )


def named(runs: Sequence[Run]) -> list[str]:
    """Return a name per run: its folder's, with as many of the folders above as tell the runs apart.

    Raises:
        ValueError: a run is given twice.
    """
    folders = [run.folder.resolve() for run in runs]
    twice = next((folder for folder, n in Counter(folders).items() if n > 1), None)
    if twice:
        raise ValueError(f"{twice}: given twice")
    depths = range(1, 1 + max(len(folder.parts) for folder in folders))
    found = (["/".join(folder.parts[-depth:]) for folder in folders] for depth in depths)
    return next(names for names in found if len({*names}) == len(names))


def _cells(run: Run) -> dict[str, str]:
    """Return {cell: label} of manifest and records."""
    planned = {cell["cell"]: str(cell.get("label", cell["cell"])) for cell in run.manifest.get("cells", [])}
    return planned | {one.record.cell: one.record.label for one in run.trials if one.record.cell not in planned}


def _repeated(found: Iterable[Iterable[str]]) -> frozenset[str]:
    """Return what occurs in more than one of the runs."""
    return frozenset(one for one, n in Counter(one for of_run in found for one in {*of_run}).items() if n > 1)


def _machines_differ(runs: Sequence[Run]) -> str:
    """Return the first field of the machine in which two runs differ; empty if all are the same or unknown."""
    for name in MACHINE:
        known = [{str(one.record.environment.get(name) or "") for one in run.trials} - {""} for run in runs]
        if len({frozenset(values) for values in known if values}) > 1:
            return f"the runs were measured on different machines ({name.replace('_', ' ')})"
    return ""


def _renamed(run: Run, name: str, clashes: _Clashes) -> Run:
    """Return a run whose cells, labels and trials have names of their own among the others."""
    cells = _cells(run)
    keys = {cell: f"{cell}@{name}" if cell in clashes.keys else cell for cell in cells}
    labels = {cell: f"{label} ({name})" if label in clashes.labels else label for cell, label in cells.items()}
    planned = {cell["cell"]: cell for cell in run.manifest.get("cells", [])}
    preset = results.grid_head(run.folder).get("preset") or run.manifest.get("options", {}).get("preset")
    more = {"run": name} | ({"preset": str(preset)} if preset else {})
    manifest = [
        {"seeds": [], **planned.get(cell, {}), "cell": keys[cell], "label": labels[cell], **more} for cell in cells
    ]
    trials = []
    for one in run.trials:
        record = one.record
        change = {
            "trial": f"{name}/{record.trial}", "cell": keys[record.cell], "label": labels[record.cell],
            "dataset": _versioned(record.dataset, clashes), "throughput": _doubted(record, clashes.machines),
        }  # fmt: skip
        trials.append(replace(one, record=record.model_copy(update=change)))
    return replace(run, manifest={"cells": manifest}, trials=trials)


def _versioned(dataset: Dataset | None, clashes: _Clashes) -> Dataset | None:
    if dataset is None or dataset.name not in clashes.datasets:
        return dataset
    return dataset.model_copy(update={"name": f"{dataset.name} ({dataset.version[:8]})"})


def _doubted(record: Record, why: str) -> results.Throughput | None:
    """Return the speed of a trial, which cannot be compared if the machines differ."""
    speed = record.throughput
    if speed is None or not why:
        return speed
    reason = f"{speed.reason}; {why}" if speed.reason else why
    return speed.model_copy(update={"comparable": False, "reason": reason})
