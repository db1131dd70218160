"""From a command's options and the machines at hand to the trials: preset, precision and placement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import yaml

from bench import grid as grids
from bench import stack
from bench.grid import Cell, Grid
from bench.spec import TrialSpec

PRECISION_FILE = Path(__file__).parent / "precision.yaml"


class Machine(Protocol):
    """A node as the scheduler describes it."""

    @property
    def cpus(self) -> int: ...
    @property
    def gpus(self) -> int: ...
    @property
    def accelerator(self) -> str | None: ...


@dataclass(frozen=True)
class Local:
    """This machine, before a cluster is started on it."""

    cpus: int
    gpus: int
    accelerator: str | None


@dataclass(frozen=True)
class Plan:
    """What will run where.

    Attributes:
        grid: the resolved grid, precision and placement set in every cell's spec.
        cpus, gpus: devices of one trial, on one node.
        concurrent: trials at a time, None for as many as there are GPUs.
        shared: trials share CPU cores, so that their throughput says nothing.
        notes: choices made for the user, one line each.
    """

    grid: Grid
    cpus: int
    gpus: int
    concurrent: int | None
    shared: bool
    notes: tuple[str, ...] = ()

    @property
    def trials(self) -> list[tuple[str, Cell, TrialSpec]]:
        """(name, cell, spec) of every trial: all cells at the first seed, then all at the next, so that an early end
        leaves a comparison with fewer seeds and not one with fewer cells."""
        return [(*_named(cell, seed),) for seed in range(self.grid.seeds) for cell in self.grid.cells]


def _named(cell: Cell, seed: int) -> tuple[str, Cell, TrialSpec]:
    name, spec = cell.trial(seed)
    return name, cell, spec


def make(options: Mapping[str, Any], nodes: Sequence[Machine], max_concurrent: int | None) -> Plan:
    """Resolve a grid for these nodes.

    Args:
        options: grid, preset, seeds, settings, only, dataset, data_root, gpus_per_trial.
        nodes: the machines trials may run on.
        max_concurrent: trials at a time as asked for, None for the default.

    Raises:
        UsageError: any fault of the grid or the options.
    """
    with_gpu = [node for node in nodes if node.gpus]
    asked = options.get("gpus_per_trial")
    gpus = (1 if with_gpu else 0) if asked is None else asked
    fixed = {
        field: options[option]
        for option, field in (("dataset", "data.dataset"), ("data_root", "data.root"))
        if options.get(option) is not None
    }
    grid = grids.load(
        options["grid"],
        preset=options.get("preset"),
        default_preset="full" if gpus else "quick",
        seeds=options.get("seeds"),
        settings=options.get("settings", ()),
        fixed=fixed,
        only=options.get("only", ()),
        precision=default_precision(gpus, nodes),
    )
    notes = []
    if not gpus and options.get("preset") is None and grid.preset == "quick":
        notes.append("No GPU: using the preset quick; --preset full is meant for GPUs.")
    cpus, concurrent, shared = share(gpus, nodes, max_concurrent)
    if shared:
        notes.append("Trials share the machine's cores: their throughput is recorded as not comparable.")
    return Plan(_place(grid, cpus, gpus), cpus, gpus, concurrent, shared, tuple(notes))


def default_precision(gpus: int, nodes: Sequence[Machine]) -> str:
    """What `train.precision: auto` means for trials with so many GPUs on these nodes, by the committed table."""
    table = yaml.safe_load(PRECISION_FILE.read_text())
    if not gpus:
        return table["cpu"]
    wanted = {_by_accelerator(table["gpu"], node.accelerator) for node in nodes if node.gpus}
    return wanted.pop() if len(wanted) == 1 else table["gpu"]["default"]


def _by_accelerator(table: Mapping[str, str], accelerator: str | None) -> str:
    words = (accelerator or "").replace("-", " ").split()
    return next((table[word] for word in words if word in table), table["default"])


def share(gpus: int, nodes: Sequence[Machine], max_concurrent: int | None) -> tuple[int, int | None, bool]:
    """CPUs of a trial, trials at a time, and whether trials share cores."""
    if gpus:
        hosts = [node for node in nodes if node.gpus >= gpus] or list(nodes)
        return max(1, min(node.cpus * gpus // max(gpus, node.gpus) for node in hosts)), max_concurrent, False
    # A CPU trial owns a machine: throughput means something only when nothing else runs on its cores.
    abreast = max_concurrent or len(nodes)
    a_node = -(-abreast // len(nodes))
    return max(1, min(node.cpus for node in nodes) // a_node), abreast, a_node > 1


def _place(grid: Grid, cpus: int, gpus: int) -> Grid:
    cells = []
    for cell in grid.cells:
        stack.check(cell.spec.train)
        placement = {**cell.spec.placement.model_dump(), "cpus": cpus, "gpus": gpus}
        # Validated again: the batch has to split over the replicas.
        values = {**cell.spec.model_dump(mode="json"), "placement": placement}
        cells.append(replace(cell, spec=grids.parse(values, f"grid {grid.name}: cell {cell.label!r}")))
    return replace(grid, cells=tuple(cells))
