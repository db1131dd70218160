"""`python -m bench.run --grid losses`: run a grid of trials, then write its tables and its report."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

import results
from bench.core import (
    EXIT_INCOMPLETE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    StorageLost,
    UsageError,
    check_rooms,
    cli,
    command,
    describe,
    gpu_names,
    signals,
    start,
)
from bench.execution import SEARCH, FailurePolicy, RunFolder, Trial, cluster_checks, is_done, resume_command, writable
from bench.plan import Grid, Local, Plan, checks, costs, forecast, make, merge_grids, moved_data, place, why_unplaceable
from bench.plan import dry_run as preview
from bench.spec import TrialSpec

console = cli.console()


class Track(StrEnum):
    mlflow = "mlflow"
    wandb = "wandb"


class Changed(StrEnum):
    ask = "ask"
    keep = "keep"
    redo = "redo"


@command
def main(
    grid: Annotated[
        str | None, typer.Option(help="A shipped grid's name, or a file ending in .yaml; default: losses.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Data set by name; default: the embedded scenes.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds of every cell; default: the preset's.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="field=value, any field of the spec; repeatable.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="axis=value,value keeps part of the grid; repeatable.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="smoke, quick, study or full; default: full with a GPU, else quick.")
    ] = None,
    gpus_per_trial: Annotated[
        int | None, typer.Option(min=0, help="GPUs of a trial; default: 1 where there are any.")
    ] = None,
    max_concurrent: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time; default: one a GPU, or one a machine.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="An existing Ray cluster; default: start one here.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "--storage", help="Where runs are kept, on a cluster a path all nodes share; default: runs."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The run's name; default: grid, data set and time.")] = None,
    trial_timeout: Annotated[
        float | None, typer.Option(min=1, help="Seconds for one trial; default: no limit.")
    ] = None,
    stall_timeout: Annotated[
        float | None, typer.Option(min=1, help="Seconds without a step before a trial is ended; default: 1800.")
    ] = None,
    retries: Annotated[
        int | None, typer.Option(min=0, help="Further attempts after a lost node or a timeout; default: 0.")
    ] = None,
    on_oom: Annotated[
        str | None, typer.Option(help="record, or shrink: once more with half the batch; default: record.")
    ] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Equal seeds give equal bits on one machine; slower.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Uncompiled steps that check every label; slow.")] = False,
    track: Annotated[
        list[Track] | None, typer.Option(help="Track the run there as well as in TensorBoard files; repeatable.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show cells and placement; train nothing.")] = False,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="A run's folder: run what it lacks; --grid, --seeds let it grow, --data-root follows its data."
        ),
    ] = None,
    changed: Annotated[
        Changed, typer.Option(help="On --resume, complete trials of other code or data: ask, keep them or redo them.")
    ] = Changed.ask,
) -> int:
    """Run a grid of trials on every GPU there is, and write tables and a report.

    Exit status: 0 complete, 2 usage, 4 incomplete or nothing measured, 130 interrupted.
    """
    signals.install()
    check_rooms()
    cluster_checks.check_trackers(track or ())
    care = _given(trial_timeout=trial_timeout, stall_timeout=stall_timeout, retries=retries, on_oom=on_oom)
    options: dict[str, Any] = {
        "grid": grid or "losses", "dataset": dataset, "data_root": data_root and str(data_root.resolve()),
        "seeds": seeds, "only": only or [], "preset": preset, "gpus_per_trial": gpus_per_trial,
        "settings": [
            *(set_ or []), *(["train.eager=true"] * debug), *(["train.deterministic=true"] * deterministic)
        ],
    }  # fmt: skip
    if resume is not None:
        fixed = {name: value for name, value in options.items() if name not in ("grid", "seeds", "data_root")}
        if any(value not in (None, []) for value in fixed.values()) or dry_run or name or out:
            raise UsageError(
                "--resume takes the run as it was planned; what goes with it is --grid and --seeds, to let it grow, "
                "--data-root, where its data lie now, and how to run it: --address, --max-concurrent, --changed, "
                "--track, --retries, --on-oom, time limits"
            )
        given = _given(grid=grid, seeds=seeds)
        return _resume(resume, given, data_root, address, max_concurrent, care, changed, track or ())
    policy, out = FailurePolicy.of(care), out or Path("runs")
    # With no cluster to ask, everything a user can get wrong is known before Ray starts.
    plan = make(options, [_this_machine()], max_concurrent) if address is None else None
    if plan is not None:
        data = checks.check_inputs(plan.grid)
        if dry_run:
            return _preview(plan, [_this_machine()], data, out)
        if fault := why_unplaceable(plan.needs, [_this_machine()]):
            raise UsageError(fault)
    writable(out, name, address)
    from bench.execution import ray_tune

    with ray_tune.cluster(address) as nodes:
        signals.install()  # again: Ray took them over
        if plan is None:
            cluster_checks.check_nodes(out)
            plan = make(options, nodes, max_concurrent)
            data = checks.check_inputs(plan.grid)
            if dry_run:
                return _preview(plan, nodes, data, out)
        cluster_checks.check_placement(plan, nodes)
        cluster_checks.check_data({spec: dataset.version for spec, dataset in data.items()})
        run = RunFolder.create(out, name or _name(plan), _manifest(options, care), plan, describe(), address)
        preview.notes(plan, data, console)
        return _execute(run, _longest_first(plan, data, out, nodes), policy, track or (), address)


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _this_machine() -> Local:
    names = gpu_names()
    return Local(describe()["cores"], len(names), names[0] if names else None)


def _name(plan: Plan) -> str:
    data = plan.grid.cells[0].spec.data.name
    return f"{plan.grid.name}-{data}-{datetime.now():%Y%m%d-%H%M%S}"


def _manifest(options: dict[str, Any], care: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": options["grid"],
        "grid": options["grid"],
        "command": shlex.join(["python", "-m", "bench.run", *sys.argv[1:]]),
        "options": options,
        "policy": care,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": "running",
    }


def _preview(plan: Plan, nodes: Any, data: Any, out: Path) -> int:
    preview.notes(plan, data, console)
    with console.status("Working out what the models cost"):
        worked_out = costs(plan, data)
    fits = preview.show(plan, nodes, data, worked_out, forecast(plan, worked_out, out, _kinds(nodes)), console)
    return EXIT_OK if fits else EXIT_USAGE


def _longest_first(plan: Plan, data: Any, out: Path, nodes: Any) -> Plan:
    """The plan with estimates, where the order matters: different models, and several trials at a time."""
    concurrency = plan.concurrent or sum(node.gpus for node in nodes)
    if concurrency < 2 or len({_work(cell.spec) for cell in plan.grid.cells}) < 2:
        return plan
    return replace(plan, seconds=forecast(plan, costs(plan, data), out, _kinds(nodes)).seconds)


def _kinds(nodes: Any) -> set[str]:
    return {node.accelerator for node in nodes if node.accelerator}


def _work(spec: TrialSpec) -> str:
    """All that a trial's length depends on, as far as it can be told; a loss hardly matters."""
    return spec.model_dump_json(include={"model", "data", "train", "eval", "placement"})


def _resume(
    path: Path,
    given: dict[str, Any],
    data_root: Path | None,
    address: str | None,
    max_concurrent: int | None,
    care: dict[str, Any],
    changed: Changed,
    track: Sequence[Track],
) -> int:
    from bench.execution import ray_tune

    run = RunFolder.open(path)
    policy = FailurePolicy.of({**run.manifest().get("policy", {}), **care})
    grid = run.grid()
    gpus = max(cell.spec.placement.gpus for cell in grid.cells)
    moved = moved_data.to(data_root, grid) if data_root else {}
    places = moved_data.joined(run.moves(), moved)
    grid = moved_data.moved(grid, moved)
    moved_data.check_places(grid)
    data = checks.check_inputs(grid)
    if data_root:
        moved_data.check_content(data_root, [*run.records(), *RunFolder(path / SEARCH).records()], data)
    made_otherwise = {folder: checks.changed(folder.complete(), data) for folder in (run, RunFolder(path / SEARCH))}
    other_scores = checks.scored_otherwise(record for folder in made_otherwise for record in folder.complete())
    anew = _sorted_out({folder: others for folder, others in made_otherwise.items() if others}, changed, other_scores)
    if given and address is None:
        _grown(run, grid, given, [_this_machine()], max_concurrent, places)  # a refusal needs no Ray
    with ray_tune.cluster(address) as nodes:
        signals.install()  # again: Ray took them over
        if given:
            grid = _grown(run, grid, given, nodes, max_concurrent, places)
        plan = place(grid, gpus, nodes, max_concurrent)
        if address is not None:
            cluster_checks.check_nodes(path)
        cluster_checks.check_placement(plan, nodes)
        data = checks.check_inputs(plan.grid)
        cluster_checks.check_data({spec: dataset.version for spec, dataset in data.items()})
        for folder, others in anew.items():  # nothing can be refused any more
            folder.set_aside(others)
            left = f"what they left is in {folder.path / 'replaced'}"
            console.print(f"{len(others)} trials are made anew; {left}.", style="dim")
        if given or moved:
            run.regrid(plan, {**given, **_given(data_root=data_root)}, address, places)
        missing = sum(not is_done(run, trial) for trial in plan.trials)
        if not grid.search:  # else its cells are known once the search has chosen
            kept = f"{len(plan.trials) - missing} of {len(plan.trials)}"
            console.print(f"{kept} trials are complete and kept.", style="dim")
        return _execute(run, _longest_first(plan, data, path.parent, nodes), policy, track, address)


def _grown(
    run: RunFolder,
    grid: Grid,
    given: Mapping[str, Any],
    nodes: Sequence[Any],
    max_concurrent: int | None,
    places: moved_data.Moves,
) -> Grid:
    """The run's grid with more seeds, or with another's cells. For more seeds no file is read again: it may differ."""
    if "grid" not in given:
        return replace(grid, seeds=max(grid.seeds, given["seeds"]))
    more = moved_data.moved(make(_as_before(run, grid, given), nodes, max_concurrent).grid, places)
    if more.search != grid.search:
        raise UsageError(f"--grid {more.name}: its search is not that of {run.path}; run it by itself")
    return merge_grids(grid, more)


def _as_before(run: RunFolder, grid: Grid, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options that resolve a larger grid as the run's own was, whatever machine it is resumed on."""
    options = run.manifest().get("options", {})
    # Defaults that depend on the machine: the preset, the GPUs of a trial, the precision.
    gpus = {cell.spec.placement.gpus for cell in grid.cells}
    if options.get("gpus_per_trial") is None and gpus == {0}:
        options = {**options, "gpus_per_trial": 0}
    precisions = {cell.spec.train.precision for cell in grid.cells}
    if len(precisions) == 1:
        options = {**options, "precision": precisions.pop()}
    return {**options, "preset": grid.preset, **given}


def _sorted_out(
    found: Mapping[RunFolder, dict[str, list[str]]], changed: Changed, other_scores: Collection[int]
) -> Mapping[RunFolder, dict[str, list[str]]]:
    """Which complete trials of other code, versions or data are made anew, a search's among them; never mixed with new
    ones unasked.

    Args:
        found: by the folder they lie in, the trials and what differs.
        other_scores: versions of their scores that are not today's; such trials are not kept.

    Returns:
        Those of them that are: all or none.

    Raises:
        UsageError: there is nobody to ask, or trials would be kept whose scores cannot stand beside new ones.
    """
    if not found:
        return {}
    reasons = [why for others in found.values() for why in others.values()]
    what = f"{len(reasons)} complete trials were made differently ({'; '.join(reasons[0])})"
    if changed is Changed.ask:
        if not sys.stdin.isatty():
            raise UsageError(f"{what}: --changed keep leaves them beside new ones, --changed redo makes them anew")
        console.print(f"{what}.", soft_wrap=True)
        changed = Changed.redo if typer.confirm("Make them anew? (No keeps them beside new ones)") else Changed.keep
    if changed is Changed.keep and other_scores:
        raise UsageError(
            f"complete trials have scores of version {', '.join(map(str, sorted(other_scores)))}, new ones would have "
            f"version {results.SCORING_VERSION}, and the two cannot be compared: --changed redo makes them anew"
        )
    return found if changed is Changed.redo else {}


def _execute(run: RunFolder, plan: Plan, policy: FailurePolicy, track: Sequence[Track], address: str | None) -> int:
    """Run what the plan lacks, its search first, then tables and report; returns the exit status."""
    from bench.execution import TrialRunner, candidates, choose

    again = resume_command(run.path, address)

    def left(trials: list[Trial]) -> list[Trial]:
        return [trial for trial in trials if not is_done(run, trial)]

    try:
        facts: Mapping[str, Mapping[str, Any]] = {}
        if plan.grid.search:
            search = RunFolder(run.path / SEARCH)
            wanted = candidates(plan.grid)
            if todo := _without_score(search, wanted):
                console.print(f"Search over {plan.grid.search.field}: {len(todo)} trials to do.", soft_wrap=True)
                TrialRunner(search, plan, policy, console, track=track).run(todo)
            if failed := len(_without_score(search, wanted)):
                # Chosen among the others, the cell would be another one once the search is whole.
                run.finish("incomplete")
                console.print(f"Incomplete: {failed} of {len(wanted)} trials of the search failed.", style="red")
                console.print(f"Try them again with: {again}", soft_wrap=True)
                return EXIT_INCOMPLETE
            outcome = choose(plan.grid, search)
            plan, facts = replace(plan, grid=outcome.grid), outcome.facts
            run.recell(plan)
            for note in outcome.notes:
                console.print(note, style="dim", soft_wrap=True)
        todo = left(plan.trials)
        total = len(plan.trials)
        console.print(f"Run {run.path}: {len(todo)} trials to do.", soft_wrap=True)
        if todo:
            TrialRunner(run, plan, policy, console, facts, track).run(todo, finished=total - len(todo))
    except StorageLost as lost:
        with contextlib.suppress(StorageLost):
            run.finish("incomplete")
        console.print(f"Stopped: {lost}. {_complete(run, plan)} trials are complete and kept.", style="red")
        console.print(f"When there is room again: {again}", soft_wrap=True)
        return EXIT_INCOMPLETE
    except KeyboardInterrupt:
        with contextlib.suppress(StorageLost):
            run.finish("interrupted")
        console.print(f"\nInterrupted: {_complete(run, plan)} trials are complete and kept.")
        console.print(f"Go on with: {again}", soft_wrap=True)
        signals.recorded()
        return EXIT_INTERRUPTED
    failed = len(left(plan.trials))
    run.finish("incomplete" if failed else "complete")
    report = _report(run)
    if failed:
        console.print(f"Incomplete: {failed} of {total} trials failed.", style="red")
        console.print(f"Try them again with: {again}", soft_wrap=True)
    return EXIT_INCOMPLETE if failed or report is None else EXIT_OK


def _without_score(search: RunFolder, trials: list[Trial]) -> list[Trial]:
    """Candidates of a search that have neither a score nor a reason of their own for having none."""
    return [trial for trial in trials if search.status(trial[0]) not in ("ok", "diverged", "oom")]


def _complete(run: RunFolder, plan: Plan) -> str:
    return f"{sum(is_done(run, trial) for trial in plan.trials)} of {len(plan.trials)}"


def _report(run: RunFolder) -> Path | None:
    """Write tables and report. After days of training a fault in these is told, and ends nothing."""
    import reports

    try:
        results.write_tables(run.path)
        report = reports.write(run.path)
    except Exception as error:
        console.print(f"No report: {type(error).__name__}: {error}", style="red", soft_wrap=True)
        console.print(f"All records are kept; once that is mended: python -m bench.report {run.path}", soft_wrap=True)
        return None
    console.print(f"Report: {report}", soft_wrap=True)
    return report


if __name__ == "__main__":
    start(main)
