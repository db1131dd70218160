"""A run from its request to its last record. `start` begins a new run, `resume` continues one; both call `execute`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

import results
from bench.core import StorageLost, UsageError, describe, own_code, signals
from bench.execution import campaign, cluster_checks, resumption
from bench.execution.failure_policy import FailurePolicy, Trial, is_done
from bench.execution.request import RunRequest, UntilRequest
from bench.execution.run_folder import SEARCH, RunFolder, resume_command, writable
from bench.execution.search import TunedGrid, candidates, choose
from bench.plan import (
    METRIC,
    Datasets,
    GridRequest,
    Machine,
    Plan,
    Until,
    checks,
    dry_run,
    longest_first,
    make,
    place,
    read_until,
    this_machine,
    time_estimate,
    why_unplaceable,
)
from bench.storage import mirror_of

if TYPE_CHECKING:
    from bench.execution.ray_cluster import Node


class Outcome(Enum):
    """How a session ended. A dry run ends with `FITS` or `DOES_NOT_FIT`.

    A run that had to decide something ends with `COMPLETE` if it did, with `REGRESSED` if a cell has, and with
    `UNDECIDED` at the limit of its seeds or of its budget.
    """

    COMPLETE = auto()
    INCOMPLETE = auto()
    INTERRUPTED = auto()
    UNDECIDED = auto()
    REGRESSED = auto()
    FITS = auto()
    DOES_NOT_FIT = auto()


@dataclass(frozen=True)
class Frontend:
    """What a session needs of the command that calls it.

    Attributes:
        console: where the session prints.
        report: writes tables and report of a run's folder and tells who won, and returns whether it could. It is given
            the command that finishes the run; None if it is complete.
        ask: see `resumption.Ask`; None if there is nobody to ask.
        ended: called with the run's folder once a session with trials is over, however it ended; it raises nothing.
    """

    console: Console
    report: Callable[[Path, str | None], bool]
    ask: resumption.Ask | None = None
    ended: Callable[[Path], None] | None = None


def start(request: RunRequest, frontend: Frontend) -> Outcome:
    """Plan a new run, make its folder and execute it. For a dry run, show the plan only.

    Raises:
        UsageError: the request has a fault. No folder of a run has been made then.
    """
    if request.changed != "ask":
        raise UsageError(f"--changed {request.changed}: only a run that is resumed has complete trials (--resume RUN)")
    cluster_checks.check_trackers(request.track)
    what, out, console = request.what.begun(), request.storage, frontend.console
    if not (request.dry_run and mirror_of(out)):  # a dry run asks no object store
        writable(out, request.name, request.address)
    # Without a cluster to join, every fault of the request is found before Ray starts.
    planned = _planned(what, [this_machine()], request) if request.address is None else None
    if planned is not None:
        if request.dry_run:
            return _preview(planned, [this_machine()], request, console)
        if fault := why_unplaceable(planned[0].needs, [this_machine()]):
            raise UsageError(fault)
    with _cluster(request.address) as nodes:
        if planned is None:
            cluster_checks.check_nodes(out)
            planned = _planned(what, nodes, request)
            if request.dry_run:
                return _preview(planned, nodes, request, console)
        plan, data, decision = planned
        _check_cluster(plan, nodes, data, out, console)
        with console.status("Estimating the time"):
            told = time_estimate(plan, data, out, nodes, request.address is None)
        name = request.name or _name(plan)
        manifest = _manifest(request, what, plan) | (decision.plain() if decision else {})
        folder = RunFolder.create(out, name, manifest, plan, describe(), request.address)
        dry_run.notes(plan, data, console)
        plan = longest_first(plan, data, out, nodes)
        if told:
            console.print(f"This run takes {told}.", soft_wrap=True)
        return execute(plan, folder, request.policy, frontend, request.track, request.address, decision)


def resume(path: Path, request: RunRequest, frontend: Frontend) -> Outcome:
    """Execute the missing trials of a run. It may grow by seeds or by another grid's cells, and its data may be moved.

    Args:
        path: folder of the run.
        request: how to resume it.
        frontend: of the command.

    Raises:
        UsageError: the request has a fault, or data or weights are missing. The run has not been changed then.
    """
    cluster_checks.check_trackers(request.track)
    resumption.check_request(request)
    folder = RunFolder.open(path)
    if side := folder.manifest().get("revision"):
        raise UsageError(
            f"--resume {path}: one side of a comparison, measured with the code of {side['name']}; go on with the "
            f"command of the comparison and --out {path.parent}"
        )
    policy = request.policy.over(folder.manifest().get("policy", {}))
    decision = _kept(folder, request, policy)
    found = resumption.examine(folder, request, frontend.ask)
    to_run = _may_run(folder, found, request, decision)
    with _cluster(request.address) if to_run else contextlib.nullcontext([this_machine()]) as nodes:
        plan = _grown(folder, found, request, nodes)
        if request.address is not None:
            cluster_checks.check_nodes(path)
        data = checks.check_inputs(plan.grid, folder.code)
        if to_run:
            _check_cluster(plan, nodes, data, path, frontend.console)
        # From here on nothing is refused.
        _set_aside(found.redo, frontend.console)
        if resumption.grows(request.what) or found.moved:
            folder.regrid(plan, resumption.overrides(request.what), request.address, found.moves)
        if not plan.grid.search and not decision:  # else the cells are not known before the search has chosen
            kept = f"{_complete(folder, plan)} trials are complete and kept."
            frontend.console.print(kept, style="dim")
        for cell in plan.grid.cells:  # what the costs of models are computed with
            own_code.make_importable(cell.spec.own_code, own_code.kept(cell.spec.own_code.values(), folder.code))
        plan = longest_first(plan, data, path.parent, nodes)
        return execute(plan, folder, policy, frontend, request.track, request.address, decision)


def execute(
    plan: Plan,
    folder: RunFolder,
    policy: FailurePolicy,
    frontend: Frontend,
    track: Sequence[str] = (),
    address: str | None = None,
    decision: results.Decision | None = None,
) -> Outcome:
    """Run the trials of a plan that a folder lacks, those of its search first; then have tables and report written.

    If the run has to decide something, the trials are those that the decision asks for.

    Args:
        plan: the placed trials.
        folder: of the run.
        policy: how failed trials are handled.
        frontend: of the command.
        track: names of services that track the run.
        address: of the Ray cluster, for the command that resumes the run.
        decision: what the run has to decide; None for a fixed number of seeds.
    """
    try:
        folder.begin()
        if decision is not None:
            outcome = _decide(plan, folder, policy, frontend, track, address, decision)
        else:
            outcome = _run(plan, folder, policy, frontend, track, address)
        return _uploaded(folder, outcome, frontend)
    finally:
        if frontend.ended:
            frontend.ended(folder.path)


def _uploaded(folder: RunFolder, outcome: Outcome, frontend: Frontend) -> Outcome:
    """Upload tables and report of a run in an object store, and return how the session ended."""
    try:
        folder.keep_all()
    except StorageLost as lost:
        frontend.console.print(f"Not uploaded: {lost}", style="red", soft_wrap=True)
        return outcome if outcome is Outcome.INTERRUPTED else Outcome.INCOMPLETE
    return outcome


def _run(
    plan: Plan,
    folder: RunFolder,
    policy: FailurePolicy,
    frontend: Frontend,
    track: Sequence[str],
    address: str | None,
) -> Outcome:
    """Run the missing trials of a fixed number of seeds, and of a search before them; then have the report written."""
    console, again = frontend.console, resume_command(folder.path, address)

    def train(where: RunFolder, trials: list[Trial], finished: int = 0) -> None:
        from bench.execution.runner import TrialRunner  # imports Ray

        TrialRunner(where, plan, policy, console, facts, track).run(trials, finished)

    facts: Mapping[str, Mapping[str, Any]] = {}
    try:
        if plan.grid.search:
            tuned = _search(plan, folder, train, console)
            if tuned is None:
                console.print(f"Try them again with: {again}", soft_wrap=True)
                return Outcome.INCOMPLETE
            plan, facts = _settled(plan, folder, tuned, console), tuned.facts
        missing = _missing(folder, plan)
        console.print(f"Run {folder.place}: {results.counted(len(missing), 'trial')} to do.", soft_wrap=True)
        if missing:
            train(folder, missing, len(plan.trials) - len(missing))
    except StorageLost as lost:
        return _stopped(plan, folder, console, lost, again)
    except KeyboardInterrupt:
        return _interrupted(plan, folder, frontend, again)
    return _ended(plan, folder, frontend, again)


def _decide(
    plan: Plan,
    folder: RunFolder,
    policy: FailurePolicy,
    frontend: Frontend,
    track: Sequence[str],
    address: str | None,
    decision: results.Decision,
) -> Outcome:
    """Run the trials that a decision asks for, until it is made; then have tables and report written."""
    from bench.execution.runner import TrialRunner  # imports Ray

    console, again = frontend.console, resume_command(folder.path, address)
    asked = campaign.Campaign(decision, plan, folder)
    console.print(f"Run {folder.place}: {campaign.describe(decision)}.", soft_wrap=True)
    try:
        if asked.look().ended is None:
            to_do = [trial for trial in asked.trials if folder.status(trial[0]) != "ok"]
            runner = TrialRunner(folder, plan, policy, console, track=track)
            runner.decide(to_do, len(asked.trials) - len(to_do), asked.ask)
    except StorageLost as lost:
        return _stopped(plan, folder, console, lost, again)
    except KeyboardInterrupt:
        return _interrupted(plan, folder, frontend, again)
    return _concluded(asked, folder, frontend, again)


def _concluded(asked: campaign.Campaign, folder: RunFolder, frontend: Frontend, again: str) -> Outcome:
    """End a run that had to decide something, with its report."""
    found, failed = asked.look(), campaign.unfinished(folder, asked.trials)
    done = found.ended is not None
    folder.finish("complete" if done and not failed else "incomplete")
    if failed:
        frontend.console.print(f"Incomplete: {results.counted(failed, 'trial')} failed.", style="red")
    reported = frontend.report(folder.path, again if failed or not done else None)
    if not (reported and done) or failed:
        return Outcome.INCOMPLETE
    if found.ended != "decided":
        return Outcome.UNDECIDED
    return Outcome.REGRESSED if asked.release and found.out else Outcome.COMPLETE


def _kept(folder: RunFolder, request: RunRequest, policy: FailurePolicy) -> results.Decision | None:
    """Return what a run that is resumed has to decide; a request may repeat it, and not change it.

    Raises:
        UsageError: it would change.
    """
    try:
        kept = results.decision_of(folder.manifest())
    except ValueError as error:
        raise UsageError(f"--resume {folder.place}: {error}") from None
    asked, what = request.until, request.what
    if kept is None:
        if asked != UntilRequest():
            raise UsageError(f"--resume {folder.place}: it has a fixed number of seeds; --until needs a new run")
        return None
    if what.grid is not None or what.seeds is not None:
        raise UsageError(
            f"--resume {folder.place}: the cells and seeds of a run that decides were fixed before its first trial; "
            "start a new run"
        )
    grid = folder.grid()
    if asked != UntilRequest():
        # What the request does not say is as it was, whether the command or the grid file said it.
        until = read_until(asked.words, Until.of(kept.plan), asked.max_seeds, asked.budget)
        against = asked.against or kept.against or None
        again = campaign.planned(replace(grid, until=until), _margin(), against, policy)
        campaign.check_same(kept, again, folder.path)
    campaign.check_same(kept, replace(kept, cells={cell.spec.cell: cell.label for cell in grid.cells}), folder.path)
    return kept


def _margin() -> float:
    """Return the loss of mIoU that matters by default, a fraction."""
    return results.margins.read(str(results.margins.DEFAULT)).metrics[METRIC].margin


def _settled(plan: Plan, folder: RunFolder, tuned: TunedGrid, console: Console) -> Plan:
    """Return the plan with the values that the search chose, which the folder keeps."""
    settled = replace(plan, grid=tuned.grid)
    folder.recell(settled)
    for note in tuned.notes:
        console.print(note, style="dim", soft_wrap=True)
    return settled


def _stopped(plan: Plan, folder: RunFolder, console: Console, lost: StorageLost, again: str) -> Outcome:
    """End a run whose storage takes no more."""
    with contextlib.suppress(StorageLost):
        folder.finish("incomplete")
    kept = f"{_complete(folder, plan)} trials are complete and kept."
    console.print(
        f"Stopped: {lost}\n{kept}" if folder.mirror else f"Stopped: {lost}. {kept}", style="red", soft_wrap=True
    )
    console.print(f"{'Then' if folder.mirror else 'When there is space again'}: {again}", soft_wrap=True)
    return Outcome.INCOMPLETE


def _interrupted(plan: Plan, folder: RunFolder, frontend: Frontend, again: str) -> Outcome:
    """End a run that the user interrupted, with a report of what is complete."""
    with contextlib.suppress(StorageLost):
        folder.finish("interrupted")
    frontend.console.print(f"\nInterrupted: {_complete(folder, plan)} trials are complete and kept.")
    frontend.console.print(f"Go on with: {again}", soft_wrap=True)
    signals.recorded()
    if folder.complete():
        frontend.report(folder.path, again)
    return Outcome.INTERRUPTED


def _ended(plan: Plan, folder: RunFolder, frontend: Frontend, again: str) -> Outcome:
    """End a run whose trials have all been tried, with its report."""
    failed = len(_missing(folder, plan))
    folder.finish("incomplete" if failed else "complete")
    if failed:
        frontend.console.print(f"Incomplete: {failed} of {len(plan.trials)} trials failed.", style="red")
    reported = frontend.report(folder.path, again if failed else None)
    return Outcome.COMPLETE if reported and not failed else Outcome.INCOMPLETE


def _search(
    plan: Plan, folder: RunFolder, train: Callable[[RunFolder, list[Trial]], None], console: Console
) -> TunedGrid | None:
    """Run the missing trials of a search and choose among its candidates; return None if some of the trials failed."""
    assert plan.grid.search is not None
    search, wanted = RunFolder(folder.path / SEARCH), candidates(plan.grid)
    if missing := _without_score(search, wanted):
        console.print(
            f"Search over {plan.grid.search.field}: {results.counted(len(missing), 'trial')} to do.", soft_wrap=True
        )
        train(search, missing)
    if failed := len(_without_score(search, wanted)):
        # A choice among the others could change once the search is complete, and with it the cell.
        folder.finish("incomplete")
        console.print(f"Incomplete: {failed} of {len(wanted)} trials of the search failed.", style="red")
        return None
    return choose(plan.grid, search)


@contextlib.contextmanager
def _cluster(address: str | None) -> Iterator[list[Node]]:
    """Start or join a cluster and yield its nodes, see `ray_cluster.cluster`."""
    from bench.execution import ray_cluster  # imports Ray

    with ray_cluster.cluster(address) as nodes:
        signals.install()  # again, because Ray installs its own handlers
        yield nodes


def _may_run(
    folder: RunFolder, found: resumption.Found, request: RunRequest, decision: results.Decision | None
) -> bool:
    """Return whether a run that is resumed may have trials to run, for which Ray starts.

    Raises:
        UsageError: the run cannot grow as requested.
    """
    if request.address is not None:
        return True
    plan = _grown(folder, found, request, [this_machine()])
    return bool(decision or plan.grid.search or found.redo or _missing(folder, plan))


def _grown(folder: RunFolder, found: resumption.Found, request: RunRequest, nodes: Sequence[Machine]) -> Plan:
    """Return the plan of a run that is resumed, with what the request adds."""
    grid, what = found.grid, request.what
    if resumption.grows(what):
        grid = resumption.grow(folder, grid, what, nodes, request.max_concurrent, found.moves)
    return place(grid, found.gpus, nodes, request.max_concurrent)


_Planned = tuple[Plan, Datasets, results.Decision | None]


def _planned(what: GridRequest, nodes: Sequence[Machine], request: RunRequest) -> _Planned:
    """Return the plan for these nodes, its data sets, and what it has to decide, with all inputs checked."""
    plan, asked = make(what, nodes, request.max_concurrent), request.until
    until = read_until(asked.words, plan.grid.until, asked.max_seeds, asked.budget)
    decision = None
    if until is None and asked.against is not None:
        raise UsageError("--against: only a run with --until is judged against a release; see also bench.compare")
    if until is not None:
        if what.seeds is not None:
            raise UsageError("--seeds: a run with --until decides how many; --max-seeds sets the most")
        decision = campaign.planned(replace(plan.grid, until=until), _margin(), asked.against, request.policy)
        plan = replace(plan, grid=replace(plan.grid, seeds=decision.plan.last, until=until))
    return plan, checks.check_inputs(plan.grid), decision


def _preview(planned: _Planned, nodes: Sequence[Machine], request: RunRequest, console: Console) -> Outcome:
    plan, data, decision = planned
    fits = dry_run.preview(plan, nodes, data, request.storage, console)
    if decision is not None:
        console.print(campaign.expectation(decision, request.storage), soft_wrap=True)
    return Outcome.FITS if fits else Outcome.DOES_NOT_FIT


def _check_cluster(plan: Plan, nodes: Sequence[Machine], data: Datasets, out: Path, console: Console) -> None:
    """Refuse a plan that the nodes cannot hold, or whose data they do not have."""
    cluster_checks.check_hosts(plan, out)
    cluster_checks.check_placement(plan, nodes)
    versions = {spec: dataset.version for spec, dataset in data.items()}
    cluster_checks.check_data(versions, partial(console.print, soft_wrap=True))


def _set_aside(redo: resumption.Redo, console: Console) -> None:
    """Move the trials to redo out of their folders."""
    for folder, trials in redo.items():
        folder.set_aside(trials)
        left = f"what they left is in {folder.place}/replaced"
        console.print(f"{results.counted(len(trials), 'trial')} to run again; {left}.", style="dim")


def _name(plan: Plan) -> str:
    """Return the default name of a run: grid, data set and time."""
    data = plan.grid.cells[0].spec.data.name
    return f"{plan.grid.name}-{data}-{datetime.now():%Y%m%d-%H%M%S}"


def _manifest(request: RunRequest, what: GridRequest, plan: Plan) -> dict[str, Any]:
    """Return the content of run.json of a new run, without its cells."""
    return {
        "schema_version": 1,
        "name": what.grid,
        "grid": what.grid,
        "command": request.command,
        "options": what.options(),
        "policy": request.policy.given,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": "running",
        **({"recipe": plan.grid.recipe.model_dump(mode="json")} if plan.grid.recipe else {}),
    }


def _missing(folder: RunFolder, plan: Plan) -> list[Trial]:
    """Return the trials of a plan that are not done."""
    return [trial for trial in plan.trials if not is_done(folder, trial)]


def _complete(folder: RunFolder, plan: Plan) -> str:
    """Return "N of M", the number of trials that are done."""
    return f"{sum(is_done(folder, trial) for trial in plan.trials)} of {len(plan.trials)}"


def _without_score(search: RunFolder, trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials of a search that neither have a score nor failed for a reason of their own (NaN, memory)."""
    return [trial for trial in trials if search.status(trial[0]) not in ("ok", "diverged", "oom")]
