"""A comparison of two runs as a document: the verdict first, then every row, the forest plot and what differs."""

import math
from collections.abc import Sequence

import results
from reports.document import Block, Bold, Code, Document, Field, Figure, Heading, Inline, Items, Paragraph, Table, Tone
from results import TRIALS, VERDICTS
from results import ComparisonRow as Row

TONES: dict[str, Tone] = {
    "regressed": "bad", "newly failing": "bad", "missing": "bad", "inconclusive": "unsure", "not comparable": "unsure",
    "improved": "good", "fixed": "good", "ok": "",
}  # fmt: skip
# Name for people, and what a value is multiplied by to be shown; a difference takes the unit, a ratio percent.
_METRICS: dict[str, tuple[str, float, str]] = {
    "miou": ("mIoU", 100.0, "points"),
    "boundary_iou": ("Boundary IoU", 100.0, "points"),
    "mean_image_iou": ("image mIoU", 100.0, "points"),
    "mean_dice": ("Dice", 100.0, "points"),
    "pixel_accuracy": ("pixel accuracy", 100.0, "points"),
    "soft_iou": ("soft IoU", 100.0, "points"),
    "class_recall": ("class recall", 100.0, "points"),
    "soft_dice": ("soft Dice", 100.0, "points"),
    "best_miou": ("best mIoU", 100.0, "points"),
    "target_miou": ("target mIoU", 100.0, "points"),
    "input_share": ("input share", 100.0, "points"),
    "images_per_second": ("images/s", 1.0, ""),
    "eval_images_per_second": ("evaluation images/s", 1.0, ""),
    "peak_gpu_mb": ("GPU peak, MiB", 1.0, ""),
    "peak_rss_mb": ("memory peak, MiB", 1.0, ""),
    "compile_s": ("compile, s", 1.0, ""),
}


def document(comparison: results.Comparison, figures: bool = True) -> Document:
    """The whole page; `figures=False` leaves the forest plot out."""
    base, head = comparison.base, comparison.head
    made: list[Block] = [Heading("Verdict"), *verdict(comparison)]
    rows = [row for row in comparison.rows if row.gate]
    made += [Heading("Guarded"), Paragraph(_rules(comparison)), table(rows)]
    if figures:
        made += forest(comparison)
    watched = [row for row in comparison.rows if not row.gate]
    if watched:
        counts = ", ".join(f"{n} {name}" for name, n in comparison.count(gate=False).items())
        told: list[Inline] = [
            "Shown, and no reason to fail (",
            Code("gate: true"),
            f" in the margins makes it one): {counts}.",
        ]
        made += [Heading("Watched"), Paragraph(told)]
        made += [table([row for row in watched if row.verdict != "ok"] or watched)]
    if comparison.gaps:
        made += [Heading("Gaps"), Items([*comparison.gaps])]
    if comparison.added:
        made += [Heading("Only in head"), Paragraph(f"Nothing to compare with: {', '.join(comparison.added)}.")]
    made += [Heading("What differs"), *_environment(comparison)]
    return Document(f"{base.name} → {head.name}", made)


def reasons(comparison: results.Comparison) -> list[str]:
    """Why not, a line each."""
    lines = [] if comparison.allow_incomplete else [f"incomplete: {gap}" for gap in comparison.gaps]
    if not comparison.measured:
        lines.append("nothing measured: a guarded score, or every guarded metric, could not be compared")
    unsure = comparison.inconclusive if comparison.require_conclusive else ()
    return lines + [sentence(row) for row in (*comparison.failing, *unsure)]


def sentence(row: Row) -> str:
    """One row in words."""
    where = f"{row.label} ({row.view})" if row.view not in ("", "default") else row.label
    if math.isnan(row.change):
        return f"{row.verdict}: {where}, {name(row.metric)}: {row.reason}"
    return (
        f"{row.verdict}: {where}, {name(row.metric)} {value(row.metric, row.base)} → {value(row.metric, row.head)} "
        f"({change(row, row.change)}, 90 % interval {interval(row)}, margin {amount(row, row.margin)})"
    )


def verdict(comparison: results.Comparison) -> list[Block]:
    """The verdict, the headline over the grid, and what could not have been seen, in words."""
    counts = ", ".join(f"{n} {verdict}" for verdict, n in comparison.count().items())
    failing = comparison.failing
    number = len({row.cell for row in comparison.rows if row.metric != TRIALS})
    cells = f"{number} cell{'' if number == 1 else 's'}"
    said: list[Inline]
    if comparison.outcome == "incomplete" and comparison.gaps and not comparison.allow_incomplete:
        gaps = f"{len(comparison.gaps)} gap{'s' if len(comparison.gaps) > 1 else ''}"
        said = [Bold("Not blessed: incomplete."), f" {gaps}, listed below. Of what is there: {counts}."]
    elif comparison.outcome == "incomplete":
        said = [
            Bold("Not blessed: nothing measured."),
            " A guarded score, or every guarded metric, could not be compared in any cell; the reasons stand below.",
        ]
    elif failing:
        said = [Bold("Not blessed."), f" {counts} over {cells}."]
    elif comparison.outcome == "inconclusive":
        said = [Bold("Not blessed: inconclusive."), f" More seeds are needed: {counts} over {cells}."]
    else:
        said = [Bold("Blessed."), f" No regression in {cells}: {counts}."]
        if comparison.gaps:
            said.append(f" Gaps were allowed: {len(comparison.gaps)}, listed below.")
    made: list[Block] = [Paragraph(said, "good" if comparison.outcome == "ok" else "bad")]
    if failing:
        made.append(Items([sentence(row) for row in failing[:20]]))
    line = comparison.headline
    if not math.isnan(line.estimate):
        bounds = "" if math.isnan(line.low) else f" (90 % interval {100 * line.low:+.2f} to {100 * line.high:+.2f})"
        made.append(
            Paragraph(
                f"Over the grid, validation mIoU changed by {100 * line.estimate:+.2f} points{bounds}; a trial of head "
                f"beats one of base with probability {comparison.improvement:.2f}."
            )
        )
    seen = [seen for metric in comparison.margins.metrics if (seen := _sensitivity(comparison, metric))]
    if seen:
        power = f"{100 * comparison.margins.power:.0f} %"
        made.append(
            Paragraph(f"Smallest true loss that these seeds would have shown (power {power}): {'; '.join(seen)}.")
        )
    suspects = [row for row in comparison.rows if row.suspect and row.gate]
    if suspects:
        names = "; ".join(f"{row.label}, {name(row.metric)} {change(row, row.change)}" for row in suspects[:10])
        made.append(
            Paragraph(
                [
                    Bold("Suspects"),
                    f" (false discovery rate {100 * comparison.margins.suspects:.0f} %, not enough to fail): {names}.",
                ],
                "unsure",
            )
        )
    return made


def _sensitivity(comparison: results.Comparison, metric: str) -> str:
    rows = [
        row for row in comparison.rows if row.gate and row.metric == metric and row.method not in ("none", "identical")
    ]
    known = [row for row in rows if not math.isnan(row.smallest)]
    if not known:
        return ""
    middle = sorted(known, key=lambda row: row.smallest)[len(known) // 2]
    return f"{amount(middle, middle.smallest)} of {name(metric)} in the median cell"


def _rules(comparison: results.Comparison) -> str:
    margins = comparison.margins
    return (
        f"Regressed: worse by more than the noise and by the margin or more; ok: surely not worse by the margin. Holm "
        f"keeps the chance of any false alarm below {100 * margins.alpha:.0f} %; intervals leave 5 % on each side. "
        "“Could see” is the smallest true loss that the gate would have called."
    )


def table(rows: Sequence[Row]) -> Table:
    """Rows as a table, most urgent first."""
    head = ["verdict", "cell", "metric", "base", "head", "change", "90 % interval", "margin", "could see", "p", "seeds"]
    views = any(row.view not in ("", "default") for row in rows)
    lines = []
    for row in rows:
        told = f"{row.verdict}: {row.reason}" if row.reason else row.verdict
        line: list[Field | str] = [
            Field(told, VERDICTS.index(row.verdict), TONES[row.verdict]),
            row.label,
            name(row.metric),
            Field(value(row.metric, row.base), row.base),
            Field(value(row.metric, row.head), row.head),
            Field(change(row, row.change), row.change),
            interval(row),
            Field(amount(row, row.margin), row.margin),
            Field(amount(row, row.smallest), row.smallest),
            Field("–" if math.isnan(row.p) else f"{row.p:.2g}", row.p),
            f"{row.seeds[0]}/{row.seeds[1]}",
        ]
        lines.append([*line[:2], Field([Code(row.view)] if row.view else ""), *line[2:]] if views else line)
    head = [*head[:2], "view", *head[2:]] if views else head
    return Table(head, lines, frozenset({"verdict", "cell", "view", "metric"}))  # type: ignore[arg-type]


def name(metric: str) -> str:
    return _METRICS.get(metric, (metric, 1.0, ""))[0]


def percent(metric: str) -> bool:
    """Whether the metric is a fraction that people read in percent."""
    return _METRICS.get(metric, ("", 1.0, ""))[1] == 100


def value(metric: str, number: float) -> str:
    """A mean in the metric's unit, as people read it."""
    if math.isnan(number):
        return "–"
    if metric == TRIALS:
        return f"{number:.0f} ok"
    factor = _METRICS.get(metric, ("", 1.0, ""))[1]
    return f"{factor * number:.2f}" if factor == 100 else f"{number:.4g}" if number < 1000 else f"{number:.0f}"


def change(row: Row, number: float) -> str:
    """A signed change: points, the metric's own unit, or percent."""
    return "–" if math.isnan(number) else _scaled(row, number, "+")


def amount(row: Row, number: float) -> str:
    return "–" if math.isnan(number) else _scaled(row, number, "")


def interval(row: Row) -> str:
    if math.isnan(row.low):
        return "–"
    return f"{_scaled(row, row.low, '+', unit=False)} to {_scaled(row, row.high, '+', unit=False)}"


def unit_of_change(row: Row) -> tuple[float, str]:
    """What a change is multiplied by to be shown, and its unit; empty where the metric's name tells it."""
    return (100.0, "%") if row.scale == "ratio" else _METRICS.get(row.metric, ("", 1.0, ""))[1:]


def _scaled(row: Row, number: float, sign: str, unit: bool = True) -> str:
    factor, name = unit_of_change(row)
    digits, name = 1 if row.scale == "ratio" else 2, name.replace("points", "pt")
    shown = round(factor * number, digits) + 0.0  # no minus before a zero
    return f"{shown:{sign}.{digits}f}{f' {name}' if unit and name else ''}"


def forest(comparison: results.Comparison) -> list[Block]:
    """The changes of the guarded metrics with their intervals and margins, a panel a metric."""
    from reports.figures.drawing import forest as draw

    png = draw(comparison)
    if png is None:
        return []
    judged = [row for row in comparison.rows if row.gate and not math.isnan(row.change)]
    rules = comparison.margins
    worst = min(judged, key=lambda row: rules.metrics[row.metric].sign * row.change / row.margin)
    alt = (
        f"Forest plot of {len(judged)} changes from {comparison.base.name} to {comparison.head.name}, 90 % intervals; "
        f"the lowest against its margin is {worst.label}, {name(worst.metric)} {change(worst, worst.change)}."
    )
    less = sorted({name(row.metric) for row in judged if rules.metrics[row.metric].better == "lower"})
    side = f"Left of it is worse; right of it for {', '.join(less)}." if less else "Left of it is worse."
    caption = f"Change from base to head with its 90 % interval; the shaded band is the margin. {side}"
    return [Heading("Forest plot"), Figure("forest.png", png, alt, caption)]


def _environment(comparison: results.Comparison) -> list[Block]:
    base, head = comparison.base, comparison.head
    rows = [[what, old, new] for what, (old, new) in comparison.differences.items()]
    made: list[Block] = [
        Paragraph(
            [
                "Base ",
                Code(base.folder),
                f" ({base.trials} trials, commit {base.commit}), head ",
                Code(head.folder),
                f" ({head.trials} trials, commit {head.commit}).",
            ]
        )
    ]
    if not rows:
        return [*made, Paragraph("The environments are the same.")]
    return [*made, Table(["environment", "base", "head"], rows, frozenset({"environment", "base", "head"}))]  # type: ignore[arg-type]
