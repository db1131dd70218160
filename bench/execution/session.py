"""A run from its request to its last record: `start` a new one or `resume` one; both end in `execute`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from bench.core import StorageLost, UsageError, describe, signals
from bench.execution import cluster_checks, resumption
from bench.execution.failure_policy import FailurePolicy, Trial, is_done
from bench.execution.request import RunRequest
from bench.execution.run_folder import SEARCH, RunFolder, resume_command, writable
from bench.execution.search import TunedGrid, candidates, choose
from bench.plan import (
    Datasets,
    GridRequest,
    Machine,
    Plan,
    checks,
    dry_run,
    longest_first,
    make,
    place,
    this_machine,
    why_unplaceable,
)

if TYPE_CHECKING:
    from bench.execution.ray_tune import Node


class Outcome(Enum):
    """How a session ended. A dry run ends with `FITS` or `DOES_NOT_FIT`."""

    COMPLETE = auto()
    INCOMPLETE = auto()
    INTERRUPTED = auto()
    FITS = auto()
    DOES_NOT_FIT = auto()


@dataclass(frozen=True)
class Frontend:
    """What a session needs of the command that calls it.

    Attributes:
        console: where it prints.
        report: writes tables and report of a run's folder; returns whether that went well.
        ask: see `resumption.Ask`; None where there is nobody to ask.
    """

    console: Console
    report: Callable[[Path], bool]
    ask: resumption.Ask | None = None


def start(request: RunRequest, frontend: Frontend) -> Outcome:
    """Plan a new run, make its folder and execute it; or show the plan alone, if that is what is asked for.

    Raises:
        UsageError: any fault of the request. Nothing has been written then.
    """
    cluster_checks.check_trackers(request.track)
    what, out, console = request.what.begun(), request.storage, frontend.console
    # With no cluster to ask, everything a user can get wrong is known before Ray starts.
    planned = _planned(what, [this_machine()], request) if request.address is None else None
    if planned is not None:
        if request.dry_run:
            return _preview(*planned, [this_machine()], request, console)
        if fault := why_unplaceable(planned[0].needs, [this_machine()]):
            raise UsageError(fault)
    writable(out, request.name, request.address)
    with _cluster(request.address) as nodes:
        if planned is None:
            cluster_checks.check_nodes(out)
            planned = _planned(what, nodes, request)
            if request.dry_run:
                return _preview(*planned, nodes, request, console)
        plan, data = planned
        _check_cluster(plan, nodes, data)
        name = request.name or _name(plan)
        folder = RunFolder.create(out, name, _manifest(request, what), plan, describe(), request.address)
        dry_run.notes(plan, data, console)
        plan = longest_first(plan, data, out, nodes)
        return execute(plan, folder, request.policy, frontend, request.track, request.address)


def resume(path: Path, request: RunRequest, frontend: Frontend) -> Outcome:
    """Execute what a run lacks. It may grow by seeds or by another grid's cells, and its data may have moved.

    Raises:
        UsageError: any fault of the request, or of what the run needs. Nothing has been written then.
    """
    cluster_checks.check_trackers(request.track)
    resumption.check_request(request)
    folder = RunFolder.open(path)
    policy = request.policy.over(folder.manifest().get("policy", {}))
    found = resumption.examine(folder, request, frontend.ask)
    what, at_a_time = request.what, request.max_concurrent
    grows = what.grid is not None or what.seeds is not None
    if grows and request.address is None:
        resumption.grow(folder, found.grid, what, [this_machine()], at_a_time, found.moves)  # a refusal needs no Ray
    with _cluster(request.address) as nodes:
        grid = found.grid
        if grows:
            grid = resumption.grow(folder, grid, what, nodes, at_a_time, found.moves)
        plan = place(grid, found.gpus, nodes, at_a_time)
        if request.address is not None:
            cluster_checks.check_nodes(path)
        data = checks.check_inputs(plan.grid)
        _check_cluster(plan, nodes, data)
        # Nothing can be refused any more.
        _set_aside(found.redo, frontend.console)
        if grows or found.moved:
            folder.regrid(plan, resumption.overrides(what), request.address, found.moves)
        if not grid.search:  # else its cells are known once the search has chosen
            kept = f"{_complete(folder, plan)} trials are complete and kept."
            frontend.console.print(kept, style="dim")
        plan = longest_first(plan, data, path.parent, nodes)
        return execute(plan, folder, policy, frontend, request.track, request.address)


def execute(
    plan: Plan,
    folder: RunFolder,
    policy: FailurePolicy,
    frontend: Frontend,
    track: Sequence[str] = (),
    address: str | None = None,
) -> Outcome:
    """Run what a folder lacks of its plan, the plan's search first, then have tables and report written."""
    from bench.execution.runner import TrialRunner  # imports Ray

    console, again = frontend.console, resume_command(folder.path, address)

    def train(where: RunFolder, trials: list[Trial], finished: int = 0) -> None:
        TrialRunner(where, plan, policy, console, facts, track).run(trials, finished)

    facts: Mapping[str, Mapping[str, Any]] = {}
    try:
        if plan.grid.search:
            tuned = _search(plan, folder, train, console)
            if tuned is None:
                console.print(f"Try them again with: {again}", soft_wrap=True)
                return Outcome.INCOMPLETE
            plan, facts = replace(plan, grid=tuned.grid), tuned.facts
            folder.recell(plan)
            for note in tuned.notes:
                console.print(note, style="dim", soft_wrap=True)
        missing, total = _missing(folder, plan), len(plan.trials)
        console.print(f"Run {folder.path}: {len(missing)} trials to do.", soft_wrap=True)
        if missing:
            train(folder, missing, total - len(missing))
    except StorageLost as lost:
        with contextlib.suppress(StorageLost):
            folder.finish("incomplete")
        console.print(f"Stopped: {lost}. {_complete(folder, plan)} trials are complete and kept.", style="red")
        console.print(f"When there is room again: {again}", soft_wrap=True)
        return Outcome.INCOMPLETE
    except KeyboardInterrupt:
        with contextlib.suppress(StorageLost):
            folder.finish("interrupted")
        console.print(f"\nInterrupted: {_complete(folder, plan)} trials are complete and kept.")
        console.print(f"Go on with: {again}", soft_wrap=True)
        signals.recorded()
        return Outcome.INTERRUPTED
    failed = len(_missing(folder, plan))
    folder.finish("incomplete" if failed else "complete")
    reported = frontend.report(folder.path)
    if failed:
        console.print(f"Incomplete: {failed} of {total} trials failed.", style="red")
        console.print(f"Try them again with: {again}", soft_wrap=True)
    return Outcome.COMPLETE if reported and not failed else Outcome.INCOMPLETE


def _search(
    plan: Plan, folder: RunFolder, train: Callable[[RunFolder, list[Trial]], None], console: Console
) -> TunedGrid | None:
    """Run what the search of a grid lacks and choose among its candidates; None when some of its trials failed."""
    assert plan.grid.search is not None
    search, wanted = RunFolder(folder.path / SEARCH), candidates(plan.grid)
    if missing := _without_score(search, wanted):
        console.print(f"Search over {plan.grid.search.field}: {len(missing)} trials to do.", soft_wrap=True)
        train(search, missing)
    if failed := len(_without_score(search, wanted)):
        # Chosen among the others, the cell would be another one once the search is whole.
        folder.finish("incomplete")
        console.print(f"Incomplete: {failed} of {len(wanted)} trials of the search failed.", style="red")
        return None
    return choose(plan.grid, search)


@contextlib.contextmanager
def _cluster(address: str | None) -> Iterator[list[Node]]:
    """Start or join a cluster, see `ray_tune.cluster`."""
    from bench.execution import ray_tune  # imports Ray

    with ray_tune.cluster(address) as nodes:
        signals.install()  # again: Ray took them over
        yield nodes


def _planned(what: GridRequest, nodes: Sequence[Machine], request: RunRequest) -> tuple[Plan, Datasets]:
    plan = make(what, nodes, request.max_concurrent)
    return plan, checks.check_inputs(plan.grid)


def _preview(plan: Plan, data: Datasets, nodes: Sequence[Machine], request: RunRequest, console: Console) -> Outcome:
    fits = dry_run.preview(plan, nodes, data, request.storage, console)
    return Outcome.FITS if fits else Outcome.DOES_NOT_FIT


def _check_cluster(plan: Plan, nodes: Sequence[Node], data: Datasets) -> None:
    """Refuse a plan that the nodes cannot hold, or whose data they do not have."""
    cluster_checks.check_placement(plan, nodes)
    cluster_checks.check_data({spec: dataset.version for spec, dataset in data.items()})


def _set_aside(redo: resumption.Redo, console: Console) -> None:
    for folder, trials in redo.items():
        folder.set_aside(trials)
        left = f"what they left is in {folder.path / 'replaced'}"
        console.print(f"{len(trials)} trials are made anew; {left}.", style="dim")


def _name(plan: Plan) -> str:
    data = plan.grid.cells[0].spec.data.name
    return f"{plan.grid.name}-{data}-{datetime.now():%Y%m%d-%H%M%S}"


def _manifest(request: RunRequest, what: GridRequest) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": what.grid,
        "grid": what.grid,
        "command": request.command,
        "options": what.options(),
        "policy": request.policy.given,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": "running",
    }


def _missing(folder: RunFolder, plan: Plan) -> list[Trial]:
    return [trial for trial in plan.trials if not is_done(folder, trial)]


def _complete(folder: RunFolder, plan: Plan) -> str:
    return f"{sum(is_done(folder, trial) for trial in plan.trials)} of {len(plan.trials)}"


def _without_score(search: RunFolder, trials: Sequence[Trial]) -> list[Trial]:
    """Return the candidates of a search that have neither a score nor a reason of their own for having none."""
    return [trial for trial in trials if search.status(trial[0]) not in ("ok", "diverged", "oom")]
