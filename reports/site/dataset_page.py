"""Page of a data set: what changed, a chart per cell and metric over the releases, and what was measured once."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from xml.etree.ElementTree import Element

from reports import metrics
from reports.document import (
    Block,
    Bold,
    Chart,
    Charts,
    Document,
    Field,
    Heading,
    Inline,
    Items,
    Link,
    Paragraph,
    Table,
    Text,
)
from reports.figures.course import Spot, draw
from reports.format import metric_value, number
from reports.pages.comparison import TONES
from reports.pages.phrases import listed
from reports.pages.release_history.sentences import (
    MARKS,
    changes,
    in_words,
    label,
    mark,
    runs_of,
    spread,
    step_mark,
    title,
)
from reports.site.sources import Source, link
from results import History, Line, Point, counted

_ENDINGS = ("newly failing", "missing", "fixed")


def document(history: History, sources: Sequence[Source]) -> Document:
    """Make the page; all lines of `history` are of one data set."""
    cells = _cells(history)
    followed = {cell: lines for cell, lines in cells.items() if _followed(lines)}
    once = {cell: lines for cell, lines in cells.items() if cell not in followed}
    runs = runs_of(history.lines)
    home: list[Inline] = [Link("All data sets", link("index.html", 1)), f" · {counted(len(cells), 'cell')} in "]
    blocks: list[Block] = [Paragraph([*home, listed([history.runs[at] for at in runs]), "."])]
    blocks += [Heading("What changed"), *_changed(history)]
    if followed:
        blocks += [Heading("Over the releases"), Paragraph(_legend(history))]
        for lines in followed.values():
            blocks += _cell(history, lines, runs, sources)
    if once:
        blocks += [Heading("In one release"), Paragraph("Cells that no other release has, with 95 % intervals.")]
        blocks.append(_once(history, [*once.values()], sources))
    return Document(history.lines[0].dataset, blocks)


def _cells(history: History) -> dict[str, list[Line]]:
    """Return {cell: its lines}, cells by their labels, the default view first."""
    found: dict[str, list[Line]] = {}
    for line in sorted(history.lines, key=lambda line: line.label):
        found.setdefault(line.cell, []).append(line)
    return found


def _changed(history: History) -> list[Block]:
    found = list(changed(history))
    if not found:
        return [Paragraph("No metric of any cell changed its level by more than the noise and the margin.")]
    return [Items(found)]


def changed(history: History, page: str = "") -> Iterator[Text]:
    """Yield a sentence per change of level, the newest first, with a link to the charts of its cell on a page."""
    for line, at, text in changes(history):
        sign = step_mark(line.points[at])
        yield [Bold(f"{sign} "), Link(history.runs[at], f"{page}#{_anchor(line.cell)}"), f", {text}"]


def _anchor(cell: str) -> str:
    return f"cell-{'-'.join(''.join(c if c.isalnum() else ' ' for c in cell).split())}"


def _legend(history: History) -> str:
    text = (
        "A point is the mean over the seeds, its bar the 95 % interval. A broad band is a level: releases between "
        "which the gate's test found no change. "
    )
    points = [point for line in history.lines for point in line.points]
    if any(point.step for point in points):
        text += "▼ regressed and ▲ improved mark a change of level (↘ and ↗ if slow), whichever way the axis runs. "
    if any(point.broken for point in points):
        text += (
            "≠ with a dashed line: the values on its two sides are not comparable. Hollow points are not comparable "
            "with the newest; the tables of numbers say why. "
        )
    endings = {point.verdict for point in points}
    signs = [f"{sign} {verdict}" for verdict, sign in MARKS.items() if verdict in endings and verdict in _ENDINGS]
    if signs:
        text += f"How the trials ended: {', '.join(signs)}."
    return text.strip()


def _followed(lines: Sequence[Line]) -> list[Line]:
    """Return the lines that have something to show over the releases."""
    return [line for line in lines if len(line.measured) > 1]


def _cell(history: History, lines: Sequence[Line], runs: Sequence[int], sources: Sequence[Source]) -> list[Block]:
    shown = _followed(lines)
    charts = [Chart(_drawn(history, line, runs, line is shown[0]), _caption(history, line, runs[-1])) for line in shown]
    blocks: list[Block] = [Heading(lines[0].label, 3, _anchor(lines[0].cell)), Charts(charts)]
    rest = [part for line in lines if line not in shown for part in ("; ", *_caption(history, line))]
    if rest:
        blocks.append(Paragraph(["In one release only: ", *rest[1:], "."]))
    return [*blocks, _numbers(history, lines, sources)]


def _caption(history: History, line: Line, newest: int = -1) -> list[Inline]:
    """Return a line's last value; its release is named unless it is the newest."""
    at = line.measured[-1]
    view = "" if line.view == "default" else f" ({line.view})"
    where = "" if at == newest else f" in {history.runs[at]}"
    return [Bold(f"{title(line.metric)}{view}"), f" {_value(line, at).text}{where}"]


def _drawn(history: History, line: Line, runs: Sequence[int], endings: bool) -> Element:
    """Draw a line; `endings` marks how the trials of the cell ended, too, which is one of its charts' to tell."""
    factor = metrics.of(line.metric).factor
    spots: list[Spot] = []
    group = 0
    for at in runs:
        group += bool(line.points[at].broken)
        spot = _spot(line.points[at], factor, endings or line.view != "default")
        spots.append(replace(spot, group=group if line.points[at].seeds else -1, note=_note(history, line, at)))
    highest = max(spot.mean for spot in spots if not math.isnan(spot.mean))
    rule, margin = history.margins.metrics[line.metric], history.margins.of(line.metric, line.label)
    margin *= factor if rule.scale == "difference" else highest
    return draw(spots, [history.runs[at] for at in runs], _described(history, line), 4 * margin)


def _spot(point: Point, factor: float, endings: bool) -> Spot:
    ended = endings and point.verdict in _ENDINGS
    sign = step_mark(point) or (mark(point) if ended else "")
    verdict = point.step.row.verdict if point.step else point.verdict
    return Spot(
        factor * point.mean,
        factor * point.low,
        factor * point.high,
        level=point.level,
        mark=sign,
        tone=TONES[verdict] if sign and verdict else "",
    )


def _note(history: History, line: Line, at: int) -> str:
    """Return what a pointer on a point tells."""
    point = line.points[at]
    shown = _value(line, at).text
    said = f", {in_words(point)}" if point.verdict else ""
    return f"{history.runs[at]}: {shown if point.seeds else 'not measured'}{said}"


def _described(history: History, line: Line) -> str:
    """Return the text alternative of a chart."""
    notes = [_note(history, line, at) for at, point in enumerate(line.points) if point.seeds or point.verdict]
    return f"{title(line.metric)} of {label(line)}. {'; '.join(notes)}."


def _numbers(history: History, lines: Sequence[Line], sources: Sequence[Source]) -> Table:
    """Return the points of a cell as a folded table, the newest release first."""
    rows: list[list[Field | Text]] = []
    for line in lines:
        for at in reversed(range(len(line.points))):
            point = line.points[at]
            if point.seeds or point.verdict:
                rows.append(_number(history, line, at, sources))
    views = any(line.view != "default" for line in lines)
    head = ["metric", *(["view"] if views else []), "release", "mean", "95 % interval", "seeds", "verdict", "against"]
    kept = [row if views else [row[0], *row[2:]] for row in rows]
    left = frozenset({"metric", "view", "release", "verdict", "against"})
    return Table(head, kept, left, long=f"Numbers of {lines[0].label}")


def _number(history: History, line: Line, at: int, sources: Sequence[Source]) -> list[Field | Text]:
    point, factor = line.points[at], metrics.of(line.metric).factor
    interval = (
        ""
        if math.isnan(point.low)
        else f"{metric_value(line.metric, point.low)} to {metric_value(line.metric, point.high)}"
    )
    judged = point.verdict and MARKS[point.verdict] in mark(point)  # a drift takes the place of ok and inconclusive
    reason = f": {point.reason}" if point.reason and judged else ""
    return [
        title(line.metric),
        line.view,
        _release(sources[at], line.cell),
        Field(metric_value(line.metric, point.mean), factor * point.mean),
        interval,
        number(point.seeds, 0),
        Field(f"{mark(point)} {in_words(point)}{reason}".strip(), None, TONES[point.verdict] if point.verdict else ""),
        "" if point.before is None else history.runs[point.before],
    ]


def _release(source: Source, cell: str) -> Text:
    """Return the name of a release, which leads to the report of a cell."""
    report = source.report_of(cell)
    return Link(source.name, link(report.page, 1)) if report else source.name


def _once(history: History, cells: Sequence[Sequence[Line]], sources: Sequence[Source]) -> Table:
    """Return a row per cell and view that one release has."""
    shown = [name for name in history.margins.metrics if any(line.metric == name for lines in cells for line in lines)]
    rows: list[list[Field | Text]] = []
    for lines in cells:
        for view in dict.fromkeys(line.view for line in lines):
            found = {line.metric: line for line in lines if line.view == view}
            one = next(iter(found.values()))
            at = one.measured[0]
            row: list[Field | Text] = [label(one), _release(sources[at], one.cell)]
            rows.append(row + [_value(found[name], at) if name in found else "" for name in shown])
    return Table(["cell", "release", *map(title, shown)], rows, frozenset({"cell", "release"}))


def _value(line: Line, at: int) -> Field:
    point: Point = line.points[at]
    return Field(f"{metric_value(line.metric, point.mean)} {spread(line.metric, point)}".strip(), point.mean)
