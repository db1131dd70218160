"""The dry run: cells, placement, what does not fit, what the models cost and how long the run may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.plan.durations import Forecast, accelerators, costs, forecast, scoring_bytes
from bench.plan.placement import Machine, Plan, why_unplaceable
from bench.plan.varied import varied
from bench.spec import DataSpec
from results import counted, counted_devices

if TYPE_CHECKING:
    from bench.data import Dataset
    from bench.plan.grid import Cell
    from bench.plan.model_costs import Sized
    from models import Cost

_COSTS = "Computing the costs of the models"
_SHOWN = (
    "train.precision", "train.epochs", "train.steps_per_epoch", "train.batch_size",
    "data.dataset", "data.root", "data.size", "data.crop",
)  # fmt: skip
"""Fields that the table of cells shows in columns of their own."""
_SHRUNK = 4  # how many times smaller an image has to become for a note


def notes(plan: Plan, data: Mapping[DataSpec, Dataset], console: Console) -> None:
    """Print the notes of a plan and of its data sets."""
    of_data = (note for dataset in data.values() for note in dataset.notes)
    for note in (*plan.notes, *of_data, *_shrunk(data)):
        console.print(note, style="dim", soft_wrap=True)


def _shrunk(data: Mapping[DataSpec, Dataset]) -> list[str]:
    """Return a line per data set and size at which the model sees its largest image much smaller than it is."""
    found: dict[str, None] = {}
    for spec, dataset in data.items():
        pixels = [split.pixels for split in dataset.splits.values() if split.pixels is not None]
        largest = max((int(one.max(initial=0)) for one in pixels), default=0)
        if (fold := largest**0.5 / spec.size) >= _SHRUNK:  # the longest side shrinks at least so much
            found[
                f"{dataset.name}: images have up to {largest / 1e6:.2g} megapixels, and the model sees them with "
                f"{spec.size} on the longest side (data.size), {fold:.0f} times smaller or more: what is thinner than "
                f"{fold:.0f} pixels is less than one then"
            ] = None
    return list(found)


def preview(
    plan: Plan, nodes: Sequence[Machine], data: Mapping[DataSpec, Dataset], earlier: Path, console: Console
) -> bool:
    """Print what a run would do, without training, and return whether every trial fits on a node.

    Args:
        earlier: folder of runs whose records give the speed of these devices.
    """
    notes(plan, data, console)
    with console.status(_COSTS) as status:
        worked_out = costs(plan, data, lambda done, of: status.update(f"{_COSTS}: {done} of {of}"))
    return show(plan, nodes, data, worked_out, forecast(plan, worked_out, earlier, accelerators(nodes)), console)


def show(
    plan: Plan,
    nodes: Sequence[Machine],
    data: Mapping[DataSpec, Dataset],
    costs: Mapping[str, tuple[Sized, Cost]],
    forecast: Forecast,
    console: Console,
) -> bool:
    """Print a plan with its costs and forecast, and return whether every trial fits on a node.

    Args:
        costs: by cell, as `bench.plan.durations.costs` returns them.
    """
    _show_cells(plan, console)
    have = ", ".join(counted_devices(node.cpus, node.gpus) for node in nodes)
    at_a_time = plan.concurrent or sum(node.gpus for node in nodes) // max(1, plan.all_gpus)
    needs = " or ".join(map(str, plan.needs))
    grid = plan.grid
    console.print(
        f"{counted(len(grid.cells), 'cell')} x {counted(grid.seeds, 'seed')} = {counted(len(plan.trials), 'trial')}, "
        f"{at_a_time} at a time, "
        f"each with {needs}; nodes: {have}"
    )
    if fault := why_unplaceable(plan.needs, nodes):
        console.print(Text.assemble(("does not fit:", "red"), f" {fault}"))
    else:
        _show_costs(costs, grid.cells, console)
        for line in (*scoring(plan, data), *_weights(plan, costs)):
            console.print(line, soft_wrap=True)
        console.print(str(forecast), soft_wrap=True)
    return fault is None


def scoring(plan: Plan, data: Mapping[DataSpec, Dataset]) -> list[str]:
    """Return one line per way to score a data set: the memory that an evaluation takes besides the model's own."""
    found: dict[str, None] = {}
    for cell in plan.grid.cells:
        spec, dataset = cell.spec, data[cell.spec.data]
        splits = [split for name, split in dataset.splits.items() if name != "train"]
        pixels = [int(split.pixels.max()) for split in splits if split.pixels is not None and len(split)]
        largest, classes = max(pixels, default=spec.data.size**2), len(dataset.class_names)
        needed = scoring_bytes(spec.data.size, spec.eval.batch_size, classes, largest)
        found[
            f"Scoring {dataset.name}: about {needed / 1e6:.0f} MB in addition to the model "
            f"(batches of {spec.eval.batch_size}, {counted(classes, 'class', 'classes')}, "
            f"labels of up to {largest / 1e6:.2g} megapixels)"
        ] = None
    return list(found)


def _weights(plan: Plan, costs: Mapping[str, tuple[Sized, Cost]]) -> list[str]:
    """Return a line on the disk that the weights of all trials take, or none if none are kept or known."""
    kept = [cell.spec.cell for cell in plan.grid.cells if cell.spec.eval.keep_checkpoint != "none"]
    sizes = [4 * costs[cell][1].parameters for cell in kept if cell in costs]
    if not sizes:
        return []
    each = " to ".join(dict.fromkeys(f"{size / 1e6:.0f}" for size in (min(sizes), max(sizes))))
    total = sum(sizes) * plan.grid.seeds
    return [f"Disk: {each} MB of weights per trial, {total / 1e9:.2g} GB in all (eval.keep_checkpoint=none keeps none)"]


def _show_cells(plan: Plan, console: Console) -> None:
    grid = plan.grid
    table = Table(title=f"{grid.name}: {grid.description}", title_justify="left", box=None, header_style="bold")
    columns = ["cell", "precision", "epochs x steps x batch", "data"]
    differing = varied(grid.cells, _SHOWN)
    if any(differing):
        columns.insert(1, "settings of its own")
    for column in columns:
        table.add_column(column, overflow="fold")
    for cell, own in zip(grid.cells, differing, strict=True):
        train, data = cell.spec.train, cell.spec.data
        steps = f"{train.epochs} x {train.steps_per_epoch} x {train.batch_size}"
        texts = [cell.label, *([own] if any(differing) else []), train.precision, steps]
        table.add_row(*texts, f"{data.name} {data.size} px, crop {data.crop}")
    console.print(table)
    if search := grid.search:
        console.print(
            f"Before that a search over {search.field} = {', '.join(f'{value:g}' for value in search.candidates)}: "
            f"{counted(len(grid.cells) * len(search.candidates) * search.seeds, 'trial')} of "
            f"{counted(search.epochs, 'epoch') if search.epochs else 'as many epochs'}, the same for every cell"
        )


def _show_costs(costs: Mapping[str, tuple[Sized, Cost]], cells: Sequence[Cell], console: Console) -> None:
    """Print a table of what one training image costs, one row per distinct model."""
    table = Table(title="Cost of one training image", title_justify="left", box=None, header_style="bold")
    for column in ("model of", "pixels", "parameters", "GFLOP forward", "MB of activations"):
        table.add_column(column, justify="left" if column == "model of" else "right")
    owners: dict[Sized, list[str]] = {}
    for cell in cells:  # two that differ in their devices alone have one hash
        owners.setdefault(costs[cell.spec.cell][0], []).append(cell.label)
    for sized, cost in dict(costs.values()).items():
        table.add_row(
            "all cells" if len(owners) == 1 else ", ".join(owners[sized]),
            f"{sized.size} x {sized.size}",
            f"{cost.parameters / 1e6:.2f} M",
            f"{cost.flops / 1e9:.2f}",
            f"{cost.activation_bytes / 1e6:.1f}",
        )
    console.print(table)
