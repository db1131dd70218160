"""The verdict of a comparison in words: whether head is blessed, why not, and which losses its seeds detect."""

import math

import results
from reports.document import Block, Bold, Inline, Items, Paragraph
from reports.format import amount, change, change_interval, metric_value, number, percent, points, points_range
from reports.metrics import name
from results import TRIALS, counted
from results import ComparisonRow as Row


def reasons(comparison: results.Comparison) -> list[str]:
    """Return why head is not blessed, one line per reason."""
    lines = [] if comparison.allow_incomplete else [f"incomplete: {gap}" for gap in comparison.gaps]
    if not comparison.measured:
        lines.append("nothing measured: a guarded score, or every guarded metric, could not be compared")
    unsure = comparison.inconclusive if comparison.require_conclusive else ()
    return lines + [sentence(row) for row in (*comparison.failing, *unsure)]


def sentence(row: Row) -> str:
    """Describe one row in words."""
    where = f"{row.label} ({row.view})" if row.view not in ("", "default") else row.label
    if math.isnan(row.change):
        return f"{row.verdict}: {where}, {name(row.metric)}: {row.reason}"
    base, head = metric_value(row.metric, row.base), metric_value(row.metric, row.head)
    return (
        f"{row.verdict}: {where}, {name(row.metric)} {base} → {head} "
        f"({change(row, row.change)}, 90 % interval {change_interval(row)}, margin {amount(row, row.margin)})"
    )


def verdict(comparison: results.Comparison) -> list[Block]:
    """Return in words the verdict, the headline over the grid, and which losses its seeds detect."""
    blocks: list[Block] = [Paragraph(_blessing(comparison), "good" if comparison.outcome == "ok" else "bad")]
    if failing := comparison.failing:
        blocks.append(Items([sentence(row) for row in failing[:20]]))
    blocks += [*_headline(comparison), *_smallest_losses(comparison), *_suspects(comparison)]
    return [*blocks, *_second_look(comparison)]


def _blessing(comparison: results.Comparison) -> list[Inline]:
    """Return whether head is blessed, and the number of rows per verdict."""
    counts = ", ".join(f"{n} {verdict}" for verdict, n in comparison.count().items())
    cells = counted(len({row.cell for row in comparison.rows if row.metric != TRIALS}), "cell")
    if comparison.outcome == "incomplete" and comparison.gaps and not comparison.allow_incomplete:
        gaps = counted(len(comparison.gaps), "gap")
        return [Bold("Not blessed: incomplete."), f" {gaps}, listed below. Of the rest: {counts}."]
    if comparison.outcome == "incomplete":
        return [
            Bold("Not blessed: nothing measured."),
            " A guarded score, or every guarded metric, could not be compared in any cell; the reasons are below.",
        ]
    if comparison.failing:
        return [Bold("Not blessed."), f" {counts} over {cells}."]
    if comparison.outcome == "inconclusive":
        return [Bold("Not blessed: inconclusive."), f" More seeds are needed: {counts} over {cells}."]
    allowed = [f" Gaps were allowed: {len(comparison.gaps)}, listed below."] if comparison.gaps else []
    compared = counted(sum(comparison.count().values()), "comparison")
    return [Bold("Blessed."), f" No regression in {cells} ({compared}: {counts}).", *allowed]


def _headline(comparison: results.Comparison) -> list[Block]:
    """Return the change of mIoU over the whole grid."""
    line = comparison.headline
    if math.isnan(line.estimate):
        return []
    bounds = "" if math.isnan(line.low) else f" (90 % interval {points_range(line.low, line.high)})"
    return [
        Paragraph(
            f"Over the grid, validation mIoU changed by {points(line.estimate)} points{bounds}; a trial of head "
            f"beats one of base with probability {number(comparison.improvement, 2)}."
        )
    ]


def _smallest_losses(comparison: results.Comparison) -> list[Block]:
    """Return the loss per metric that these seeds detect with the power of the margins; smaller ones less often."""
    seen = [seen for metric in comparison.margins.metrics if (seen := _smallest_loss(comparison, metric))]
    if not seen:
        return []
    power = f"{percent(comparison.margins.power, 0)} %"
    less = "smaller ones less often"
    return [Paragraph(f"True losses that these seeds detect with probability {power}, {less}: {'; '.join(seen)}.")]


def _smallest_loss(comparison: results.Comparison, metric: str) -> str:
    rows = [
        row for row in comparison.rows if row.gate and row.metric == metric and row.method not in ("none", "identical")
    ]
    known = [row for row in rows if not math.isnan(row.smallest)]
    if not known:
        return ""
    middle = sorted(known, key=lambda row: row.smallest)[len(known) // 2]
    return f"{amount(middle, middle.smallest)} of {name(metric)} in the median cell"


def _suspects(comparison: results.Comparison) -> list[Block]:
    """Return the guarded rows that look worse, but not significantly enough to fail."""
    suspects = [row for row in comparison.rows if row.suspect and row.gate]
    if not suspects:
        return []
    names = "; ".join(f"{row.label}, {name(row.metric)} {change(row, row.change)}" for row in suspects[:10])
    rate = percent(comparison.margins.suspects, 0)
    note: list[Inline] = [
        Bold("Suspects"),
        f" (false discovery rate {rate} %, not enough to fail): {names}.",
    ]
    return [Paragraph(note, "unsure")]


def _second_look(comparison: results.Comparison) -> list[Block]:
    """Return what it costs to follow the advice "needs k more seeds" and to compare again."""
    if not any(row.gate and row.more_seeds for row in comparison.rows):
        return []
    return [
        Paragraph(
            "Comparing again after more seeds is no 5 % test any more: repeated until nothing is inconclusive, it "
            "calls 7 to 29 % of unchanged releases regressed. `bench.run --against BASE --until decided` looks again "
            "and keeps its promise."
        )
    ]


def rules(comparison: results.Comparison) -> str:
    """Return the meaning of the verdicts."""
    margins = comparison.margins
    return (
        "Regressed: worse by more than the noise and by the margin or more; ok: surely not worse by the margin. Holm "
        f"keeps the chance of any false alarm below {percent(margins.alpha, 0)} %. An interval leaves 5 % on each "
        "side, because each of these questions has one side; reports, which ask in both directions, show 95 % "
        f"intervals. “Could see” is the true loss that the gate detects with probability {percent(margins.power, 0)} "
        "%; it detects smaller ones less often."
    )
