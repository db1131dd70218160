"""The tables of a comparison: every row that was judged, and the differences between the environments."""

from collections.abc import Sequence

import results
from reports.document import Block, Code, Field, Paragraph, Table, Text, Tone
from reports.format import amount, change, change_interval, metric_value, significant
from reports.metrics import name
from results import VERDICTS
from results import ComparisonRow as Row

TONES: dict[str, Tone] = {
    "regressed": "bad", "newly failing": "bad", "missing": "bad", "inconclusive": "unsure", "not comparable": "unsure",
    "improved": "good", "fixed": "good", "ok": "",
}  # fmt: skip


def table(rows: Sequence[Row]) -> Table:
    """Return rows as a table, most urgent first."""
    head = ["verdict", "cell", "metric", "base", "head", "change", "90 % interval", "margin", "could see", "p", "seeds"]
    views = any(row.view not in ("", "default") for row in rows)
    head = [*head[:2], "view", *head[2:]] if views else head
    return Table(head, [_line(row, views) for row in rows], frozenset({"verdict", "cell", "view", "metric"}))


def _line(row: Row, views: bool) -> list[Field | Text]:
    verdict = f"{row.verdict}: {row.reason}" if row.reason else row.verdict
    view = [Field([Code(row.view)] if row.view else "")] if views else []
    return [
        Field(verdict, VERDICTS.index(row.verdict), TONES[row.verdict]),
        row.label,
        *view,
        name(row.metric),
        Field(metric_value(row.metric, row.base), row.base),
        Field(metric_value(row.metric, row.head), row.head),
        Field(change(row, row.change), row.change),
        change_interval(row),
        Field(amount(row, row.margin), row.margin),
        Field(amount(row, row.smallest), row.smallest),
        Field(significant(row.p), row.p),
        f"{row.seeds[0]}/{row.seeds[1]}",
    ]


def _place(side: results.Side) -> str:
    """Return where a side lies: a release by its name, because its folder is that of an installation."""
    return f"release {side.name}" if results.release_of(side.folder) else side.folder


def environment(comparison: results.Comparison) -> list[Block]:
    """Return what the two sides are, and a row per difference between their environments."""
    base, head = comparison.base, comparison.head
    sides = Paragraph(
        [
            "Base ",
            Code(_place(base)),
            f" ({results.counted(base.trials, 'trial')}, commit {base.commit}), head ",
            Code(_place(head)),
            f" ({results.counted(head.trials, 'trial')}, commit {head.commit}).",
        ]
    )
    rows: list[list[Field | Text]] = [[what, old, new] for what, (old, new) in comparison.differences.items()]
    if not rows:
        return [sides, Paragraph("The environments are the same.")]
    return [sides, Table(["environment", "base", "head"], rows, frozenset({"environment", "base", "head"}))]
