"""A comparison side by side from its request to its verdicts."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from bench.core import StorageLost, UsageError, signals
from bench.plan import Cell, GridRequest, Plan, checks, make, this_machine, why_unplaceable
from bench.revisions import Revision, Runnable, Worktrees, refusal, resolve, runnable
from bench.versus import deciding
from bench.versus.folder import VersusFolder
from bench.versus.turns import ENTRY, SIDES, Pair, pairs, payload, to_do
from results import counted

if TYPE_CHECKING:
    import results
    from bench.execution import ray_tune


@dataclass(frozen=True)
class Request:
    """A comparison as it is requested.

    Attributes:
        sides: texts that name the two revisions, by side.
        what: the grid and the options that resolve it.
        pythons: interpreters of ready environments, by side.
        out: folder of the comparison; None for one in `runs` named by grid and time. If it holds this comparison, what
            it lacks is run.
        repository: a folder inside a checkout of the project.
        margins: another margins file; None for the default.
        trial_timeout: seconds for one trial; None for no limit.
        until: "decided", perhaps with a margin: run seeds until it is; None for a fixed number.
        max_seeds: with `until`, seeds of the last look; None for the default.
        command: the command line, for the manifests.
    """

    sides: Mapping[str, str]
    what: GridRequest = field(default_factory=GridRequest)
    pythons: Mapping[str, Path | None] = field(default_factory=dict)
    out: Path | None = None
    repository: Path = Path()
    margins: Path | None = None
    trial_timeout: float | None = None
    until: str | None = None
    max_seeds: int | None = None
    command: str = ""


def run(request: Request, console: Console) -> results.Comparison:
    """Run the trials of both sides in turns, and compare them. The worktrees are removed, whatever happens.

    Args:
        request: what to compare.
        console: where progress is printed.

    Raises:
        UsageError: the request has a fault, or a side refuses a cell. Nothing has been trained then.
        KeyboardInterrupt: Ctrl-C; the complete trials are kept.
        StorageLost: the folder can no longer be written; the complete trials are kept.
    """
    sides = {side: resolve(request.repository, request.sides[side]) for side in SIDES}
    what = request.what.begun()
    plan = _planned(what)
    decisions = deciding.planned(request.until, request.max_seeds, plan.grid, sides["base"].name, request.margins)
    if decisions:
        if what.seeds is not None:
            raise UsageError("--seeds: a comparison with --until decides how many; --max-seeds sets the most")
        plan = replace(plan, grid=replace(plan.grid, seeds=decisions[0].plan.last))
    out = request.out or Path("runs") / f"versus-{plan.grid.name}-{datetime.now():%Y%m%d-%H%M%S}"
    for side, revision in sides.items():
        console.print(f"{side}: {revision.name}", soft_wrap=True)
    _note_changes(request, sides, console)
    with Worktrees() as trees:
        ready = {side: runnable(trees.add(sides[side]), request.pythons.get(side)) for side in SIDES}
        _check_settings(ready, plan.grid.cells)
        folder = VersusFolder.create(out, plan, sides, request.command, what.options(), decisions)
        missing = to_do(pairs(plan.grid), folder.done())
        trials = sum(len(lacking) for _, lacking in missing)
        rounds = deciding.Rounds(decisions, folder, pairs(plan.grid), console) if decisions else None
        at_most = "at most " if rounds else ""
        console.print(f"Comparison {out}: {at_most}{counted(trials, 'trial')} to do.", soft_wrap=True)
        if rounds and not rounds.open():
            rounds.ask()  # tells what was decided
        elif missing:
            _measure(missing, ready, folder, plan, request.trial_timeout, console, rounds)
    left = rounds.lacking() if rounds else sum(len(sides) for _, sides in to_do(pairs(plan.grid), folder.done()))
    folder.finish("incomplete" if left else "complete")
    return folder.compare(sides, request.margins)


def _planned(what: GridRequest) -> Plan:
    """Return the placed cells of this machine, with their data checked. Both sides run these.

    Raises:
        UsageError: the grid has a fault or a search, or this machine cannot hold it.
    """
    machine = [this_machine()]
    plan = make(what, machine, None)
    if plan.grid.search:
        raise UsageError(f"grid {plan.grid.name}: its search may choose other cells for each side; compare without one")
    if fault := why_unplaceable(plan.needs, machine):
        raise UsageError(fault)
    checks.check_inputs(plan.grid)
    return plan


def _note_changes(request: Request, sides: Mapping[str, Revision], console: Console) -> None:
    """Say that the present uncommitted changes are in neither side, if there are any."""
    named = any(revision.dirty for revision in sides.values())
    if not named and resolve(request.repository, str(request.repository)).dirty:
        console.print("Uncommitted changes are in neither side; `.` names the working tree with them.", soft_wrap=True)


def _check_settings(ready: Mapping[str, Runnable], cells: tuple[Cell, ...]) -> None:
    """Ask the code of both sides whether it takes the settings of every cell.

    Raises:
        UsageError: names the side, the cell and the reason.
    """
    for side, one in ready.items():
        for cell in cells:
            if why := refusal(one, cell):
                name = one.checkout.revision.name
                raise UsageError(f"{side} {name} refuses cell {cell.label!r}: {why}; leave it out with --only")


def _measure(
    missing: list[tuple[Pair, tuple[str, ...]]], ready: dict[str, Runnable], folder: VersusFolder, plan: Plan,
    timeout: float | None, console: Console, rounds: deciding.Rounds | None,
) -> None:  # fmt: skip
    """Run the missing trials through Ray, one job per pair, so that both sides of it have the same devices.

    With `rounds`, those that they ask for.
    """

    jobs = [_job(pair, lacking, ready, folder, timeout) for pair, lacking in missing]
    try:
        with _cluster() as cluster:
            cluster.run(
                jobs,
                shared=folder.path / ".tune",
                max_concurrent=plan.concurrent,
                listener=_Teller(console, len(jobs), "at most " if rounds else ""),
                ask=rounds.ask if rounds else None,
            )
    except (KeyboardInterrupt, StorageLost):
        folder.finish("interrupted")
        done = sum(map(len, folder.done().values()))
        console.print(f"\nStopped: {counted(done, 'complete trial')} kept. The same command with")
        console.print(f"--out {folder.path} goes on.", soft_wrap=True)
        raise
    finally:
        _remove_parts(folder)


@contextlib.contextmanager
def _cluster() -> Iterator[Any]:
    """Start Ray on this machine, and yield the scheduler."""
    from bench.execution import ray_cluster, ray_tune  # imports Ray

    with ray_cluster.cluster(None):
        signals.install()  # again, because Ray installs its own handlers
        yield ray_tune


def _job(
    pair: Pair, lacking: tuple[str, ...], ready: dict[str, Runnable], folder: VersusFolder, timeout: float | None
) -> ray_tune.Job:
    """Return the job of a pair, for the sides that lack it."""
    from bench.execution import ray_tune  # imports Ray

    folders = {side: folder.runs[side].trial(pair.name) for side in lacking}
    placement = pair.cell.spec.placement
    log = folder.path.resolve() / "pairs" / f"{pair.name}.log"
    log.parent.mkdir(exist_ok=True)
    return ray_tune.Job(
        pair.name, ENTRY, payload(pair, ready, folders, timeout), str(log), placement.cpus or 1, placement.gpus
    )


class _Teller:
    """Prints a line per trial."""

    def __init__(self, console: Console, pairs: int, at_most: str) -> None:
        self._console, self._pairs, self._at_most, self._ended = console, pairs, at_most, 0

    def __call__(self, event: ray_tune.Event) -> None:
        if event.kind == "message" and event.data.get("event") == "measured":
            rate, error = event.data["rate"], event.data["error"]
            said = error or (f"{rate:.4g} images/s" if rate else "no speed")
            self._console.print(f"{event.job} {event.data['side']}: {event.data['status']}, {said}", soft_wrap=True)
        elif event.kind == "ended":
            self._ended += 1
            if event.end is not None and event.end.kind != "returned":
                self._console.print(f"{event.job}: {event.end.message}", style="red", soft_wrap=True)
            self._console.print(f"{self._ended} of {self._at_most}{counted(self._pairs, 'pair')}", style="dim")


def _remove_parts(folder: VersusFolder) -> None:
    """Remove what trials left that were stopped half way."""
    for run in folder.runs.values():
        for part in (run.path / "trials").glob(".*.part"):
            shutil.rmtree(part, ignore_errors=True)
