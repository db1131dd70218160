"""The trial that a command means by a name: that of a trial or of a cell, or none."""

from __future__ import annotations

from pathlib import Path

import results
from bench.core import UsageError, nearest


def choose_trial(run: Path, name: str | None) -> results.Stored:
    """Return the trial that `--trial` names in a run; see `chosen`.

    Args:
        run: folder of a run or of a trial.
        name: id of a trial, or label or hash of a cell; None for the only cell.

    Raises:
        UsageError: the run cannot be read, or the name means no trial.
    """
    return chosen(run_at(run), run, name, "choose one with --trial:")


def chosen(run: results.Run, place: Path, name: str | None, request: str) -> results.Stored:
    """Return the trial of that id, or the one that stands for the cell of that label or hash.

    Of a cell the complete trial of the lowest seed that kept its weights is taken, and not the best one: its score was
    not chosen for being high. Without such a trial, one is returned that says what it lacks. Unreadable records of
    other trials are ignored if the name is found.

    Args:
        run: the run, or a trial alone.
        place: where it was read from, for messages.
        name: of the trial or the cell; None for the only cell.
        request: how a user names one of several cells; their labels follow.

    Raises:
        UsageError: there is no such trial or cell, there are several, or a record cannot be read.
    """
    named = [one for one in run.trials if one.record.trial == name]
    found = named or [one for one in run.trials if name in (None, one.record.label, one.record.cell)]
    if run.problems and (name is None or not found):
        raise UsageError(run.problems[0])
    if not run.trials:
        raise UsageError(f"{place} has no record of a trial yet")
    if not found:
        known = {name for one in run.trials for name in (one.record.trial, one.record.label)}
        raise UsageError(f"{place} has no trial or cell {name!r}{nearest(str(name), known)}")
    cells = {one.record.cell: one.record.label for one in found}
    if len(cells) > 1 and name is None:
        raise UsageError(f"{place} has {len(cells)} cells; {request} {', '.join(sorted(_names(cells)))}")
    if len(cells) > 1 and not named:
        raise UsageError(f"{place} has {len(cells)} cells {name!r}; name a hash: {', '.join(sorted(cells))}")
    best = min(found, key=_rank)
    if (same := [one.folder for one in run.trials if one.record.trial == best.record.trial])[1:]:
        raise UsageError(f"{place} has two trials {best.record.trial}: name {same[0]} or {same[1]}")
    return best


def run_at(folder: Path) -> results.Run:
    """Return a run, or a trial alone.

    Raises:
        UsageError: there is none.
    """
    try:
        return results.read_run(folder)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _names(cells: dict[str, str]) -> list[str]:
    """Return a name for each cell: its label, or its hash if another has the same label."""
    labels = [*cells.values()]
    return [label if labels.count(label) == 1 else cell for cell, label in cells.items()]


def _rank(one: results.Stored) -> tuple[bool, bool, int]:
    kept = any(artefact.kind == "checkpoint" for artefact in one.record.artefacts)
    return one.record.status != "ok", not kept, one.record.seed
