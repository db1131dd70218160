"""From a command's options and the machines at hand to the trials: preset, precision and placement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import yaml

from bench.core import UsageError
from bench.plan import grid as grids
from bench.plan.grid import Cell, Grid
from bench.spec import TrialSpec, check_available

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
        concurrent: trials at a time, None for as many as there are GPUs.
        shared: trials share CPU cores, so that their throughput says nothing.
        notes: choices made for the user, one line each.
        seconds: of a trial of each cell, by its hash, as far as they are known in advance.
    """

    grid: Grid
    concurrent: int | None
    shared: bool
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def gpus(self) -> int:
        """Of the trial that has most."""
        return max(gpus for _, gpus in self.needs)

    @property
    def cpus(self) -> int:
        """Of the trial that has most."""
        return max(cpus for cpus, _ in self.needs)

    @property
    def needs(self) -> list[tuple[int, int]]:
        """The different (CPUs, GPUs) of trials."""
        placements = [cell.spec.placement for cell in self.grid.cells]
        return list(dict.fromkeys((placement.cpus or 1, placement.gpus) for placement in placements))

    @property
    def trials(self) -> list[tuple[str, Cell, TrialSpec]]:
        """(name, cell, spec) of every trial: all cells at the first seed, then all at the next, so that an early end
        leaves a comparison with fewer seeds and not one with fewer cells. Within a seed the longest come first: a long
        trial that starts last leaves devices idle."""
        cells = sorted(self.grid.cells, key=lambda cell: -self.seconds.get(cell.spec.cell, 0.0))
        return [(*_named(cell, seed),) for seed in range(self.grid.seeds) for cell in cells]


def _named(cell: Cell, seed: int) -> tuple[str, Cell, TrialSpec]:
    name, spec = cell.trial(seed)
    return name, cell, spec


def make(options: Mapping[str, Any], nodes: Sequence[Machine], max_concurrent: int | None) -> Plan:
    """Resolve a grid for these nodes.

    Args:
        options: grid, preset, seeds, settings, only, dataset, data_root, gpus_per_trial, precision.
        nodes: the machines trials may run on.
        max_concurrent: trials at a time as asked for, None for the default.

    Raises:
        UsageError: any fault of the grid or the options.
    """
    with_gpu = [node for node in nodes if node.gpus]
    asked = options.get("gpus_per_trial")
    gpus: int = (1 if with_gpu else 0) if asked is None else asked
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
        precision=options.get("precision") or default_precision(gpus, nodes),
    )
    notes = [*grid.notes]
    if not gpus and options.get("preset") is None and grid.preset == "quick":
        notes.append("No GPU: using the preset quick; --preset full is meant for GPUs.")
    if gpus and options.get("preset") is None and grid.preset == "full":
        notes.append(f"GPU found: using the preset full, {_extent(grid)}; --preset quick gives a first look.")
    if any(cell.spec.placement.gpus for cell in grid.cells):
        if asked:
            raise UsageError(f"--gpus-per-trial {asked}: grid {grid.name} says itself how many GPUs each trial has")
        if asked == 0:
            notes.append("Logical CPU devices stand for the grid's GPUs: they share the cores, so no speed-up shows.")
    plan = place(grid, gpus, nodes, max_concurrent)
    if plan.shared:
        notes.append("Trials share the machine's cores: their throughput is recorded as not comparable.")
    return replace(plan, notes=tuple(notes))


def _extent(grid: Grid) -> str:
    """How much a grid trains, in a few words."""
    specs = [cell.spec for cell in grid.cells]
    steps = max(spec.train.epochs * spec.train.steps_per_epoch for spec in specs)
    crop = max(spec.data.crop for spec in specs)
    return f"{len(specs) * grid.seeds} trials of up to {steps} steps at {crop} px"


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


def place(grid: Grid, gpus: int, nodes: Sequence[Machine], max_concurrent: int | None) -> Plan:
    """Give every cell its devices on these nodes.

    Args:
        gpus: of each trial, where the grid does not say; 0 turns GPUs that the grid asks for into logical CPU devices.

    Raises:
        UsageError: a batch does not split over the replicas, or the installed stack lacks something.
    """
    cells, shared, concurrent = [], False, max_concurrent
    for cell in grid.cells:
        check_available(cell.spec.train)
        wanted = cell.spec.placement
        own = (wanted.gpus or gpus) if gpus else 0
        cpus, concurrent, sharing = allocate(own, nodes, max_concurrent)
        if wanted.exclusive_node:
            cpus = max((node.cpus for node in nodes if node.gpus >= own or not own), default=cpus)
        shared |= sharing
        logical = wanted.gpus if wanted.gpus and not own else wanted.cpu_replicas
        placement = {**wanted.model_dump(), "cpus": cpus, "gpus": own, "cpu_replicas": logical}
        # Validated again: the batch has to split over the replicas.
        values = {**cell.spec.model_dump(mode="json"), "placement": placement}
        cells.append(replace(cell, spec=grids.parse(values, f"grid {grid.name}: cell {cell.label!r}")))
    return Plan(replace(grid, cells=tuple(cells)), concurrent, shared)


def merge_grids(old: Grid, new: Grid) -> Grid:
    """Return a grid with the cells of both, and the seeds of the one that has more."""
    have = {(cell.spec.cell, cell.spec.placement.replicas) for cell in old.cells}
    more = [cell for cell in new.cells if (cell.spec.cell, cell.spec.placement.replicas) not in have]
    return replace(old, cells=(*old.cells, *more), seeds=max(old.seeds, new.seeds))


def allocate(gpus: int, nodes: Sequence[Machine], max_concurrent: int | None) -> tuple[int, int | None, bool]:
    """Return the CPUs of a trial, the trials at a time, and whether trials share cores."""
    if gpus:
        hosts = [node for node in nodes if node.gpus >= gpus] or list(nodes)
        return max(1, min(node.cpus * gpus // max(gpus, node.gpus) for node in hosts)), max_concurrent, False
    # A CPU trial owns a machine: throughput means something only when nothing else runs on its cores.
    concurrency = max_concurrent or len(nodes)
    per_node = -(-concurrency // len(nodes))
    return max(1, min(node.cpus for node in nodes) // per_node), concurrency, per_node > 1


def why_unplaceable(needs: Sequence[tuple[int, int]], nodes: Sequence[Machine]) -> str | None:
    """Say why no single node can hold a trial of so many (CPUs, GPUs); None if one can. Ray would wait for ever."""
    most = max((node.gpus for node in nodes), default=0)
    for cpus, gpus in needs:
        if gpus > most:
            return f"{gpus} GPU(s) a trial asked, but no node has more than {most}; trials do not span nodes"
        if not any(node.cpus >= cpus and node.gpus >= gpus for node in nodes):
            return f"{cpus} CPU(s) and {gpus} GPU(s) a trial asked, but no node has both"
    return None
