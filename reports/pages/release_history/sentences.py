"""What the pages of a history say: the marks and their legend, values with intervals, steps and breaks in words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from reports.format import metric_value, number, percent, significant
from reports.metrics import is_percentage, name
from reports.pages.comparison import sentence
from reports.pages.phrases import listed
from results import History, Line, Point, Verdict, counted

# One character per verdict, for a narrow table.
MARKS: dict[Verdict, str] = {
    "regressed": "▼", "improved": "▲", "ok": "=", "inconclusive": "?", "not comparable": "≠", "missing": "∅",
    "newly failing": "!", "fixed": "✓",
}  # fmt: skip
# A drift is a change that only the comparison with the whole level shows.
DRIFTS: dict[Verdict, str] = {"regressed": "↘", "improved": "↗"}
_MEANINGS = {
    **{sign: str(verdict) for verdict, sign in MARKS.items()},
    **{sign: f"{verdict} slowly" for verdict, sign in DRIFTS.items()},
}


def mark(point: Point) -> str:
    """Return the marks of a point: its verdict, and the change of its level if the verdict is another; or nothing."""
    verdict = MARKS[point.verdict] if point.verdict else ""
    step = step_mark(point)
    # What neighbours look like is of no interest where the level drifts.
    return step if point.verdict in ("ok", "inconclusive") and step else "".join(dict.fromkeys(verdict + step))


def step_mark(point: Point) -> str:
    """Return the mark of a change of level; empty without one."""
    if point.step is None:
        return ""
    return (DRIFTS if point.step.drift else MARKS)[point.step.row.verdict]


def in_words(point: Point) -> str:
    """Return what the marks of a point mean; empty without one."""
    return ", ".join(_MEANINGS[sign] for sign in mark(point))


def legend(lines: Iterable[Line]) -> str:
    """Return the meaning of the marks that lines show; empty if they show none."""
    seen = {sign for line in lines for point in line.points for sign in mark(point)}
    said = [f"{sign} {verdict}" for verdict, sign in MARKS.items() if sign in seen]
    drifts = [f"{sign} {verdict} slowly" for verdict, sign in DRIFTS.items() if sign in seen]
    parts = [f"Against the last release with this cell: {', '.join(said)}."] if said else []
    parts += [f"Against its whole level: {', '.join(drifts)}."] if drifts else []
    return " ".join(parts)


def title(metric: str) -> str:
    """Return the name of a metric with its unit."""
    return f"{name(metric)}{', %' if is_percentage(metric) else ''}"


def short(metric: str) -> str:
    """Return the name of a metric without its unit, as in a list of metrics."""
    return name(metric).partition(",")[0]


def label(line: Line) -> str:
    """Return the name of a line: its cell, and its view unless that is the default."""
    return line.label if line.view == "default" else f"{line.label} {line.view}"


def spread(metric: str, point: Point) -> str:
    """Return half the width of a point's interval, as `±0.41`; empty without an interval."""
    half = (point.high - point.low) / 2
    if not half >= 0:
        return ""
    if is_percentage(metric):
        return f"±{percent(half, 2)}"
    return f"±{significant(half) if half < 100 else number(half, 0)}"


def value(metric: str, point: Point) -> str:
    """Return mean, interval and mark of a point, such as `72.22 ±0.41 =`."""
    shown = metric_value(metric, point.mean)
    return " ".join(filter(None, (shown, spread(metric, point), mark(point))))


def changes(history: History) -> Iterator[tuple[Line, int, str]]:
    """Yield (line, column, sentence) of each step, the newest first."""
    steps = [(at, line) for line in history.lines for at, point in enumerate(line.points) if point.step]
    for at, line in sorted(steps, key=lambda step: -step[0]):
        step = line.points[at].step
        assert step is not None
        first, last = (history.runs[step.against[end]] for end in (0, -1))
        against = f"the level of {first} to {last}" if step.drift else last
        yield line, at, f"{sentence(replace(step.row, label=line.label))}, against {against}"


def breaks(history: History) -> list[str]:
    """List which lines are not comparable with the release before, one sentence per release and reason."""
    found: dict[tuple[int, int, str], list[Line]] = {}
    for line in history.lines:
        for at, point in enumerate(line.points):
            if point.broken and point.before is not None:
                found.setdefault((at, point.before, point.broken), []).append(line)
    return [
        f"{history.runs[at]} against {history.runs[before]}: {why} "
        f"({listed(list(dict.fromkeys(short(line.metric) for line in lines)))} of "
        f"{counted(len({line.cell for line in lines}), 'cell')})"
        for (at, before, why), lines in sorted(found.items(), key=lambda item: (-item[0][0], -item[0][1], item[0][2]))
    ]


def runs_of(lines: Sequence[Line]) -> list[int]:
    """List the columns of the runs that measured any of the lines."""
    return sorted({at for line in lines for at in line.measured})


def by_table(history: History, metrics: Sequence[str]) -> Mapping[tuple[str, str], list[Line]]:
    """Return {(metric, data set): lines}, in the order of the metrics."""
    found: dict[tuple[str, str], list[Line]] = {}
    for metric in metrics:
        for line in history.lines:
            if line.metric == metric:
                found.setdefault((metric, line.dataset), []).append(line)
    return found
