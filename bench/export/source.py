"""The trial to export, from a path that names a run, a trial, or a cell of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import results
from bench.core import UsageError, nearest


@dataclass(frozen=True)
class Source:
    """What is exported: the weights of `trial`; the other seeds of its cell in `run` tell how far its score varies."""

    run: results.Run
    trial: results.Stored


def find_source(path: Path) -> Source:
    """Return the trial that a path names.

    Args:
        path: the folder of a trial; RUN/NAME with the id of a trial, or the label or hash of a cell; or the folder of a
            run that has one cell. Of a cell the complete trial of the lowest seed that kept its weights is taken, and
            not the best one: its score was not chosen for being high.

    Raises:
        UsageError: there is no such trial or cell, or the run has several cells.
    """
    if (path / "record.json").is_file():
        home = path.resolve().parent.parent
        run = _read(home if (home / "run.json").is_file() else path)
        here = [one for one in run.trials if one.folder.resolve() == path.resolve()]
        if not here:
            raise UsageError(run.problems[0] if run.problems else f"{path}: no record that can be read")
        return Source(run, here[0])
    if path.is_dir():
        run = _read(path)
        cells = {one.record.cell: one.record.label for one in run.trials}
        if len(cells) > 1:
            raise UsageError(f"{path} has {len(cells)} cells; name one: {path}/CELL with {', '.join(cells.values())}")
        return Source(run, _of_cell(run, run.trials))
    if not path.parent.is_dir():
        raise UsageError(f"{path}: no such run, trial or cell")
    run = _read(path.parent)
    named = [one for one in run.trials if one.record.trial == path.name]
    if len(named) == 1:
        return Source(run, named[0])
    of_cell = [one for one in run.trials if path.name in (one.record.label, one.record.cell)]
    if not of_cell:
        known = {name for one in run.trials for name in (one.record.trial, one.record.label)}
        raise UsageError(f"{path.parent} has no trial or cell {path.name!r}{nearest(path.name, known)}")
    if len(hashes := sorted({one.record.cell for one in of_cell})) > 1:
        raise UsageError(f"{path.parent} has {len(hashes)} cells {path.name!r}; name a hash: {', '.join(hashes)}")
    return Source(run, _of_cell(run, of_cell))


def _read(folder: Path) -> results.Run:
    try:
        return results.read_run(folder)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _of_cell(run: results.Run, trials: list[results.Stored]) -> results.Stored:
    """Return the complete trial of the lowest seed with weights; without one, a trial that says what it lacks."""

    def rank(one: results.Stored) -> tuple[bool, bool, int]:
        kept = any(artefact.kind == "checkpoint" for artefact in one.record.artefacts)
        return one.record.status != "ok", not kept, one.record.seed

    return min(trials, key=rank)
