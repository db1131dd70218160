"""The verdict on a run in words, and the gaps of the run."""

import math
from collections import Counter

import results
from reports.advice import judged_views
from reports.document import Block, Bold, Inline, Items, Paragraph, Text, inlines
from reports.format import estimate, number, percent
from reports.pages.phrases import listed, no_spread, ok_first
from reports.pages.run import deciding
from reports.pages.run.advising import advice, carries, of_view
from reports.summary import ALPHA, POWER, Summary
from results import counted


def verdict(run: results.Run, summary: Summary) -> list[Block]:
    """Return, per data set, which cell wins, how far the budget carries, what to take, and what its seeds detect."""
    if summary.parts:
        return [
            block
            for name, part in summary.parts.items()
            for block in (Paragraph([Bold(f"{name}:")]), *verdict(run, part))
        ]
    return [*standing(summary), *carries(run, summary), *advice(summary), *_noise(summary)]


def in_short(run: results.Run, summary: Summary) -> list[Paragraph]:
    """Return the verdict on one data set without its table: who wins, how far the budget carries, what to take."""
    blocks = [*standing(summary), *carries(run, summary), *advice(summary)]
    return [
        Paragraph([*inlines(item), ";"]) if isinstance(block, Items) else block
        for block in blocks
        for item in (block.items if isinstance(block, Items) else [""])
        if isinstance(block, Items | Paragraph)
    ]


def standing(summary: Summary) -> list[Block]:
    """Return which cell, or which view of the only cell, wins, and whether by more than the noise."""
    cells = summary.measured
    if not cells:
        nothing: list[Inline] = [
            Bold("Nothing was measured:"),
            " no trial ended with an mIoU. The reasons are below.",
        ]
        return [Paragraph(nothing, "bad")]
    if summary.decision and summary.look:
        return deciding.standing(summary.decision, summary.look)
    best = cells[0]
    winner: list[Inline] = [
        Bold(best.label),
        f" has the highest {summary.judged_on} mIoU: {estimate(best.interval)} %. ",
    ]
    if len(cells) == 1:
        return _alone(winner, summary)
    if not summary.ranking.tests:
        why = no_spread(summary.seeds)
        unknown = f"{why[0].upper()}{why[1:]}, so the noise is unknown: "
        return [Paragraph([*winner, unknown, Bold("no difference can be tested.")], "unsure")]
    clear, words = _standing(summary)
    return [*deciding.surely_not_best(summary), Paragraph([*winner, *words], "good" if clear else "unsure")]


def _alone(winner: list[Inline], summary: Summary) -> list[Block]:
    """Return the verdict on a run of one cell: on its views, if it has some."""
    judged = judged_views(summary)
    if not judged:
        return [Paragraph([*winner, "It is the only cell that was measured, so there is nothing to compare."])]
    best = summary.measured[0]
    words = f" is the only cell: {estimate(best.interval)} % {summary.judged_on} mIoU. Its views against "
    rows: list[Text] = [of_view(one) for one in sorted(judged, key=lambda one: -one.gain.estimate)]
    return [Paragraph([Bold(best.label), words, Bold("default"), ", the weights as trained:"]), Items(rows)]


def _noise(summary: Summary) -> list[Block]:
    """Return what the seeds tell of the noise; empty if nothing is to be compared, or if their number is not fixed."""
    if summary.look or len(summary.measured) < 2 or not summary.ranking.tests:
        return []
    return [*_sensitivity(summary), *_correlation(summary)]


def _standing(summary: Summary) -> tuple[bool, list[Inline]]:
    """Return whether the best cell is distinguishable from all others, and a sentence on it."""
    best, second, *_ = cells = summary.measured
    alike = [cell for cell in cells[1:] if summary.ranking.indistinguishable(best.key, cell.key)]
    gap = percent(best.interval.mean - second.interval.mean)
    following = f"the next is {second.label}, {gap} points below."
    # A cell may be surely not the best and yet share a letter with it: all pairs, both ways, are a harder question.
    lead: list[Inline] = ["By the weaker test of all pairs, "] if summary.contenders.out else []
    if not alike:
        return True, [f"It beats every other cell by more than the noise; {following}"]
    if len(alike) == len(cells) - 1:
        none = f"{'no' if lead else 'No'} cell differs from it by more than the noise"
        return False, [*lead, Bold(none), f"; {following}"]
    below = len(cells) - 1 - len(alike)
    names = listed([cell.label for cell in alike])
    verb = "is" if below == 1 else "are"
    it = "it" if lead else "It"
    words = f"{it} is indistinguishable from {names}; {below} of the others {verb} below it by more than the noise."
    return False, [*lead, words]


def _sensitivity(summary: Summary) -> list[Block]:
    """Return the difference that this number of seeds detects with probability POWER.

    It is no bound: smaller ones are detected less often, so one of them may well be among those that were found.
    """
    if math.isnan(summary.smallest):
        return []
    least = "" if summary.fewest == summary.seeds else "at least "
    seeds = f"{least}{counted(summary.fewest, 'seed')} per cell"
    kind = "noise without the common effect of the seeds" if summary.ranking.method == "blocked" else "seed noise"
    noise = f"{kind} {percent(summary.ranking.pool.sd, 2)} points" if summary.ranking.pool else ""
    pairs = len(summary.ranking.p)
    level = f"{percent(ALPHA, 0)} % false alarms{f' over all {pairs} pairs together' if pairs > 1 else ''}"
    bounds = "; ".join(filter(None, (level, noise)))
    return [
        Paragraph(
            [
                f"With {seeds}, the test of pairs detects a true difference of ",
                Bold(f"{percent(summary.smallest)} points"),
                f" between two cells with probability {percent(POWER, 0)} %, and a smaller one less often ({bounds}).",
            ]
        )
    ]


def _correlation(summary: Summary) -> list[Block]:
    if summary.ranking.method != "blocked":
        return []
    r = number(summary.ranking.correlation, 2)
    return [Paragraph(f"Seeds are shared (correlation {r}): their common effect is removed.")]


def gaps(run: results.Run, summary: Summary) -> list[Block]:
    """Return how the trials ended, and what is missing, unreadable or measured over fewer seeds than planned."""
    counts = Counter(stored.record.status for stored in run.trials)
    statuses = ", ".join(f"{n} {status}" for status, n in sorted(counts.items(), key=ok_first))
    blocks: list[Block] = [Paragraph(f"Trials: {statuses}.")]
    if summary.missing:
        lacks = f" {len(summary.missing)} without a record ({'; '.join(_lacking(summary))})."
        blocks.append(Paragraph([Bold("The run is incomplete:"), lacks], "bad"))
    if run.problems:
        unread = counted(len(run.problems), "record")
        blocks.append(Paragraph([Bold(f"{unread} cannot be read:"), f" {'; '.join(run.problems)}"], "bad"))
    return [*blocks, *_failed_views(run), *_short_of_seeds(summary)]


def _lacking(summary: Summary) -> list[str]:
    """Return, per cell that lacks records, its label and the seeds; cells beyond ten are only counted."""
    seeds: dict[str, list[int]] = {}
    for label, seed in summary.missing:
        seeds.setdefault(label, []).append(seed)
    cells = [
        f"{label} {'seed' if len(of_cell) == 1 else 'seeds'} {listed(list(map(str, of_cell)))}"
        for label, of_cell in seeds.items()
    ]
    return [*cells[:10], *([counted(len(cells) - 10, "more cell")] if len(cells) > 10 else [])]


def outdated(summary: Summary) -> list[Block]:
    """Return how many trials have scores that cannot be compared with those of the others."""
    inside = sum(part.outdated for part in summary.parts.values())
    if not summary.outdated and not inside:
        return []
    # Each data set is judged on its own. What is older there counts in no table, what is older elsewhere in one.
    count = inside or summary.outdated
    where = " of the comparison across data sets" if summary.parts and not inside else ""
    has = counted(count, "trial has", "trials have")
    why = f"of an older version than the others: they are left out{where}, because the two cannot be compared."
    return [Paragraph(f"{has} scores {why}", "bad")]


def _failed_views(run: results.Run) -> list[Block]:
    failed = [
        f"{name} of {stored.record.trial} ({reason})"
        for stored in run.trials
        for name, reason in stored.record.failed_views.items()
    ]
    if not failed:
        return []
    more = f", and {len(failed) - 3} more" if len(failed) > 3 else ""
    return [Paragraph([Bold("Failed views:"), f" {'; '.join(failed[:3])}{more}."], "bad")]


def _short_of_seeds(summary: Summary) -> list[Block]:
    short = [
        f"{cell.label} {len(cell.miou)} of {cell.planned}" for cell in summary.measured if len(cell.miou) < cell.planned
    ]
    if not short:
        return []
    # A trial that was stopped or has not run yet says nothing of its score; one that failed may.
    failed = any({*cell.statuses} - {"ok", "interrupted"} for cell in summary.measured if len(cell.miou) < cell.planned)
    why = "; seeds that failed may have been the worse ones" if failed else ""
    return [Paragraph(f"Means over fewer seeds than planned: {listed(short)}{why}.")]
