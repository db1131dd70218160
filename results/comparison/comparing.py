"""Base against head: two runs or published releases, cell by cell, with verdicts by `results.statistics.gate`."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from results.comparison import margins as rules
from results.comparison.margins import Margins, Metric
from results.record import Record
from results.statistics.aggregates import probability_of_improvement
from results.statistics.gate import Change, Decision, changes, decide, headline
from results.store import Run, StrPath, failed, missing, read_manifest, read_run, release_of, with_labels
from results.table import VIEW_METRICS, trials

Outcome = Literal["ok", "incomplete", "regressed", "inconclusive"]
Verdict = Literal["ok", "improved", "regressed", "inconclusive", "not comparable", "newly failing", "fixed", "missing"]
# The order in which people should read them.
VERDICTS: tuple[Verdict, ...] = (
    "regressed", "newly failing", "missing", "inconclusive", "not comparable", "improved", "fixed", "ok"
)  # fmt: skip
FAILING = ("regressed", "newly failing", "missing")
TRIALS = "trials"
# What speed and memory depend on besides the software, which is what a comparison is about.
_MACHINE = (
    "processor", "instructions", "onednn", "cores", "gpus", "gpu_names", "device", "replicas", "precision",
    "tensor_float_32",
)  # fmt: skip
# What is no part of a cell and changes what is measured all the same: the weights that are scored, how steps are run.
_HOW_RUN = ("train.deterministic", "train.jit_compile", "train.steps_per_execution", "train.eager", "placement.cpus")
# What is no part of a cell.
_ASIDE = ("seed", "data.root", "data.planned_root", "data.cache", *_HOW_RUN)
_SCORES = (
    "miou", "mean_dice", "pixel_accuracy", "mean_image_iou", "boundary_iou", "soft_iou", "class_recall", "soft_dice",
    "loss_value", "best_miou",
)  # fmt: skip

Seeds = dict[int, float]
Key = tuple[str, str, str]  # cell, view, metric


@dataclass(frozen=True)
class ComparisonRow:
    """One cell in one view and one metric; `metric` "trials" counts how the cell's trials ended.

    `base` and `head` are means in the metric's own unit (geometric for ratios), `change` with its 90 % interval and
    `smallest` (the true loss that would have been seen) a difference or a ratio - 1 as the metric's `scale` says; more
    is more, not better. `p`: Holm-adjusted, of being worse. What was not measured or not tested is NaN.
    """

    cell: str
    label: str
    view: str
    metric: str
    verdict: Verdict
    reason: str = ""
    base: float = math.nan
    head: float = math.nan
    seeds: tuple[int, int] = (0, 0)
    change: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    margin: float = math.nan
    smallest: float = math.nan
    more_seeds: int = 0
    suspect: bool = False
    gate: bool = True
    scale: str = "difference"
    method: str = "none"


@dataclass(frozen=True)
class Side:
    """One of the two: its name, its folder, what it ran on, and what it lacks."""

    name: str
    folder: str
    commit: str
    environments: tuple[str, ...]
    trials: int
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The verdicts, most urgent first. `differences` names what differs in the environments: {name: (base, head)}.

    `headline` is the change of the mean mIoU over the cells of both, in fractions; `improvement` the chance that a
    trial of head beats one of base, averaged over the cells. `added` are cells that only head has; `retuned` those
    of head, by key, that are judged as base's of another key because a search chose another value. `unjudged` says, a
    line each, which planned cells and views no guarded score speaks of. The last two are what the user asks of
    `outcome`: to call cells that the seeds cannot decide a failure, or a gap none.
    """

    base: Side
    head: Side
    rows: tuple[ComparisonRow, ...]
    headline: Change
    improvement: float
    margins: Margins
    differences: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    retuned: Mapping[str, str] = field(default_factory=dict)
    unjudged: tuple[str, ...] = ()
    require_conclusive: bool = False
    allow_incomplete: bool = False

    @property
    def outcome(self) -> Outcome:
        """What the gate says; head may be released when it says "ok". The first that applies, in this order."""
        if (self.gaps and not self.allow_incomplete) or (not self.measured and not self.failing):
            return "incomplete"
        if self.failing:
            return "regressed"
        return "inconclusive" if self.require_conclusive and self.inconclusive else "ok"

    @property
    def gaps(self) -> tuple[str, ...]:
        """Why this is no complete comparison; empty when both sides hold every trial that was planned, and every
        planned cell was judged."""
        lacking = (f"{side.name}: {gap}" for side in (self.base, self.head) for gap in side.gaps)
        return (*lacking, *self.unjudged)

    @property
    def failing(self) -> tuple[ComparisonRow, ...]:
        """The rows that fail the gate."""
        return tuple(row for row in self.rows if row.gate and row.verdict in FAILING)

    @property
    def inconclusive(self) -> tuple[ComparisonRow, ...]:
        return tuple(row for row in self.rows if row.gate and row.verdict == "inconclusive")

    @property
    def measured(self) -> bool:
        """Whether every guarded score that both have was compared in some cell, and any guarded metric at all."""
        guarded = [row for row in self.rows if row.gate and row.metric != TRIALS]
        compared = {row.metric for row in guarded if not math.isnan(row.change)}
        both = {row.metric for row in guarded if row.metric in _SCORES and min(row.seeds)}
        return bool(compared) and both <= compared

    def count(self, gate: bool = True) -> dict[Verdict, int]:
        found = [row.verdict for row in self.rows if row.gate == gate]
        return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}

    def frame(self) -> pd.DataFrame:
        """The rows as a table."""
        return pd.DataFrame([vars(row) for row in self.rows])


def compare(
    base: StrPath | Run, head: StrPath | Run, margins: Margins | StrPath | None = None, only: str = "*"
) -> Comparison:
    """Judge head against base: run folders, published releases (by version), globs, or runs already read.

    Rows join on (cell, view); the machine may differ, then speed and memory are called not comparable and mIoU is
    judged all the same. `only` keeps the cells whose label matches the pattern. A run of one grid is judged against
    that grid of a release that holds several.

    Raises:
        ValueError: nothing to read on one side, no cell in common, or a bad margins file; one line.
    """
    if not isinstance(margins, Margins):
        margins = rules.read(str(rules.DEFAULT if margins is None else margins))
    runs = [one if isinstance(one, Run) else read_run(one) for one in (base, head)]
    old, new = (_read(run, only) for run in _same_grid(*runs))
    retuned = _tuned_alike(old, new)
    new = _under(retuned, new)
    shared = [cell for cell in old.labels if cell in new.labels]
    if not shared:
        raise ValueError(_nothing_shared(old, new))
    rows = [row for cell in old.labels for row in _trial_rows(cell, old, new)]
    rows += _metric_rows(shared, old, new, margins)
    rows.sort(key=lambda row: (VERDICTS.index(row.verdict), not row.gate, row.label, row.metric, row.view))
    miou = {
        cell: (old.seeds(cell, "default", "miou"), new.seeds(cell, "default", "miou"))
        for cell in shared
        if not _other_scores(cell, old, new)
    }
    wins = [probability_of_improvement([*a.values()], [*b.values()]) for a, b in miou.values() if a and b]
    return Comparison(
        base=old.side,
        head=new.side,
        rows=tuple(rows),
        headline=headline(miou, {cell: _stratum((cell, "default", "miou"), old) for cell in miou}),
        improvement=float(np.mean(wins)) if wins else math.nan,
        margins=margins,
        differences=_environment_differences(old, new),
        added=tuple(label for cell, label in new.labels.items() if cell not in old.labels),
        retuned=retuned,
        unjudged=tuple(_unjudged_cells(rows, old, new, margins)),
    )


@dataclass(frozen=True)
class _Read:
    """A run with what the comparison asks of it at hand."""

    side: Side
    labels: dict[str, str]
    records: dict[str, list[Record]]
    measured: dict[Key, Seeds]
    planned: frozenset[str]  # the cells that were asked for; others are what became of them with less memory
    shrunk: frozenset[str]  # cells of which every trial ran out of memory, and ended well as such a smaller one

    def seeds(self, cell: str, view: str, metric: str) -> Seeds:
        return self.measured.get((cell, view, metric), {})

    def owed(self, cell: str) -> set[str]:
        """Views that trials of the cell that ended well had to measure, whether they did or not."""
        well = [record for record in self.records.get(cell, []) if record.status == "ok"]
        return {name for one in well for name in (*one.failed_views, *(v.view for v in one.views if v.split == "val"))}

    def views(self, cell: str) -> list[str]:
        return sorted({view for key, view, metric in self.measured if key == cell and metric in VIEW_METRICS})


def _same_grid(base: Run, head: Run) -> tuple[Run, Run]:
    """The two sides; of a release of several grids, when the other is a run of one of them, that grid alone."""

    def narrowed(one: Run, other: Run) -> Run:
        names = [str(name) for name in one.manifest.get("runs", [])]
        if not names or "runs" in other.manifest:
            return one
        grid = Path(str(other.manifest.get("grid") or "")).stem
        held = {name: read_manifest(one.folder / name) for name in names}
        same = [name for name, found in held.items() if Path(str(found.get("grid") or "")).stem == grid]
        if not same:
            return one
        # One grid may have been run on several data sets.
        wanted = _planned(other.manifest)
        return read_run(one.folder / max(same, key=lambda name: len(_planned(held[name]) & wanted)))

    old, new = split_alike([narrowed(base, head), narrowed(head, base)])
    return old, new


def split_alike(sides: Sequence[Run]) -> list[Run]:
    """The runs; a cell that one of them splits by its number of replicas is split in the others too."""
    keys = {one.record.cell for run in sides for one in run.trials}
    keys |= {str(cell["cell"]) for run in sides for cell in run.manifest.get("cells", [])}
    several = {key.partition(" ")[0] for key in keys if " " in key}
    return [with_labels(run, several) for run in sides]


def _planned(manifest: Mapping[str, Any]) -> set[str]:
    return {str(cell["cell"]) for cell in manifest.get("cells", [])}


def _name(run: Run) -> str:
    release = release_of(run.folder)
    parts = [release.name if release else "", "" if release == run.folder.resolve() else run.folder.resolve().name]
    return "/".join(filter(None, parts))


def _read(run: Run, only: str) -> _Read:
    labels: dict[str, str] = {}
    planned = frozenset(_planned(run.manifest))
    for cell in run.manifest.get("cells", []):
        labels.setdefault(
            cell["cell"], str(cell.get("label", cell["cell"]))
        )  # several grids may hold it; the first names it
    records: dict[str, list[Record]] = {}
    for stored in run.trials:
        labels.setdefault(stored.record.cell, stored.record.label)
        records.setdefault(stored.record.cell, []).append(stored.record)
    labels = {key: label for key, label in labels.items() if fnmatchcase(label, only)}
    if not labels:
        raise ValueError(f"{run.folder}: no cell's label matches {only!r}")
    gaps = [f"a record cannot be read: {problem}" for problem in run.problems]
    gaps += [f"no record of {label}, seed {seed}" for cell, label, seed in missing(run) if cell in labels]
    gaps += [
        f"{record.label}, seed {record.seed} was interrupted"
        for key in labels
        for record in records.get(key, [])
        if record.status == "interrupted"
    ]
    environments = sorted({_plain(record.environment) for found in records.values() for record in found})
    commits = sorted({str(record.environment.get("git_commit") or "") for one in records.values() for record in one})
    side = Side(
        name=_name(run),
        folder=str(run.folder),
        commit=", ".join(commit for commit in commits if commit) or "unknown",
        environments=tuple(environments),
        trials=len(run.trials),
        gaps=tuple(gaps),
    )
    lost = {record.cell for record in failed(run)}
    shrunk = frozenset(
        cell for cell, found in records.items() if cell not in lost and all(one.status != "ok" for one in found)
    )
    return _Read(side, labels, records, _values(run), planned or frozenset(labels), shrunk)


def _tuned_alike(base: _Read, head: _Read) -> dict[str, str]:
    """{cell of head: cell of base} where a search chose another value: each is compared at its own best."""
    names = {label: cell for cell, label in head.labels.items() if cell not in base.labels}
    return {
        names[label]: cell
        for cell, label in base.labels.items()
        if label in names and _retuned(base.records.get(cell, []), head.records.get(names[label], []))
    }


def _under(keys: Mapping[str, str], side: _Read) -> _Read:
    """The side with these cells under other keys."""
    return replace(
        side,
        labels={keys.get(cell, cell): label for cell, label in side.labels.items()},
        records={keys.get(cell, cell): found for cell, found in side.records.items()},
        measured={(keys.get(key[0], key[0]), key[1], key[2]): seeds for key, seeds in side.measured.items()},
        planned=frozenset(keys.get(cell, cell) for cell in side.planned),
        shrunk=frozenset(keys.get(cell, cell) for cell in side.shrunk),
    )


def _retuned(old: list[Record], new: list[Record]) -> str:
    """The field that a search chose, with both values, where two cells differ in nothing else; otherwise empty."""
    if not (old and new and old[0].tuning and new[0].tuning):
        return ""
    differ = _settings(old[0], new[0])
    return differ[0] if len(differ) == 1 and differ[0].startswith(f"{old[0].tuning.get('field')}:") else ""


def _settings(old: Record, new: Record) -> list[str]:
    """The settings of a cell in which two records differ, with both values."""
    found = _differences(old.spec, new.spec)
    return [one for one in found if one.split(":")[0] not in _ASIDE and not one.startswith(("eval.", "placement."))]


def _values(run: Run) -> dict[Key, Seeds]:
    """Each metric's value by seed, of the trials that ended well; repeated seeds are averaged."""
    frame = trials(run.trials)
    frame = frame[(frame["status"] == "ok") & (frame["split"] == "val")]
    frame = frame.assign(
        images_per_second=frame["images_per_second"].where(frame["throughput_comparable"].fillna(True))
    )
    found: dict[Key, Seeds] = {}
    names = [name for name in rules.METRICS if name in frame]
    means = frame.groupby(["cell", "view", "seed"])[names].mean()
    for name in names:
        known = means[name].dropna()
        for (cell, view, seed), value in zip(known.index.tolist(), known.tolist(), strict=True):
            if name in VIEW_METRICS or view == "default":
                found.setdefault((cell, view, name), {})[int(seed)] = float(value)
    return found


def _trial_rows(cell: str, base: _Read, head: _Read) -> Iterable[ComparisonRow]:
    """How the trials of a cell ended, where that changed."""
    label = base.labels[cell]
    if cell not in head.labels:
        owed = cell in base.planned
        told = f"head has no such cell{_namesake(cell, base, head)}" if owed else "not planned: base shrank it to fit"
        yield ComparisonRow(cell, label, "", TRIALS, "missing" if owed else "not comparable", told)
        return
    failed = [
        [record for record in side.records.get(cell, []) if record.status not in ("ok", "interrupted")]
        for side in (base, head)
    ]
    totals = [len(side.records.get(cell, [])) for side in (base, head)]
    shares = [len(one) / total if total else 0.0 for one, total in zip(failed, totals, strict=True)]
    told = "; ".join(
        f"{name} {len(one)} of {total} failed{_kinds(one)}"
        for name, one, total in zip(("base", "head"), failed, totals, strict=True)
    )
    ok = [total - len(one) for one, total in zip(failed, totals, strict=True)]
    verdict: Verdict = "not comparable"
    if not totals[1] and totals[0]:
        verdict, told = "missing", "head has no record of this cell"
    elif shares[0] != shares[1]:
        verdict = "newly failing" if shares[1] > shares[0] else "not comparable" if shares[1] else "fixed"
    elif not shares[0]:
        return
    yield ComparisonRow(cell, label, "", TRIALS, verdict, told, ok[0], ok[1], (totals[0], totals[1]))


def _kinds(failed: list[Record]) -> str:
    kinds = sorted({record.status for record in failed})
    return f" ({', '.join(kinds)})" if kinds else ""


def _metric_rows(cells: list[str], base: _Read, head: _Read, margins: Margins) -> list[ComparisonRow]:
    """Every metric of the margins in every view of these cells: why it cannot be judged, or its verdict."""
    rows, pairs = [], {}
    for cell in cells:
        for name in margins.metrics:
            views = dict.fromkeys([*base.views(cell), *head.views(cell)]) if name in VIEW_METRICS else ["default"]
            for view in views:
                if row := _unjudged(cell, view, name, base, head, margins.metrics[name].gate):
                    rows.append(row)
                elif base.seeds(cell, view, name) and head.seeds(cell, view, name):
                    pairs[cell, view, name] = (base.seeds(cell, view, name), head.seeds(cell, view, name))
    for gate in (True, False):
        guarded = {key: pair for key, pair in pairs.items() if margins.metrics[key[2]].gate == gate}
        rows += _judged(guarded, base, head, margins)
    return rows


def _unjudged(cell: str, view: str, name: str, base: _Read, head: _Read, gate: bool) -> ComparisonRow | None:
    """A row that says why this metric cannot be judged; None when it can, or when nobody measured it."""
    label, old, new = base.labels[cell], base.seeds(cell, view, name), head.seeds(cell, view, name)
    seeds = (len(old), len(new))
    reason = _other_scores(cell, base, head) if name in _SCORES else _other_machine(cell, base, head)
    if name == "images_per_second":
        reason = reason or _unsettled(cell, base, head)
    if reason and (old or new or name == "images_per_second"):
        return ComparisonRow(cell, label, view, name, "not comparable", reason, seeds=seeds, gate=gate)
    if old and not new and any(record.status == "ok" for record in head.records.get(cell, [])):
        return ComparisonRow(
            cell, label, view, name, "missing", "base measured it, head did not", seeds=seeds, gate=gate
        )
    if new and not old and any(record.status == "ok" for record in base.records.get(cell, [])):
        return ComparisonRow(
            cell, label, view, name, "not comparable", "base did not measure it", seeds=seeds, gate=gate
        )
    return None


def _unjudged_cells(rows: Sequence[ComparisonRow], base: _Read, head: _Read, margins: Margins) -> Iterable[str]:
    """A line for each planned cell, and each view of one, that neither a verdict on a guarded score nor how its trials
    ended decides: what failed on both sides alike is no regression, and no proof that head is as good."""
    guarded = [name for name, metric in margins.metrics.items() if metric.gate]
    guarded = [name for name in guarded if name in _SCORES] or guarded
    judged = {
        row.cell
        for row in rows
        if row.verdict in (*FAILING, "fixed") or (row.metric in guarded and not math.isnan(row.change))
    }
    for cell, label in {**head.labels, **base.labels}.items():
        sides = [side for side in (base, head) if cell in side.labels]
        if cell in judged or not any(cell in side.planned for side in sides):
            continue
        if sides == [base] or all(cell in side.shrunk for side in sides):
            continue  # only base has it, which a row says; or its smaller cell stands for it
        measured = [side for side in sides if any(side.seeds(cell, "default", name) for name in guarded)]
        if measured == [head]:
            continue  # more than base has
        where = "in head" if sides == [head] else "on either side"
        if measured:
            why = next((row.reason for row in rows if row.cell == cell and row.metric in guarded and row.reason), "")
            yield f"{label}: {' and '.join(guarded)} could not be compared{f': {why}' if why else ''}"
        elif any(record.status == "ok" for side in sides for record in side.records.get(cell, [])):
            yield f"{label}: no trial measured {' and '.join(guarded)} {where}"
        else:
            yield f"{label}: no trial ended well {where}"
    for cell in (cell for cell in head.labels if cell in judged):
        for view in sorted(head.owed(cell) | base.owed(cell)):
            if not any(side.seeds(cell, view, name) for side in (base, head) for name in guarded):
                yield f"{head.labels[cell]}, view {view}: measured by no trial on either side"


def _other_scores(cell: str, base: _Read, head: _Read) -> str:
    """Why two scores of a cell are of different things: another rule of scoring, or the data set changed under the same
    name."""
    versions = {one.scoring for side in (base, head) for one in side.records.get(cell, []) if one.views}
    if len(versions) > 1:
        return f"scores of version {' and '.join(map(str, sorted(versions)))}"
    for what in ("version", "class_names", "images"):
        found = [
            {_plain(getattr(record.dataset, what)) for record in side.records.get(cell, []) if record.dataset}
            for side in (base, head)
        ]
        if all(found) and found[0] != found[1]:
            return f"the data set's {what} differs: {_told(found[0])} / {_told(found[1])}"
    kept = [
        {one.spec["eval"]["keep_checkpoint"] == "best" for one in side.records.get(cell, []) if _tells_weights(one)}
        for side in (base, head)
    ]
    if all(kept) and kept[0] != kept[1]:  # "last" and "none" score the same weights
        return "eval.keep_checkpoint differs: the weights of the best epoch / of the last"
    return ""


def _tells_weights(record: Record) -> bool:
    return record.status == "ok" and "keep_checkpoint" in record.spec.get("eval", {})


def _other_machine(cell: str, base: _Read, head: _Read) -> str:
    """In what the machines or the ways to run differ; what a side's records do not say is no difference."""
    for what in _MACHINE:
        found = [
            {
                _plain(record.environment[what])
                for record in side.records.get(cell, [])
                if record.status == "ok" and what in record.environment
            }
            for side in (base, head)
        ]
        if all(found) and found[0] != found[1]:
            return f"{what} differs: {_told(found[0])} / {_told(found[1])}"
    return _other_settings(cell, base, head, _HOW_RUN)


def _other_settings(cell: str, base: _Read, head: _Read, paths: Iterable[str]) -> str:
    """Which of these fields of the specification differ; one that a side's records do not have says nothing."""
    for section, name in (path.split(".") for path in paths):
        found = [
            {
                _plain(record.spec[section][name])
                for record in side.records.get(cell, [])
                if record.status == "ok" and name in record.spec.get(section, {})
            }
            for side in (base, head)
        ]
        if all(found) and found[0] != found[1]:
            return f"{section}.{name} differs: {_told(found[0])} / {_told(found[1])}"
    return ""


def _unsettled(cell: str, base: _Read, head: _Read) -> str:
    """Why one side's throughput means nothing, when none of its trials has one that can be compared."""
    for name, side in (("base", base), ("head", head)):
        found = [record.throughput for record in side.records.get(cell, []) if record.throughput]
        if found and not any(one.comparable and one.images_per_second for one in found):
            return f"{name}: {found[0].reason or 'no throughput'}"
    return ""


def _told(values: set[str]) -> str:
    text = ", ".join(sorted(values))
    return text if len(text) <= 80 else text[:79] + "…"


def _remarks(key: Key, base: _Read, head: _Read) -> str:
    """What else to know of a row: another value that a search chose, and trials that have no value of this metric."""
    told = [_retuned(*(side.records.get(key[0], []) for side in (base, head)))]
    for name, side in (("base", base), ("head", head)):
        ended = {record.seed for record in side.records.get(key[0], []) if record.status == "ok"}
        if lost := len(ended - set(side.seeds(*key))):
            told.append(f"{lost} of {name}'s {len(ended)} seeds without a value")
    return ", ".join(filter(None, told))


def _judged(
    pairs: Mapping[Key, tuple[Seeds, Seeds]], base: _Read, head: _Read, margins: Margins
) -> list[ComparisonRow]:
    found: dict[Key, Change] = {}
    for stratum in sorted({_stratum(key, base) for key in pairs}):
        found |= changes(
            {
                key: (_scaled(old, margins.metrics[key[2]]), _scaled(new, margins.metrics[key[2]]))
                for key, (old, new) in pairs.items()
                if _stratum(key, base) == stratum
            }
        )
    means = {
        key: (_mean(old, margins.metrics[key[2]]), _mean(new, margins.metrics[key[2]]))
        for key, (old, new) in pairs.items()
    }
    limits = {
        (cell, view, name): _limit(
            margins.of(name, base.labels[cell]), margins.metrics[name], means[cell, view, name][0]
        )
        for cell, view, name in found
    }
    decisions = decide(found, limits, alpha=margins.alpha, suspects=margins.suspects, power=margins.power)
    return [
        _row(
            key,
            base.labels[key[0]],
            found[key],
            decisions[key],
            means[key],
            limits[key],
            margins.metrics[key[2]],
            _remarks(key, base, head),
        )
        for key in found
    ]


def _stratum(key: Key, side: _Read) -> tuple[str, ...]:
    """Cells that may share one noise: same metric, view, data set and length of training."""
    cell, view, metric = key
    spec = next((record.spec for record in side.records.get(cell, [])), {})
    train, data = spec.get("train", {}), spec.get("data", {})
    steps = train.get("epochs", 0) * train.get("steps_per_epoch", 0) * train.get("batch_size", 0)
    return metric, view, str(data.get("name")), str(steps)


def _scaled(seeds: Seeds, metric: Metric) -> Seeds:
    """Values on the scale of the test, where more is better."""
    if metric.scale == "difference":
        return {seed: metric.sign * value for seed, value in seeds.items()}
    return {seed: metric.sign * math.log(value) for seed, value in seeds.items() if value > 0}


def _mean(seeds: Seeds, metric: Metric) -> float:
    values = np.array([*seeds.values()], float)
    return float(values.mean() if metric.scale == "difference" else np.exp(np.log(values[values > 0]).mean()))


def _limit(margin: float, metric: Metric, base: float) -> float:
    """The margin on the scale of the test."""
    if metric.scale == "difference":
        return margin
    share = max(margin, metric.floor / base)
    return -math.log1p(-min(share, 1 - 1e-9)) if metric.better == "higher" else math.log1p(share)


def _row(
    key: Key,
    label: str,
    one: Change,
    decision: Decision,
    means: tuple[float, float],
    limit: float,
    metric: Metric,
    remarks: str,
) -> ComparisonRow:
    cell, view, name = key

    def shown(value: float) -> float:
        return metric.sign * value if metric.scale == "difference" else math.expm1(metric.sign * value)

    low, high = sorted((shown(one.low), shown(one.high)))
    more, reason = decision.more_seeds, ""
    if decision.verdict == "inconclusive":
        reason = f"needs {more} more seed{'s' if more > 1 else ''}" if more else "no noise estimate: 2 seeds at least"
    reason = "; ".join(filter(None, [reason, remarks]))
    return ComparisonRow(
        cell, label, view, name, decision.verdict, reason, means[0], means[1], one.seeds, shown(one.estimate), low,
        high, decision.p, abs(shown(-limit)), abs(shown(-decision.smallest)), more, decision.suspect, metric.gate,
        metric.scale, one.method,
    )  # fmt: skip


def _namesake(cell: str, base: _Read, head: _Read) -> str:
    """What the cell of the same label differs in, when there is one."""
    label = base.labels[cell]
    other = next((key for key, name in head.labels.items() if name == label), None)
    if other is None or not base.records.get(cell) or not head.records.get(other):
        return ""
    differ = _settings(base.records[cell][0], head.records[other][0])
    return f"; its {label} is another setting ({', '.join(differ[:3]) or 'same fields, other hash'})"


def _differences(first: Any, second: Any, path: str = "") -> list[str]:
    """Dotted paths at which two nested objects differ, with both values."""
    if isinstance(first, dict) and isinstance(second, dict):
        names = dict.fromkeys([*first, *second])
        return [
            line
            for name in names
            for line in _differences(first.get(name), second.get(name), f"{path}.{name}" if path else str(name))
        ]
    return [] if first == second else [f"{path}: {_plain(first)} / {_plain(second)}"]


def _nothing_shared(base: _Read, head: _Read) -> str:
    text = f"{base.side.folder} and {head.side.folder} share no cell"
    for cell in base.labels:
        if namesake := _namesake(cell, base, head):
            return f"{text}{namesake}"
    return f"{text}: {', '.join(list(base.labels.values())[:3])} … / {', '.join(list(head.labels.values())[:3])} …"


def _environment_differences(base: _Read, head: _Read) -> dict[str, tuple[str, str]]:
    both = [[record.environment for found in side.records.values() for record in found] for side in (base, head)]
    names = sorted({name for side in both for one in side for name in one})
    found = {}
    for name in names:
        old, new = ({_plain(one.get(name)) for one in side} for side in both)
        if old != new:
            found[name] = (_told(old), _told(new))
    return found


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
