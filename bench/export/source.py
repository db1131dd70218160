"""The trial to export, from a path that names a run, a trial, or a cell of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import results
from bench.core import UsageError
from bench.prediction import chosen, run_at


@dataclass(frozen=True)
class Source:
    """What is exported: the weights of `trial`; the other seeds of its cell in `run` tell how far its score varies."""

    run: results.Run
    trial: results.Stored


def find_source(path: Path) -> Source:
    """Return the trial that a path names.

    Args:
        path: the folder of a trial; RUN/NAME with the id of a trial, or the label or hash of a cell; or the folder of a
            run that has one cell. `bench.prediction.chosen` says which trial stands for a cell.

    Raises:
        UsageError: there is no such trial or cell, or the run has several cells.
    """
    if (path / "record.json").is_file():
        home = path.resolve().parent.parent
        run = run_at(home if (home / "run.json").is_file() else path)
        here = [one for one in run.trials if one.folder.resolve() == path.resolve()]
        if not here:
            raise UsageError(run.problems[0] if run.problems else f"{path}: no record that can be read")
        return Source(run, here[0])
    if path.is_dir():
        place, name = path, None
    elif path.parent.is_dir():
        place, name = path.parent, path.name
    else:
        raise UsageError(f"{path}: no such run, trial or cell")
    run = run_at(place)
    return Source(run, chosen(run, place, name, f"name one: {path}/CELL with"))
