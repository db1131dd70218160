"""Load the records of a run folder as a comparison needs them."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from results import hand_over
from results.comparison import margins as rules
from results.comparison.explanations import as_text
from results.comparison.types import SPEEDS, Key, LoadedRun, Seeds, Side
from results.decision import KEYS, decision_of
from results.record import Record
from results.store import Run, failed, missing, release_of
from results.table import VIEW_METRICS, judged_split, trials


def load(run: Run, only: str = "*", usually: hand_over.Levels | None = None) -> LoadedRun:
    """Extract from a run what a comparison needs.

    Args:
        run: the run.
        only: keep the cells whose label matches this pattern, as in `fnmatch`.
        usually: where the cores of each machine usually were, see `results.hand_over`; default: in most trials.

    Raises:
        ValueError: no label matches; one line.
    """
    records: dict[str, list[Record]] = {}
    if usually is None:
        usually = placed(run)
    for stored in run.trials:
        records.setdefault(stored.record.cell, []).append(stored.record)
    labels = {key: label for key, label in _labels(run).items() if fnmatchcase(label, only)}
    if not labels:
        raise ValueError(f"{run.folder}: no cell's label matches {only!r}")
    lost = {record.cell for record in failed(run)}
    return LoadedRun(
        side=_side(run, labels, records),
        labels=labels,
        records=records,
        measured=_measured(run, usually),
        usually=usually,
        planned=frozenset(planned_cells(run.manifest)) or frozenset(labels),
        shrunk=frozenset(
            cell for cell, found in records.items() if cell not in lost and all(one.status != "ok" for one in found)
        ),
        decisions={name: found for name in KEYS if (found := decision_of(run.manifest, name))},
    )


def placed(*runs: Run) -> hand_over.Levels:
    """Return where the cores of each machine were in most trials of some runs."""
    return hand_over.levels(hand_over.cores_of(stored.record) for run in runs for stored in run.trials)


def planned_cells(manifest: Mapping[str, Any]) -> set[str]:
    """Return the keys of the cells that a manifest plans."""
    return {str(cell["cell"]) for cell in manifest.get("cells", [])}


def _labels(run: Run) -> dict[str, str]:
    """Return {cell: label}, planned cells first; if several grids hold a cell, the first one names it."""
    labels: dict[str, str] = {}
    for cell in run.manifest.get("cells", []):
        labels.setdefault(cell["cell"], str(cell.get("label", cell["cell"])))
    for stored in run.trials:
        labels.setdefault(stored.record.cell, stored.record.label)
    return labels


def _side(run: Run, labels: Mapping[str, str], records: Mapping[str, list[Record]]) -> Side:
    gaps = [f"a record cannot be read: {problem}" for problem in run.problems]
    gaps += [f"no record of {label}, seed {seed}" for cell, label, seed in missing(run) if cell in labels]
    gaps += [
        f"{record.label}, seed {record.seed} was interrupted"
        for key in labels
        for record in records.get(key, [])
        if record.status == "interrupted"
    ]
    environments = sorted({as_text(record.environment) for found in records.values() for record in found})
    commits = sorted({str(record.environment.get("git_commit") or "") for one in records.values() for record in one})
    return Side(
        name=_name(run),
        folder=str(run.folder),
        commit=", ".join(commit for commit in commits if commit) or "unknown",
        environments=tuple(environments),
        trials=len(run.trials),
        gaps=tuple(gaps),
    )


def _name(run: Run) -> str:
    release = release_of(run.folder)
    parts = [release.name if release else "", "" if release == run.folder.resolve() else run.folder.resolve().name]
    return "/".join(filter(None, parts))


def _measured(run: Run, usually: hand_over.Levels) -> dict[Key, Seeds]:
    """Return {seed: value} per metric, of the trials that ended well; repeated seeds are averaged."""
    frame = trials(run.trials, usually)
    frame = frame[(frame["status"] == "ok") & (frame["split"] == judged_split(frame))]
    comparable = frame["throughput_comparable"].fillna(False)
    frame = frame.assign(**{name: frame[name].where(comparable) for name in SPEEDS})
    found: dict[Key, Seeds] = {}
    names = [name for name in rules.METRICS if name in frame]
    means = frame.groupby(["cell", "view", "seed"])[names].mean()
    for name in names:
        known = means[name].dropna()
        for (cell, view, seed), value in zip(known.index.tolist(), known.tolist(), strict=True):
            if name in VIEW_METRICS or view == "default":
                found.setdefault((cell, view, name), {})[int(seed)] = float(value)
    return found
