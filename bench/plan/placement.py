"""From a request and the available machines to the trials: preset, precision and placement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import yaml

from bench.core import UsageError, describe, gpu_names
from bench.plan import grid as grids
from bench.plan.grid import Cell, Grid
from bench.spec import TrialSpec, check_architecture, check_available, check_hosts
from bench.storage import absolute
from results import counted, counted_devices

DEFAULT_PRESET = "quick"
DEFAULT_GRID = "losses"
PRECISION_FILE = Path(__file__).parent / "precision.yaml"


class Machine(Protocol):
    """A node as the scheduler describes it."""

    @property
    def cpus(self) -> int: ...
    @property
    def gpus(self) -> int: ...
    @property
    def accelerator(self) -> str | None: ...


class Need(NamedTuple):
    """What a trial needs: so many CPUs and GPUs of each of so many nodes."""

    cpus: int
    gpus: int
    hosts: int = 1

    def __str__(self) -> str:
        each = f" on each of {self.hosts} nodes" if self.hosts > 1 else ""
        return f"{counted_devices(self.cpus, self.gpus)}{each}"


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
        grid: the resolved grid; every cell's spec has its precision and placement.
        concurrent: trials at a time; None for as many as the GPUs allow.
        shared: whether trials share CPU cores, so that their throughput is not comparable.
        alone: whether nobody limited the trials at a time, and a node has no CPUs for a second one. Then a cluster that
            gets more nodes can run more.
        notes: choices made for the user, one line each.
        seconds: expected seconds per trial by the hash of the cell, or FLOPs if the speed is unknown; empty if their
            order does not matter.
    """

    grid: Grid
    concurrent: int | None
    shared: bool
    alone: bool = False
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def gpus(self) -> int:
        """The GPUs, on each of its nodes, of the trial that has most."""
        return max(need.gpus for need in self.needs)

    @property
    def all_gpus(self) -> int:
        """The GPUs, on all of its nodes, of the trial that has most."""
        return max(need.gpus * need.hosts for need in self.needs)

    @property
    def cpus(self) -> int:
        """The CPUs of the trial that has most."""
        return max(need.cpus for need in self.needs)

    @property
    def needs(self) -> list[Need]:
        """What trials need, without repetitions."""
        placements = [cell.spec.placement for cell in self.grid.cells]
        return list(dict.fromkeys(Need(one.cpus or 1, one.gpus, one.hosts) for one in placements))

    @property
    def trials(self) -> list[tuple[str, Cell, TrialSpec]]:
        """(name, cell, spec) of every trial, in the order in which they start.

        All cells at the first seed come first, then all at the next. So a run that ends early has fewer seeds, not
        fewer cells. Within a seed the longest trials come first, because a long trial that starts last leaves devices
        idle.
        """
        cells = sorted(self.grid.cells, key=lambda cell: -self.seconds.get(cell.spec.cell, 0.0))
        return [(*_named(cell, seed),) for seed in range(self.grid.seeds) for cell in cells]


def _named(cell: Cell, seed: int) -> tuple[str, Cell, TrialSpec]:
    name, spec = cell.trial(seed)
    return name, cell, spec


@dataclass(frozen=True)
class GridRequest:
    """The options that resolve a grid. An option that is not given is None or empty.

    Attributes:
        grid: a shipped grid's name, or a file ending in .yaml.
        dataset: name of the data set.
        data_root: folder of the data set.
        seeds: number of seeds per cell.
        only: `axis=value,value` texts that keep part of the grid.
        preset: smoke, quick, study or full.
        gpus_per_trial: GPUs per trial.
        settings: `field=value` texts.
        precision: what `train.precision: auto` stands for; None for the default of the machines.
    """

    grid: str | None = None
    dataset: str | None = None
    data_root: Path | None = None
    seeds: int | None = None
    only: tuple[str, ...] = ()
    preset: str | None = None
    gpus_per_trial: int | None = None
    settings: tuple[str, ...] = ()
    precision: str | None = None

    @classmethod
    def stored(cls, options: Mapping[str, Any]) -> GridRequest:
        """Return the request whose `options` the manifest of a run holds."""
        known = {item.name: options[item.name] for item in fields(cls) if options.get(item.name) is not None}
        kinds: dict[str, Any] = {"only": tuple, "settings": tuple, "data_root": Path}  # JSON has none of these types
        return cls(**{name: kinds[name](value) if name in kinds else value for name, value in known.items()})

    def options(self) -> dict[str, Any]:
        """Return the options as plain data, as the manifest of a run keeps them."""
        return {
            "grid": self.grid, "dataset": self.dataset, "data_root": self.data_root and str(self.data_root),
            "seeds": self.seeds, "only": [*self.only], "preset": self.preset, "gpus_per_trial": self.gpus_per_trial,
            "settings": [*self.settings],
        }  # fmt: skip

    def begun(self) -> GridRequest:
        """Return the request of a new run, with the default grid if none is given, and an absolute `data_root`."""
        return replace(self, grid=self.grid or DEFAULT_GRID, data_root=self.data_root and absolute(self.data_root))

    @property
    def fields_set(self) -> dict[str, Any]:
        """The options that are given, by name."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value not in (None, ())}


def this_machine() -> Local:
    """Return the CPUs and GPUs of this machine, before a cluster is started on it."""
    names = gpu_names()
    return Local(describe()["cores"], len(names), names[0] if names else None)


def make(request: GridRequest, nodes: Sequence[Machine], max_concurrent: int | None) -> Plan:
    """Resolve a grid for these nodes.

    Args:
        request: what to resolve.
        nodes: the machines trials may run on.
        max_concurrent: trials at a time; None for the default.

    Raises:
        UsageError: the grid or the options have a fault.
    """
    with_gpu = [node for node in nodes if node.gpus]
    asked = request.gpus_per_trial
    gpus: int = (1 if with_gpu else 0) if asked is None else asked
    precision = request.precision or default_precision(gpus, nodes)
    grid = resolved(request, precision)
    notes = [*grid.notes]
    if request.preset is None and grid.preset == DEFAULT_PRESET:
        notes.append(f"Using the preset {DEFAULT_PRESET}, a first look{_full(request, precision)}.")
    if any(cell.spec.placement.gpus for cell in grid.cells):
        if asked:
            raise UsageError(
                f"--gpus-per-trial {asked}: grid {grid.name} sets the number of GPUs per trial; leave the option out"
            )
        if asked == 0:
            notes.append(
                "Logical CPU devices replace the grid's GPUs. They share the cores, so no speed-up can be seen."
            )
    plan = place(grid, gpus, nodes, max_concurrent)
    if plan.shared:
        notes.append("Trials share the machine's cores: their throughput is recorded as not comparable.")
    return replace(plan, notes=tuple(notes))


def resolved(request: GridRequest, precision: str = "float32") -> Grid:
    """Return the grid that a request means, for no machine yet.

    Args:
        request: what to resolve.
        precision: what `train.precision: auto` stands for.

    Raises:
        UsageError: the grid or the options have a fault.
    """
    return grids.load(
        request.grid or DEFAULT_GRID,
        preset=request.preset,
        default_preset=DEFAULT_PRESET,
        seeds=request.seeds,
        settings=request.settings,
        fixed=grids.data_fields(request.dataset, request.data_root),
        only=request.only,
        precision=precision,
    )


def _full(request: GridRequest, precision: str) -> str:
    """Return what the preset for results trains, as the end of a sentence; empty if the settings do not allow it."""
    try:
        return f"; --preset full, for GPUs, is {_extent(resolved(replace(request, preset='full'), precision))}"
    except UsageError:
        return ""


def _extent(grid: Grid) -> str:
    """Return how much a grid trains, in a few words."""
    specs = [cell.spec for cell in grid.cells]
    steps = max(spec.train.epochs * spec.train.steps_per_epoch for spec in specs)
    crop = max(spec.data.crop for spec in specs)
    return f"{counted(len(specs) * grid.seeds, 'trial')} of up to {steps} steps at {crop} px"


def default_precision(gpus: int, nodes: Sequence[Machine]) -> str:
    """Return what `train.precision: auto` means on these nodes, from precision.yaml.

    Args:
        gpus: of each trial; 0 for trials on CPUs.
        nodes: the machines trials may run on.
    """
    table = yaml.safe_load(PRECISION_FILE.read_text())
    if not gpus:
        return table["cpu"]
    wanted = {_by_accelerator(table["gpu"], node.accelerator) for node in nodes if node.gpus}
    return wanted.pop() if len(wanted) == 1 else table["gpu"]["default"]


def _by_accelerator(table: Mapping[str, str], accelerator: str | None) -> str:
    words = (accelerator or "").replace("-", " ").split()
    return next((table[word] for word in words if word in table), table["default"])


def place(grid: Grid, gpus: int, nodes: Sequence[Machine], max_concurrent: int | None) -> Plan:
    """Return the plan that gives every cell its devices on these nodes.

    Args:
        grid: the resolved grid.
        gpus: of each trial if the grid does not say; 0 replaces GPUs that the grid asks for by logical CPU devices.
        nodes: the machines trials may run on.
        max_concurrent: trials at a time; None for the default.

    Raises:
        UsageError: a batch does not split over the replicas, or the installed packages lack a model, optimiser or
            wrapper.
    """
    cells, shared, concurrent, alone = [], False, max_concurrent, max_concurrent is None
    for cell in grid.cells:
        check_architecture(cell.spec.model)
        check_available(cell.spec.train)
        wanted = cell.spec.placement
        check_hosts(wanted)
        own = (wanted.gpus or gpus) if gpus else 0
        kind = _kind(wanted.accelerator, own, nodes) if wanted.accelerator else None
        hosts = [node for node in nodes if kind in (None, node.accelerator)]
        cpus, concurrent, sharing = allocate(own, hosts, max_concurrent, wanted.hosts)
        if wanted.exclusive_node:
            cpus = max((node.cpus for node in hosts if node.gpus >= own or not own), default=cpus)
        shared |= sharing
        alone &= all(node.cpus < 2 * cpus for node in nodes)
        logical = wanted.gpus if wanted.gpus and not own and wanted.hosts == 1 else wanted.cpu_replicas
        placement = {**wanted.model_dump(), "cpus": cpus, "gpus": own, "cpu_replicas": logical, "accelerator": kind}
        # Validated again, because the batch has to split over the replicas.
        values = {**cell.spec.model_dump(mode="json"), "placement": placement}
        cells.append(replace(cell, spec=grids.parse(values, f"grid {grid.name}: cell {cell.label!r}")))
    return Plan(replace(grid, cells=tuple(cells)), concurrent, shared, alone)


def _kind(wanted: str, gpus: int, nodes: Sequence[Machine]) -> str:
    """Return the name that the machines have for a kind of GPU.

    Args:
        wanted: `placement.accelerator`.
        gpus: GPUs of the trial.
        nodes: the machines trials may run on.

    Raises:
        UsageError: the trial has no GPU, or the nodes have no such kind, several of them, or too few GPUs of it.
    """
    where = f"placement.accelerator={wanted}"
    if not gpus:
        raise UsageError(f"{where}: the trial has no GPU; leave it out, or give --gpus-per-trial")
    kinds = sorted({node.accelerator for node in nodes if node.gpus and node.accelerator})
    found = [kind for kind in kinds if kind == wanted] or [kind for kind in kinds if same_kind(wanted, kind)]
    if len(found) != 1:
        lacks = f"no node has it; there is {', '.join(kinds) or 'no GPU'}"
        raise UsageError(f"{where}: it may be {' or '.join(found)}" if found else f"{where}: {lacks}")
    most = max(node.gpus for node in nodes if node.accelerator == found[0])
    if gpus > most:
        raise UsageError(f"{where}: a trial needs {counted(gpus, 'GPU')}, no node has more than {most} of this kind")
    return found[0]


def same_kind(kind: str, name: str) -> bool:
    """Return whether a GPU is of a kind.

    Args:
        kind: as Ray names it, or as the driver does.
        name: of the GPU. Ray names one "A100" or "A100-40G" that its driver names "NVIDIA A100-SXM4-40GB".
    """
    return kind == name or kind.partition("-")[0] in name.replace("-", " ").split()


def merge_grids(old: Grid, new: Grid) -> Grid:
    """Return a grid with the cells of both, and the larger of the two numbers of seeds."""

    def known(cell: Cell) -> tuple[str, int, int]:
        return cell.spec.cell, cell.spec.placement.replicas, cell.spec.placement.hosts

    have = {known(cell) for cell in old.cells}
    more = [cell for cell in new.cells if known(cell) not in have]
    return replace(old, cells=(*old.cells, *more), seeds=max(old.seeds, new.seeds))


def allocate(
    gpus: int, nodes: Sequence[Machine], max_concurrent: int | None, together: int = 1
) -> tuple[int, int | None, bool]:
    """Return the CPUs per trial, the trials at a time (None for as many as fit), and whether trials share cores.

    Args:
        gpus: of each trial, on each of its nodes; 0 for trials on CPUs.
        nodes: the machines trials may run on.
        max_concurrent: trials at a time; None for the default.
        together: nodes that train a trial together.
    """
    if gpus:
        hosts = [node for node in nodes if node.gpus >= gpus] or list(nodes)
        return max(1, min(node.cpus * gpus // max(gpus, node.gpus) for node in hosts)), max_concurrent, False
    # By default a CPU trial has a machine to itself: throughput is comparable only if nothing else runs on its cores.
    concurrency = max_concurrent or max(1, len(nodes) // together)
    per_node = -(-concurrency * min(together, len(nodes)) // len(nodes))
    return max(1, min(node.cpus for node in nodes) // per_node), concurrency, per_node > 1


def why_unplaceable(needs: Sequence[Need], nodes: Sequence[Machine]) -> str | None:
    """Return why the nodes cannot hold a trial, or None if they can hold each. Ray would wait for ever.

    Args:
        needs: of the trials, without repetitions.
        nodes: the machines trials may run on.
    """
    most = max((node.gpus for node in nodes), default=0)
    for need in needs:
        if need.gpus > most:
            return (
                f"a trial needs {counted(need.gpus, 'GPU')}, but no node has more than {most}; a trial spans as many "
                "nodes as placement.hosts says"
            )
        able = sum(node.cpus >= need.cpus and node.gpus >= need.gpus for node in nodes)
        if able < need.hosts:
            if need.hosts > 1:
                have = f"only {able} of {counted(len(nodes), 'node')} can take part" if able else "no node has as many"
                return (
                    f"a trial needs {need}, but {have}; give a cluster (--address) with more, or fewer placement.hosts"
                )
            return f"a trial needs {need}, but no node has {'both' if need.gpus else 'as many'}"
    return None
