"""The folder of a comparison side by side: `versus.json`, a run folder per side, and the page of the comparison."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import results
from bench.core import StorageLost, UsageError, describe
from bench.execution import RunFolder, writable
from bench.plan import Plan
from bench.revisions import Revision
from bench.versus.turns import SIDES

FILE = "versus.json"
Sides = Mapping[str, Revision]


@dataclass(frozen=True)
class VersusFolder:
    """A folder with the run folders `base` and `head`, each locked by this process."""

    path: Path
    runs: Mapping[str, RunFolder]

    @classmethod
    def create(
        cls,
        path: Path,
        plan: Plan,
        sides: Sides,
        command: str,
        options: Mapping[str, Any],
        decisions: Sequence[results.Decision] = (),
    ) -> VersusFolder:
        """Make the folder, or open the one that an earlier start of the same comparison left.

        Args:
            path: of the folder.
            plan: the placed cells.
            sides: both revisions.
            command: the command line.
            options: that resolved the grid.
            decisions: what the comparison has to decide.

        Raises:
            UsageError: the folder cannot be written, or holds something else than this comparison.
        """
        until = {key: value for one in decisions for key, value in one.plain().items()}
        wanted = _identity(plan, sides) | ({"until": until} if until else {})
        if (path / FILE).exists():
            _check_same(path, wanted)
        elif path.exists() and any(path.iterdir()):
            raise UsageError(f"--out {path}: holds something else; name another folder")
        else:
            writable(path)
            results.write_bytes(path / FILE, (json.dumps({"schema_version": 1, **wanted}, indent=2) + "\n").encode())
        manifest = {
            "schema_version": 1, "name": plan.grid.name, "grid": plan.grid.name, "command": command,
            "options": dict(options), "policy": {}, "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "status": "running",
        }  # fmt: skip
        own = {"base": {}, "head": until}
        runs = {side: _run(path, side, plan, {**manifest, "revision": wanted[side], **own[side]}) for side in SIDES}
        return cls(path, runs)

    def done(self) -> dict[str, set[str]]:
        """Return the names of the complete trials by side."""
        return {side: {record.trial for record in run.complete()} for side, run in self.runs.items()}

    def finish(self, status: str) -> None:
        """Write the status of both runs: "complete", "incomplete" or "interrupted"."""
        for run in self.runs.values():
            with contextlib.suppress(StorageLost):
                run.finish(status)

    def compare(self, sides: Sides, margins: Path | None) -> results.Comparison:
        """Return the comparison of the two runs, which bear the names of their revisions.

        Raises:
            UsageError: neither side has a record, or the margins file has a fault.
        """
        try:
            found = results.compare(self.path / "base", self.path / "head", margins)
        except ValueError as error:
            raise UsageError(str(error)) from None
        base, head = (replace(getattr(found, side), name=sides[side].name) for side in SIDES)
        return replace(found, base=base, head=head)


def _run(path: Path, side: str, plan: Plan, manifest: Mapping[str, Any]) -> RunFolder:
    """Return the run folder of a side, with the cells and seeds of this plan."""
    if not (path / side / "run.json").exists():
        return RunFolder.create(path, side, manifest, plan, describe())
    run = RunFolder.open(path / side)
    run.recell(plan)
    return run


def _identity(plan: Plan, sides: Sides) -> dict[str, Any]:
    """Return what makes a comparison: both revisions, and the cells with their devices."""
    named = {side: {"name": one.name, "commit": one.commit, "recorded": one.recorded} for side, one in sides.items()}
    cells = [
        {"label": cell.label, "cell": cell.spec.cell, "placement": cell.spec.placement.model_dump(mode="json")}
        for cell in plan.grid.cells
    ]
    return {**named, "grid": plan.grid.name, "cells": cells}


def _check_same(path: Path, wanted: Mapping[str, Any]) -> None:
    """Refuse to continue another comparison. The number of seeds may differ: it can grow.

    Raises:
        UsageError: the folder holds other revisions or cells, or cannot be read.
    """
    try:
        held = json.loads((path / FILE).read_text())
        for side in SIDES:
            if held[side]["commit"] != wanted[side]["commit"]:
                raise UsageError(
                    f"--out {path}: its {side} is {held[side]['name']}, not {wanted[side]['name']}; name another folder"
                )
        if held["cells"] != wanted["cells"]:
            raise UsageError(f"--out {path}: holds other cells or devices than these; name another folder")
        if held.get("until") != wanted.get("until"):
            raise UsageError(
                f"--out {path}: what it has to decide (--until) was fixed before its first trial; name another folder"
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--out {path}: its {FILE} cannot be read: {error!r}") from None
