"""`python -m bench.run --grid losses`: run a grid of trials, then write its tables and its report."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bench import signals
from bench.cli import command, start
from bench.environment import check_rooms, describe, gpu_names
from bench.errors import EXIT_INCOMPLETE, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, StorageLost, UsageError
from bench.grid import Cell
from bench.plan import Local, Machine, Plan, make, share
from bench.policy import Policy, settled
from bench.runfolder import RunFolder, writable
from bench.spec import DataSpec, TrialSpec, initial_weights

if TYPE_CHECKING:
    from bench.data.dataset import Dataset

console = Console(highlight=False)
Trial = tuple[str, Cell, TrialSpec]


@command
def main(
    grid: Annotated[str, typer.Option(help="A shipped grid's name, or a file ending in .yaml.")] = "losses",
    dataset: Annotated[str | None, typer.Option(help="Data set by name; default: the embedded scenes.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds of every cell; default: the preset's.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="field=value, any field of the spec; repeatable.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="axis=value,value keeps part of the grid; repeatable.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="smoke, quick or full; default: full with a GPU, else quick.")
    ] = None,
    gpus_per_trial: Annotated[
        int | None, typer.Option(min=0, help="GPUs of a trial; default: 1 where there are any.")
    ] = None,
    max_concurrent: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time; default: one a GPU, or one a machine.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="An existing Ray cluster; default: start one here.")] = None,
    out: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("runs"),
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
    debug: Annotated[bool, typer.Option("--debug", help="Uncompiled steps that check every label; slow.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show cells and placement; train nothing.")] = False,
    resume: Annotated[Path | None, typer.Option(help="A run's folder: run what it lacks, keep the rest.")] = None,
) -> int:
    """Run a grid of trials on every GPU there is, and write tables and a report.

    Exit status: 0 complete, 2 usage, 4 incomplete or nothing measured, 130 interrupted.
    """
    signals.install()
    check_rooms()
    care = {
        name: value
        for name, value in {
            "trial_timeout": trial_timeout, "stall_timeout": stall_timeout, "retries": retries, "on_oom": on_oom
        }.items()
        if value is not None
    }  # fmt: skip
    options: dict[str, Any] = {
        "grid": grid, "dataset": dataset, "data_root": data_root and str(data_root.resolve()), "seeds": seeds,
        "settings": [*(set_ or []), *(["train.eager=true"] * debug)],
        "only": only or [], "preset": preset, "gpus_per_trial": gpus_per_trial,
    }  # fmt: skip
    if resume is not None:
        given = [option for option, value in options.items() if value and (option, value) != ("grid", "losses")]
        if given or dry_run or name:
            raise UsageError("--resume takes the run as it was planned: only --address and --max-concurrent go with it")
        return _resume(resume, address, max_concurrent, care)
    policy = Policy.of(care)
    # With no cluster to ask, everything a user can get wrong is known before Ray starts.
    plan = make(options, [_this_machine()], max_concurrent) if address is None else None
    if plan is not None:
        data = _check_inputs(plan)
        if dry_run:
            return _show(plan, [_this_machine()], data)
    writable(out)
    from bench import schedule

    with schedule.cluster(address) as nodes:
        signals.install()  # again: Ray took them over
        if plan is None:
            plan = make(options, nodes, max_concurrent)
            data = _check_inputs(plan)
            if dry_run:
                return _show(plan, nodes, data)
        if fault := schedule.misfit(plan.cpus, plan.gpus, nodes):
            raise UsageError(fault)
        _check_gpus(plan)
        _check_nodes(data, nodes)
        run = RunFolder.create(out, name or _name(plan), _manifest(options, care), plan, describe())
        _tell_notes(plan, data)
        return _execute(run, plan.trials, plan, policy)


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


def _check_inputs(plan: Plan) -> dict[DataSpec, Dataset]:
    """Look at all weights and read every data set once, before any training; returns the data sets."""
    import models.weights
    from bench.data import load

    for cell in plan.grid.cells:
        try:
            models.weights.check(cell.spec.model.backbone, cell.spec.model.weights)
        except ValueError as error:
            raise UsageError(f"cell {cell.label!r}: {error}") from None
        if cell.spec.train.init_from:
            initial_weights(cell.spec.train.init_from)
    return {spec: load(spec) for spec in dict.fromkeys(cell.spec.data for cell in plan.grid.cells)}


def _check_nodes(data: Mapping[DataSpec, Dataset], nodes: Sequence[Machine]) -> None:
    """Refuse a cluster on whose nodes a data root is missing, faulty or not the same."""
    from bench import schedule

    if len(nodes) < 2:
        return
    for spec, dataset in data.items():
        if spec.root is None:
            continue
        for node, (version, fault) in schedule.on_every_node("bench.data:version_here", spec.model_dump()).items():
            if fault or version != dataset.version:
                raise UsageError(
                    f"node {node}: {fault or f'data.root {spec.root} holds another version ({version})'}; "
                    "data.root has to hold the same set on every node"
                )


def _tell_notes(plan: Plan, data: Mapping[DataSpec, Dataset]) -> None:
    for note in (*plan.notes, *(note for dataset in data.values() for note in dataset.notes)):
        console.print(note, style="dim", soft_wrap=True)


def _check_gpus(plan: Plan) -> None:
    """Refuse a cluster whose workers' TensorFlow cannot see the GPUs that Ray gives them."""
    from bench import schedule

    if plan.gpus:
        seen = schedule.call("bench.training:visible_gpus", plan.gpus)
        if seen != plan.gpus:
            raise UsageError(
                f"Ray gives a trial {plan.gpus} GPU(s) but TensorFlow sees {seen} there; install its CUDA libraries "
                "(`make venv` does so where nvidia-smi answers) or use --gpus-per-trial 0"
            )


def _show(plan: Plan, nodes: Sequence[Machine], found: Mapping[DataSpec, Dataset]) -> int:
    """The dry run: cells, placement, what cannot fit, and what the models cost."""
    _tell_notes(plan, found)
    grid = plan.grid
    table = Table(title=f"{grid.name}: {grid.description}", title_justify="left", box=None, header_style="bold")
    for column in ("cell", "hash", "precision", "epochs x steps x batch", "data"):
        table.add_column(column, overflow="fold")
    for cell in grid.cells:
        train, data = cell.spec.train, cell.spec.data
        steps = f"{train.epochs} x {train.steps_per_epoch} x {train.batch_size}"
        table.add_row(
            cell.label, cell.spec.cell, train.precision, steps, f"{data.name} {data.size} px, crop {data.crop}"
        )
    console.print(table)
    have = ", ".join(f"{node.cpus} CPUs + {node.gpus} GPUs" for node in nodes)
    at_a_time = plan.concurrent or sum(node.gpus for node in nodes) // max(1, plan.gpus)
    console.print(
        f"{len(grid.cells)} cells x {grid.seeds} seeds = {len(plan.trials)} trials, {at_a_time} at a time, "
        f"each with {plan.cpus} CPU(s) and {plan.gpus} GPU(s); nodes: {have}"
    )
    if not any(node.gpus >= plan.gpus and node.cpus >= plan.cpus for node in nodes):
        console.print(f"[red]does not fit:[/] no node has {plan.cpus} CPU(s) and {plan.gpus} GPU(s)")
        return EXIT_USAGE
    _show_costs(grid.cells, found)
    return EXIT_OK


def _show_costs(cells: Sequence[Cell], found: Mapping[DataSpec, Dataset]) -> None:
    """A row for each distinct model: what one image costs."""
    from bench.costs import Sized, costs

    owners: dict[Sized, list[str]] = {}
    for cell in cells:
        spec = cell.spec
        model = spec.model.model_copy(update={"weights": "none"})
        sized = Sized(model, len(found[spec.data].class_names), spec.data.crop, spec.train.precision)
        owners.setdefault(sized, []).append(cell.label)
    with console.status("Working out what the models cost"):
        worked_out = costs(owners)
    table = Table(title="Cost of one training image", title_justify="left", box=None, header_style="bold")
    for column in ("model of", "pixels", "parameters", "GFLOP forward", "MB of activations"):
        table.add_column(column, justify="left" if column == "model of" else "right")
    for sized, cost in worked_out.items():
        table.add_row(
            "all cells" if len(owners) == 1 else ", ".join(owners[sized]),
            f"{sized.size} x {sized.size}",
            f"{cost.parameters / 1e6:.2f} M",
            f"{cost.flops / 1e9:.2f}",
            f"{cost.activation_bytes / 1e6:.1f}",
        )
    console.print(table)


def _resume(path: Path, address: str | None, max_concurrent: int | None, care: dict[str, Any]) -> int:
    from bench import schedule

    run = RunFolder.open(path)
    policy = Policy.of({**run.manifest().get("policy", {}), **care})
    grid = run.grid()
    gpus = grid.cells[0].spec.placement.gpus
    with schedule.cluster(address) as nodes:
        signals.install()  # again: Ray took them over
        cpus, concurrent, shared = share(gpus, nodes, max_concurrent)
        plan = Plan(grid, cpus, gpus, concurrent, shared)
        if fault := schedule.misfit(cpus, gpus, nodes):
            raise UsageError(fault)
        _check_gpus(plan)
        _check_nodes(_check_inputs(plan), nodes)
        missing = [trial for trial in plan.trials if not settled(run, trial)]
        console.print(
            f"{len(plan.trials) - len(missing)} of {len(plan.trials)} trials are complete and kept.", style="dim"
        )
        return _execute(run, missing, plan, policy)


def _execute(run: RunFolder, trials: list[Trial], plan: Plan, policy: Policy) -> int:
    """Run these trials of the plan, then tables and report; returns the exit status."""
    from bench.campaign import Campaign

    def complete() -> int:
        return sum(settled(run, trial) for trial in plan.trials)

    total = len(plan.trials)
    console.print(f"Run {run.path}: {len(trials)} trials to do.", soft_wrap=True)
    try:
        if trials:
            Campaign(run, plan, policy, console).run(trials, finished=total - len(trials))
    except StorageLost as lost:
        with contextlib.suppress(OSError):
            run.finish("incomplete")
        console.print(f"Stopped: {lost}. {complete()} of {total} trials are complete and kept.", style="red")
        console.print(f"When there is room again: python -m bench.run --resume {run.path}", soft_wrap=True)
        return EXIT_INCOMPLETE
    except KeyboardInterrupt:
        run.finish("interrupted")
        console.print(f"\nInterrupted: {complete()} of {total} trials are complete and kept.")
        console.print(f"Go on with: python -m bench.run --resume {run.path}", soft_wrap=True)
        signals.recorded()
        return EXIT_INTERRUPTED
    done = complete() == total
    run.finish("complete" if done else "incomplete")
    if report := _report(run):
        console.print(f"Report: {report}", soft_wrap=True)
    if not done:
        console.print(f"Incomplete: {total - complete()} of {total} trials failed.", style="red")
        console.print(f"Try them again with: python -m bench.run --resume {run.path}", soft_wrap=True)
    return EXIT_OK if done else EXIT_INCOMPLETE


def _report(run: RunFolder) -> Path | None:
    import reports
    import results

    try:
        results.write_tables(run.path)
        return reports.write(run.path)
    except ValueError as error:
        console.print(f"No report: {error}")
        return None


if __name__ == "__main__":
    start(main)
