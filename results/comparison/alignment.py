"""Which cells of two runs are the same cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from results.comparison.explanations import explain_nothing_shared, explain_retuned
from results.comparison.loading import load, placed, planned_cells
from results.comparison.types import Aligned, LoadedRun
from results.store import Run, read_manifest, read_run, with_labels


@dataclass(frozen=True)
class Alignment:
    """Two runs whose cells have the same keys: those of base.

    Attributes:
        base, head: the runs.
        retuned: {key that head had: key of base} where a search chose another value.
    """

    base: LoadedRun
    head: LoadedRun
    retuned: dict[str, str]

    @property
    def cells(self) -> list[Aligned]:
        """List the cells of base, each with what head has of it."""
        return [Aligned(cell, self.base, self.head) for cell in self.base.labels]

    @property
    def shared(self) -> list[Aligned]:
        """List the cells that both have."""
        return [pair for pair in self.cells if pair.cell in self.head.labels]

    @property
    def added(self) -> list[str]:
        """List the labels of the cells that only head has."""
        return [label for cell, label in self.head.labels.items() if cell not in self.base.labels]


def align(base: Run, head: Run, only: str = "*") -> Alignment:
    """Match the cells of two runs.

    A run of one grid is matched with that grid of a release that holds several. Each cell for which a search chose
    another value is compared at its own best.

    Args:
        base, head: the runs.
        only: keep the cells whose label matches this pattern.

    Raises:
        ValueError: no cell in common, or none whose label matches; one line.
    """
    sides = _same_grid(base, head)
    usually = placed(*sides)  # of both sides, so that their speeds are those of one placement
    old, new = (load(run, only, usually) for run in sides)
    retuned = retuned_cells(old, new)
    found = Alignment(old, rename_cells(retuned, new), retuned)
    if not found.shared:
        raise ValueError(explain_nothing_shared(found.base, found.head))
    return found


def _same_grid(base: Run, head: Run) -> tuple[Run, Run]:
    """Return the two sides; a release of several grids is cut to one grid if the other side is a run of that grid."""
    old, new = split_alike([_narrowed(base, head), _narrowed(head, base)])
    return old, new


def _narrowed(one: Run, other: Run) -> Run:
    names = [str(name) for name in one.manifest.get("runs", [])]
    if not names or "runs" in other.manifest:
        return one
    grid = Path(str(other.manifest.get("grid") or "")).stem
    held = {name: read_manifest(one.folder / name) for name in names}
    same = [name for name, found in held.items() if Path(str(found.get("grid") or "")).stem == grid]
    if not same:
        return one
    # One grid may have been run on several data sets.
    wanted = planned_cells(other.manifest)
    return read_run(one.folder / max(same, key=lambda name: len(planned_cells(held[name]) & wanted)))


def split_alike(sides: Sequence[Run]) -> list[Run]:
    """Return the runs; a cell that one of them splits by its number of replicas is split in all of them."""
    keys = {one.record.cell for run in sides for one in run.trials}
    keys |= {cell for run in sides for cell in planned_cells(run.manifest)}
    several = {key.partition(" ")[0] for key in keys if " " in key}
    return [with_labels(run, several) for run in sides]


def retuned_cells(base: LoadedRun, head: LoadedRun) -> dict[str, str]:
    """Return {cell of head: cell of base} where a search chose another value."""
    names = {label: cell for cell, label in head.labels.items() if cell not in base.labels}
    return {
        names[label]: cell
        for cell, label in base.labels.items()
        if label in names and explain_retuned(base.of(cell), head.of(names[label]))
    }


def rename_cells(keys: Mapping[str, str], run: LoadedRun) -> LoadedRun:
    """Return the run with the cells {old key: new key} under their new keys."""
    return replace(
        run,
        labels={keys.get(cell, cell): label for cell, label in run.labels.items()},
        records={keys.get(cell, cell): found for cell, found in run.records.items()},
        measured={(keys.get(key[0], key[0]), key[1], key[2]): seeds for key, seeds in run.measured.items()},
        planned=frozenset(keys.get(cell, cell) for cell in run.planned),
        shrunk=frozenset(keys.get(cell, cell) for cell in run.shrunk),
    )
