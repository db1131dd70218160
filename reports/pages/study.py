"""What several runs of a study say together: a table a part, and its claims with their intervals."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

import results
from reports.document import Block, Bold, Field, Paragraph, Table, Text
from reports.figures.theme import INK, SOFT, THEME, style
from reports.pages.run import chance, number, throughput
from reports.summary import ALPHA, Summary, summarize
from results.statistics import Difference, Interval, between, holm, intervals, pool, probability_best, rank

LEVEL = 0.95
FEWEST = 3  # seeds that a claim may rest on
RARE = "rare_iou"
METRICS = {"miou": "mIoU", "boundary_iou": "boundary IoU", RARE: "IoU of the rare classes"}


@dataclass(frozen=True)
class Claim:
    """A question that a part of the study answers by a difference of means, `second` less `first`.

    Attributes:
        ask: the question, in words.
        part: of the study.
        first, second: labels of two cells; or
        views: two views of the same weights, over all cells of the part that have both, or over
        cells: these.
        metric: one of METRICS.

    Raises:
        ValueError: neither two cells nor two views, or both.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}  # read from YAML by bench.study

    ask: str
    part: str
    first: str = ""
    second: str = ""
    views: tuple[str, str] | None = None
    cells: tuple[str, ...] = ()
    metric: Literal["miou", "boundary_iou", "rare_iou"] = "miou"

    def __post_init__(self) -> None:
        if bool(self.views) == bool(self.first or self.second) or bool(self.first) != bool(self.second):
            raise ValueError(f"claim {self.ask!r}: name either first and second or views")
        if self.cells and not self.views:
            raise ValueError(f"claim {self.ask!r}: cells go with views")


@dataclass(frozen=True)
class Answer:
    """`found` is in fractions; `p` its p-value after Holm over all claims; `seeds` of the cell that has the fewest."""

    claim: Claim
    found: Difference
    p: float
    seeds: int


def values(
    run: results.Run, metric: str, view: str = "default", rare: Sequence[str] = ()
) -> dict[str, dict[int, float]]:
    """{label: {seed: value}} on the validation split, of the trials that ended well.

    Args:
        metric: a column of the table, or RARE: the mean IoU of the classes named in `rare`.

    Raises:
        ValueError: a class of `rare` is none of the run's.
    """
    frame = _rare_iou(run, rare) if metric == RARE else results.trials(_ok(run))
    return _by_seed(frame[frame["view"] == view], metric)


def _ok(run: results.Run) -> list[results.Stored]:
    return [one for one in run.trials if one.record.status == "ok"]


def _by_seed(frame: pd.DataFrame, metric: str) -> dict[str, dict[int, float]]:
    frame = frame[(frame["split"] == "val") & frame[metric].notna()]
    found: dict[str, dict[int, float]] = {}
    for label, seed, value in frame[["label", "seed", metric]].to_numpy().tolist():
        found.setdefault(label, {})[int(seed)] = float(value)
    return found


def _rare_iou(run: results.Run, rare: Sequence[str]) -> pd.DataFrame:
    frame = results.classes(_ok(run))
    if len(frame) and (strange := set(rare) - set(frame["class_name"])):
        raise ValueError(f"{run.folder}: no class {sorted(strange)[0]!r} to be called rare")
    frame = frame[frame["class_name"].isin(rare)]
    keys = ["label", "seed", "view", "split"]
    return frame.groupby(keys, as_index=False)["iou"].mean().rename(columns={"iou": RARE})  # type: ignore[call-overload]


def answers(
    runs: Mapping[str, results.Run], claims: Sequence[Claim], rare: Mapping[str, Sequence[str]]
) -> list[Answer]:
    """The claims whose part was run, each with its interval; Holm's correction is over those.

    Args:
        runs: by part.
        claims: in the order of the page.
        rare: the rare classes of the parts that have some.
    """
    asked = [claim for claim in claims if claim.part in runs]
    found = [_answer(runs[claim.part], claim, rare.get(claim.part, ())) for claim in asked]
    adjusted = holm([one.p for one, _ in found])
    return [Answer(claim, one, float(p), n) for claim, (one, n), p in zip(asked, found, adjusted, strict=True)]


def _answer(run: results.Run, claim: Claim, rare: Sequence[str]) -> tuple[Difference, int]:
    if claim.views:
        first, second = (
            {label: of_seed for label, of_seed in values(run, claim.metric, view, rare).items()
             if label in (claim.cells or (label,))}
            for view in claim.views
        )  # fmt: skip
        lacking = set(claim.cells) - (set(first) & set(second))
        changes = [] if lacking else _changes(first, second)
        return _of_changes(changes), len(changes)
    cells = values(run, claim.metric, rare=rare)
    lists = {claim.first: [], claim.second: [], **_lists(cells)}
    seeds = min(len(lists[claim.first]), len(lists[claim.second]))
    return between(lists, claim.first, claim.second, rank(cells).pool, LEVEL), seeds


def between_views(first: Mapping[str, Mapping[int, float]], second: Mapping[str, Mapping[int, float]]) -> Difference:
    """Mean over cells of the change that another view makes to the same weights: a paired t-test.

    The units are the seeds, each with the mean of its changes over the cells: cells of a seed share data order and
    augmentation, so that their changes are no repetitions. Only seeds that all cells have count.
    """
    return _of_changes(_changes(first, second))


def _changes(first: Mapping[str, Mapping[int, float]], second: Mapping[str, Mapping[int, float]]) -> list[float]:
    """Of each seed that all cells of both views have, the mean change over the cells."""
    cells = [(seeds, second[label]) for label, seeds in first.items() if label in second]
    shared = set.intersection(*(set(a) & set(b) for a, b in cells)) if cells else set()
    return [float(np.mean([b[seed] - a[seed] for a, b in cells])) for seed in sorted(shared)]


def _of_changes(changes: Sequence[float]) -> Difference:
    nan, n = float("nan"), len(changes)
    estimate = float(np.mean(changes)) if n else nan
    if n < 2 or np.ptp(changes) == 0:
        return Difference(estimate, nan, nan, nan, nan, "none")
    error = float(np.std(changes, ddof=1)) / math.sqrt(n)
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
    p = float(2 * stats.t.sf(abs(estimate) / error, n - 1))
    return Difference(estimate, estimate - half, estimate + half, p, n - 1, "paired")


def claims_table(found: Sequence[Answer]) -> Table:
    """A row a claim: the difference in points with its 95 % interval, and in words what it allows to say."""
    rows: list[list[Field | Text]] = [
        [
            one.claim.ask,
            one.claim.part,
            _compared(one.claim),
            "–" if math.isnan(one.found.estimate) else f"{100 * one.found.estimate:+.2f}",
            "–" if math.isnan(one.found.low) else f"{100 * one.found.low:+.2f} to {100 * one.found.high:+.2f}",
            "–" if math.isnan(one.p) else "<0.001" if one.p < 0.001 else f"{one.p:.3f}",
            str(one.seeds),
            Field(_said(one)),
        ]
        for one in found
    ]
    head = ["question", "part", "compared", "points", "95 % interval", "p (Holm)", "seeds", "answer"]
    return Table(head, rows, left=frozenset(["question", "part", "compared", "answer"]))


def _compared(claim: Claim) -> str:
    first, second = claim.views or (claim.first, claim.second)
    of = f", {' and '.join(claim.cells) if len(claim.cells) < 3 else f'mean of {len(claim.cells)} cells'}"
    return f"{METRICS[claim.metric]}: {second} less {first}{of if claim.cells else ''}"


def _said(one: Answer) -> Text:
    if math.isnan(one.found.estimate):
        return "not measured"
    if one.seeds < FEWEST:
        return f"fewer than {FEWEST} seeds"
    if math.isnan(one.p):
        return "no noise estimate"
    if one.p <= ALPHA:
        return Bold("better" if one.found.estimate > 0 else "worse")
    # What was not seen is told apart from what is not there by how large it may still be.
    return f"not told apart; at most {100 * max(-one.found.low, one.found.high):.1f} apart"


def part(run: results.Run, rare: Sequence[str] = (), classes: bool = False) -> list[Block]:
    """One part: its cells from best to worst, its views, on request the IoU of each class, and where it was trained."""
    summary = summarize(run)
    made: list[Block] = [_cells(run, summary, rare), _limits(summary, rare), *throughput(summary)]
    if summary.views:
        made.append(_views(summary))
    if classes:
        made.append(_classes(run, summary))
    return [*made, _about(run)]


def _limits(summary: Summary, rare: Sequence[str]) -> Paragraph:
    """What the table cannot show, and what it calls rare."""
    told = []
    if summary.ranking.p and not math.isnan(summary.smallest):
        told.append(f"A true difference below {100 * summary.smallest:.1f} points of mIoU would probably not be seen.")
    if rare:
        told.append(f"Rare: {', '.join(rare)}.")
    return Paragraph(" ".join(told))


def _about(run: results.Run) -> Paragraph:
    """The code and the machine that the part's numbers come from."""
    made = Counter(
        tuple(str(one.record.environment.get(name, "unknown")) for name in ("code", "tensorflow", "cores", "processor"))
        for one in run.trials
    )
    told = "; ".join(
        f"{n} trials with code {code}, TensorFlow {version}, {cores} cores of {processor}"
        for (code, version, cores, processor), n in made.most_common()
    )
    return Paragraph(f"{told}.")


def _cells(run: results.Run, summary: Summary, rare: Sequence[str]) -> Table:
    boundary = intervals(values(run, "boundary_iou"))
    rares = values(run, RARE, rare=rare) if rare else {}
    ranked, of_rare = rank(rares), intervals(rares)
    shared = ranked.pool if ranked.method == "blocked" else pool(_lists(rares))
    best_rare = probability_best(of_rare, shared) if rares else {}
    head = ["cell", "seeds", "mIoU, %", "95 % interval", "P(best)", "group", "boundary IoU, %"]
    head += ["IoU of the rare, %", "P(best) of it", "group of it"] if rare else []
    head += ["images/s"] if summary.timed else []
    rows: list[list[Field | Text]] = []
    for cell in summary.cells:
        one, label = cell.interval, cell.label
        seeds = str(one.n) if one.n == cell.planned else f"{one.n} of {cell.planned}"
        row: list[Field | Text] = [label, seeds, _percent(one.mean), _range(one.low, one.high)]
        row += [chance(cell.chance if summary.ranking.p else math.nan)]
        row += [summary.ranking.groups.get(cell.key, "–"), _give_or_take(boundary.get(label))]
        if rare:
            row += [_give_or_take(of_rare.get(label)), chance(best_rare.get(label, math.nan))]
            row += [ranked.groups.get(label, "–")]
        row += [number(cell.images_per_second, 1)] if summary.timed else []
        rows.append(row)
    return Table(head, rows, left=frozenset(["cell", "group", "group of it"]))


def _views(summary: Summary) -> Table:
    rows: list[list[Field | Text]] = [
        [one.label, one.name, _percent(one.interval.mean), _range(one.interval.low, one.interval.high),
         _percent(one.boundary_iou), number(one.images_per_second, 1)]
        for one in summary.views
    ]  # fmt: skip
    head = ["cell", "view", "mIoU, %", "95 % interval", "boundary IoU, %", "images/s of evaluation"]
    return Table(head, rows, left=frozenset(["cell", "view"]))


def _classes(run: results.Run, summary: Summary) -> Table:
    """IoU of each class: of each cell as trained, and what each other view changes, mean over its cells."""
    frame = results.classes(_ok(run))
    frame = frame[frame["split"] == "val"]
    pixels = frame.groupby("class_name")["pixels"].max().astype("int64")
    views = [view for view in dict.fromkeys(frame["view"]) if view != "default"]
    head = ["class, most frequent first", *(cell.label for cell in summary.cells)]
    head += [f"{view} less default, points" for view in views]
    rows: list[list[Field | Text]] = []
    for name in pixels[pixels > 0].sort_values(kind="stable", ascending=False).index:
        here = frame[frame["class_name"] == name]
        seen = {view: _by_seed(here[here["view"] == view], "iou") for view in ["default", *views]}
        row: list[Field | Text] = [str(name)]
        row += [_mean(seen["default"].get(cell.label)) for cell in summary.cells]
        for view in views:
            one = between_views(seen["default"], seen[view])
            row.append("–" if math.isnan(one.low) else f"{100 * one.estimate:+.2f} ± {50 * (one.high - one.low):.2f}")
        rows.append(row)
    return Table(head, rows, left=frozenset(head[:1]))


def figure(runs: Mapping[str, results.Run], reference: str) -> Figure | None:
    """mIoU of each loss less that of the reference, with 95 % intervals: a panel a part, rows by their mean order."""
    found = {name: values(run, "miou") for name, run in runs.items()}
    found = {name: cells for name, cells in found.items() if reference in cells}
    if not found:
        return None
    labels = sorted(
        {label for cells in found.values() for label in cells} - {reference},
        key=lambda label: (
            -float(np.mean([_gap(cells, reference, label) for cells in found.values() if label in cells]))
        ),
    )
    with plt.rc_context(THEME):
        size = (2.4 + 3.0 * len(found), 1.4 + 0.42 * len(labels))
        drawn, panels = plt.subplots(1, len(found), figsize=size, sharey=True, squeeze=False)
        for axes, (name, cells) in zip(panels[0], found.items(), strict=True):
            _panel(axes, cells, labels, reference)
            axes.set_title(name, loc="left")
        panels[0][0].set_yticks(range(len(labels)), labels)
        panels[0][0].set_ylim(len(labels) - 0.5, -0.5)
        drawn.supxlabel(f"mIoU less that of {reference}, points, with 95 % intervals", fontsize=13)
        drawn.tight_layout()
    return drawn


def _panel(axes: plt.Axes, cells: Mapping[str, Mapping[int, float]], labels: Sequence[str], reference: str) -> None:
    shared = rank(cells).pool
    axes.axvline(0, color=INK, lw=1.2)
    axes.axvspan(-0.5, 0.5, color=SOFT, alpha=0.18, lw=0)
    axes.grid(axis="x", color=SOFT, alpha=0.25)
    for row, label in enumerate(labels):
        if label not in cells:
            continue
        one = between(_lists(cells), reference, label, shared, LEVEL)
        look = style(row)
        if not math.isnan(one.low):
            axes.plot([100 * one.low, 100 * one.high], [row, row], color=look["color"], lw=2.4)
        axes.plot([100 * one.estimate], [row], ms=8, lw=0, **look)


def _gap(cells: Mapping[str, Mapping[int, float]], reference: str, label: str) -> float:
    return float(np.mean([*cells[label].values()]) - np.mean([*cells[reference].values()]))


def _lists(cells: Mapping[str, Mapping[int, float]]) -> dict[str, list[float]]:
    return {label: [*seeds.values()] for label, seeds in cells.items()}


def _mean(seeds: Mapping[int, float] | None) -> str:
    return _percent(float(np.mean([*seeds.values()]))) if seeds else "–"


def _give_or_take(one: Interval | None) -> str:
    if one is None or math.isnan(one.low):
        return "–" if one is None else _percent(one.mean)
    return f"{_percent(one.mean)} ± {100 * (one.high - one.mean):.2f}"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.2f}"


def _range(low: float, high: float) -> str:
    return "–" if math.isnan(low) else f"{100 * low:.2f} to {100 * high:.2f}"
