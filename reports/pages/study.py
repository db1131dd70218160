"""The page of a study: a table of its claims, and per part the tables of its cells, views and classes."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

import results
from reports.claims import METRICS, RARE, Answer, Claim, between_views, by_seed, ended_well, values
from reports.document import Block, Bold, Field, Paragraph, Table, Text
from reports.format import (
    DASH,
    estimate,
    number,
    p_value,
    percent,
    percent_range,
    plus_minus,
    points,
    points_range,
)
from reports.pages.run import surely_not_best, throughput
from reports.summary import ALPHA, POWER, Summary, summarize
from results.statistics import Difference, Interval, intervals, rank

FEWEST = 3  # least number of seeds for a claim


def claims_table(found: Sequence[Answer]) -> Table:
    """Return a row per claim: the difference in points with its 95 % interval, and its conclusion in words."""
    rows: list[list[Field | Text]] = [
        [
            one.claim.ask,
            one.claim.part,
            _compared(one.claim),
            points(one.found.estimate),
            points_range(one.found.low, one.found.high),
            p_value(one.p),
            str(one.seeds),
            Field(_in_words(one)),
        ]
        for one in found
    ]
    head = ["question", "part", "compared", "points", "95 % interval", "p (Holm)", "seeds", "answer"]
    return Table(head, rows, left=frozenset(["question", "part", "compared", "answer"]))


def _compared(claim: Claim) -> str:
    first, second = claim.views or (claim.first, claim.second)
    of = f", {' and '.join(claim.cells) if len(claim.cells) < 3 else f'mean of {len(claim.cells)} cells'}"
    return f"{METRICS[claim.metric]}: {second} less {first}{of if claim.cells else ''}"


def _in_words(one: Answer) -> Text:
    if math.isnan(one.found.estimate):
        return "not measured"
    if one.seeds < FEWEST:
        return f"fewer than {FEWEST} seeds"
    if math.isnan(one.p):
        return "no noise estimate"
    if one.p <= ALPHA:
        return Bold("better" if one.found.estimate > 0 else "worse")
    # How large a difference may still be separates "not detected" from "absent".
    return f"no significant difference; at most {percent(max(-one.found.low, one.found.high))} points"


def part(run: results.Run, rare: Sequence[str] = (), classes: bool = False) -> list[Block]:
    """Return one part: its cells, which are surely not the best, views, the IoU per class on request, where it ran."""
    summary = summarize(run)
    blocks: list[Block] = [_cells(run, summary, rare), *surely_not_best(summary), _limits(summary, rare)]
    blocks += throughput(summary)
    if summary.views:
        blocks.append(_views(summary))
    if classes:
        blocks.append(_classes(run, summary))
    return [*blocks, _about(run)]


def _limits(summary: Summary, rare: Sequence[str]) -> Paragraph:
    """Return what the table cannot show, and which classes it calls rare."""
    notes = []
    if summary.ranking.p and not math.isnan(summary.smallest):
        detected = f"A true difference of {percent(summary.smallest)} points of mIoU is detected with probability"
        notes.append(f"{detected} {percent(POWER, 0)} %, a smaller one less often.")
    if rare:
        notes.append(f"Rare: {', '.join(rare)}.")
    return Paragraph(" ".join(notes))


def _about(run: results.Run) -> Paragraph:
    """Return the code and the machines of the part's numbers."""
    counts = Counter(
        tuple(str(one.record.environment.get(name, "unknown")) for name in ("code", "tensorflow", "cores", "processor"))
        for one in run.trials
    )
    machines = "; ".join(
        f"{results.counted(n, 'trial')} with code {code}, TensorFlow {version}, {cores} cores of {processor}"
        for (code, version, cores, processor), n in counts.most_common()
    )
    return Paragraph(f"{machines}.")


def _cells(run: results.Run, summary: Summary, rare: Sequence[str]) -> Table:
    boundary = intervals(values(run, "boundary_iou"))
    rares = values(run, RARE, rare=rare) if rare else {}
    ranked, of_rare = rank(rares), intervals(rares)
    head = ["cell", "seeds", "mIoU, %", "95 % interval", "group", "boundary IoU, %"]
    head += ["IoU of rare classes, %", "group, rare"] if rare else []
    head += ["images/s"] if summary.timed else []
    rows: list[list[Field | Text]] = []
    for cell in summary.cells:
        one, label = cell.interval, cell.label
        seeds = str(one.n) if one.n == cell.planned else f"{one.n} of {cell.planned}"
        row: list[Field | Text] = [label, seeds, percent(one.mean, 2), percent_range(one.low, one.high)]
        row += [summary.ranking.groups.get(cell.key, DASH), _estimate(boundary.get(label))]
        if rare:
            row += [_estimate(of_rare.get(label)), ranked.groups.get(label, DASH)]
        row += [number(cell.images_per_second, 1)] if summary.timed else []
        rows.append(row)
    return Table(head, rows, left=frozenset(["cell", "group", "group, rare"]))


def _views(summary: Summary) -> Table:
    rows: list[list[Field | Text]] = [
        [one.label, one.name, percent(one.interval.mean, 2), percent_range(one.interval.low, one.interval.high),
         percent(one.boundary_iou, 2), number(one.images_per_second, 1)]
        for one in summary.views
    ]  # fmt: skip
    head = ["cell", "view", "mIoU, %", "95 % interval", "boundary IoU, %", "images/s of evaluation"]
    return Table(head, rows, left=frozenset(["cell", "view"]))


def _classes(run: results.Run, summary: Summary) -> Table:
    """Return the IoU per class: per cell as trained, and the mean change over the cells per view."""
    frame = results.classes(ended_well(run))
    frame = frame[frame["split"] == "val"]
    pixels = frame.groupby("class_name")["pixels"].max().astype("int64")
    views = [view for view in dict.fromkeys(frame["view"]) if view != "default"]
    head = ["class, most frequent first", *(cell.label for cell in summary.cells)]
    head += [f"{view} less default, points" for view in views]
    rows: list[list[Field | Text]] = []
    for name in pixels[pixels > 0].sort_values(kind="stable", ascending=False).index:
        here = frame[frame["class_name"] == name]
        seen = {view: by_seed(here[here["view"] == view], "iou") for view in ["default", *views]}
        row: list[Field | Text] = [str(name)]
        row += [_mean(seen["default"].get(cell.label)) for cell in summary.cells]
        for view in views:
            one = between_views(seen["default"], seen[view])
            row.append(_change(one))
        rows.append(row)
    return Table(head, rows, left=frozenset(head[:1]))


def _mean(seeds: Mapping[int, float] | None) -> str:
    return percent(float(np.mean([*seeds.values()])), 2) if seeds else DASH


def _estimate(interval: Interval | None) -> str:
    return DASH if interval is None else estimate(interval, 2)


def _change(found: Difference) -> str:
    """Return a change in points with the half width of its interval; a dash without an interval."""
    half = (found.high - found.low) / 2
    return DASH if math.isnan(half) else f"{points(found.estimate)} {plus_minus(half, 2)}"
