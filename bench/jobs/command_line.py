"""The command that a job runs, from the options of `bench.run` that somebody typed on another machine."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bench.core import UsageError
from bench.plan import Grid, GridRequest, resolved
from bench.storage import is_address
from results import counted

SENT = "sent"
"""Folder of a job's working directory that has the files which the options name."""


@dataclass(frozen=True)
class Job:
    """A run as a job.

    Attributes:
        name: of the grid or of the run; letters, digits, `-`, `_` and `.`.
        words: the options of `bench.run` on the cluster, without `--address`.
        files: local files by their path in the job's working directory.
        own: names `package.module:Class` of code of the user's own.
        releases: whether the command reads a published release.
        what: the grid that is run; None if the job resumes a run with the cells that it has.
        summary: what is run, in a line.
    """

    name: str
    words: tuple[str, ...]
    files: Mapping[str, Path]
    own: tuple[str, ...]
    releases: bool
    what: GridRequest | None
    summary: str

    def entrypoint(self, address: str = "auto") -> str:
        """Return the command line.

        Args:
            address: of the Ray cluster.
        """
        return shlex.join(["python", "-m", "bench.run", *self.words, "--address", address])


def job(words: Sequence[str], options: Mapping[str, Any]) -> Job:
    """Return the job of a command line. Its grid is resolved here, so that a fault in it is found before it is sent.

    Args:
        words: the options of `bench.run`, as typed.
        options: the same, parsed, by the names of its parameters.

    Raises:
        UsageError: the grid has a fault, or an option has no meaning on another machine.
    """
    _check_places(options)
    what = _request(options)
    grid = None if what is None else resolved(what)
    files = {}
    if what is not None and what.grid and what.grid.endswith((".yaml", ".yml")):
        there = f"{SENT}/{Path(what.grid).name}"
        files[there] = Path(what.grid)
        words = _replaced(words, "--grid", there)
    own = dict.fromkeys(name for cell in grid.cells for name in cell.spec.own_code) if grid else {}
    run = options["resume"] or options["name"] or (grid.name if grid else None)
    told = f"grid {grid.name}, {_extent(grid, bool(options['until']))}" if grid else "the trials that are left"
    summary = f"{told}, in {options['resume'] or options['out'] or 'no folder: a dry run'}"
    return Job(_name(str(run)), tuple(words), files, tuple(own), bool(options["against"]), what, summary)


def _extent(grid: Grid, until: bool) -> str:
    """Return how much a grid runs, as far as that is known before."""
    if until or grid.until is not None:
        return f"{counted(len(grid.cells), 'cell')} until decided"
    return counted(len(grid.cells) * grid.seeds, "trial")


def _request(options: Mapping[str, Any]) -> GridRequest | None:
    """Return what is run; None if a run is resumed with the cells that it has."""
    if options["resume"] is not None and options["grid"] is None:
        return None
    return GridRequest(
        grid=options["grid"], dataset=options["dataset"], data_root=options["data_root"], seeds=options["seeds"],
        only=tuple(options["only"] or ()), preset=options["preset"], gpus_per_trial=options["gpus_per_trial"],
        settings=tuple(options["set_"] or ()),
    )  # fmt: skip


def _check_places(options: Mapping[str, Any]) -> None:
    """Refuse what would be lost with the job, or be looked for in the wrong place.

    Raises:
        UsageError: names the option.
    """
    if options["address"] is not None:
        raise UsageError("--address: a job joins the cluster that it runs on; leave it out")
    for option, name in (("--storage", "out"), ("--resume", "resume"), ("--data-root", "data_root")):
        place = options[name]
        if place is not None and not is_address(place) and not PurePosixPath(place).is_absolute():
            raise UsageError(f"{option} {place}: give an absolute path, which the nodes of the cluster have")
    if options["out"] is None and options["resume"] is None and not options["dry_run"]:
        raise UsageError("--storage is missing: the folder of runs, which all nodes see; a job's own folder is removed")


def _replaced(words: Sequence[str], option: str, value: str) -> list[str]:
    """Return the words with another value of an option."""
    replaced = list(words)
    for place, word in enumerate(words):
        if word == option:
            replaced[place + 1] = value
        elif word.startswith(f"{option}="):
            replaced[place] = f"{option}={value}"
    return replaced


def _name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", Path(text).name, flags=re.ASCII).strip("-.") or "run"
