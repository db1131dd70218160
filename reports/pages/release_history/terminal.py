"""A history for a terminal: no line is wider than it."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from reports.pages.phrases import listed
from reports.pages.release_history.sentences import (
    breaks,
    by_table,
    changes,
    label,
    legend,
    runs_of,
    short,
    title,
    value,
)
from results import History, Line, Point, counted

GAP = 2
# A label may take this share of the width before it is continued on the next line.
_LABELS = 0.44
_FEWEST = 12


class Styled(NamedTuple):
    """A line for the terminal, and its style: "", "bold" or "dim"."""

    text: str
    style: str = ""


def terminal_text(history: History, metrics: Sequence[str], width: int) -> list[Styled]:
    """Return the lines for a terminal: a table per metric and data set, then the changes of all metrics.

    Args:
        history: the lines.
        metrics: those that get tables.
        width: of the terminal, in characters; no line is longer.
    """
    out: list[Styled] = []
    shown: list[Line] = []
    for (metric, dataset), lines in by_table(history, metrics).items():
        out += [*_wrapped(f"{title(metric)} on {dataset}", width, "bold"), *_table(history, lines, width), Styled("")]
        shown += lines
    for missing in [metric for metric in metrics if all(line.metric != metric for line in shown)]:
        out += [*_wrapped(f"{title(missing)}: no release has a value of it that can be compared.", width), Styled("")]
    note = "Mean over the seeds, ± half of its 95 % interval. " + legend(shown)
    return [*out, *_wrapped(note, width, "dim"), Styled(""), *_changes(history, width)]


def _table(history: History, lines: Sequence[Line], width: int) -> Iterator[Styled]:
    runs = runs_of(lines)
    texts = {at: [value(line.metric, line.points[at]) for line in lines] for at in runs}
    needs = {at: max(len(history.runs[at]), *map(len, texts[at])) for at in runs}
    widest = max(len("cell"), *(len(label(line)) for line in lines))
    first = min(widest, max(_FEWEST, int(_LABELS * width)))
    shown = _newest(runs, needs, width - first)
    room = width - sum(min(needs[at], width - _FEWEST - GAP) + GAP for at in shown)
    first = min(widest, max(first, room))
    kept = [index for index, line in enumerate(lines) if any(_says(line.points[at]) for at in shown)]
    if older := [history.runs[at] for at in runs if at not in shown]:
        yield from _wrapped(_not_shown(older, len(lines) - len(kept)), width, "dim")
    yield Styled(_row("cell", [history.runs[at] for at in shown], [needs[at] for at in shown], first)[:width], "bold")
    for index in kept:
        head, *more = folded(label(lines[index]), first)
        yield Styled(_row(head, [texts[at][index] for at in shown], [needs[at] for at in shown], first)[:width])
        yield from (Styled(f"  {part}"[:width]) for part in more)


def _says(point: Point) -> bool:
    return bool(point.seeds or point.verdict)


def _not_shown(releases: Sequence[str], alone: int) -> str:
    cells = f", nor {counted(alone, 'line')} that only they have" if alone else ""
    return f"Not shown at this width: {listed(releases)}{cells}."


def _newest(runs: Sequence[int], needs: dict[int, int], room: int) -> list[int]:
    """Return the newest runs whose columns fit, in their order; one at least."""
    shown: list[int] = []
    for at in reversed(runs):
        room -= needs[at] + GAP
        if shown and room < 0:
            break
        shown.insert(0, at)
    return shown


def _row(first: str, texts: Sequence[str], needs: Sequence[int], width: int) -> str:
    columns = (f"{'':{GAP}}{text:>{need}}" for text, need in zip(texts, needs, strict=True))
    return f"{first:{width}}{''.join(columns)}".rstrip()


def folded(text: str, width: int) -> list[str]:
    """Break a label into lines of at most `width` characters, the first of them, and two less from the second on.

    It is broken at a space, after a comma or before a bracket; a part that is too long for that is cut anywhere.

    >>> folded("16 crf(gaussian_sxy=1,bilateral_sxy=26)", 20)
    ['16 crf', '(gaussian_sxy=1,', 'bilateral_sxy=26)']
    """
    lines = [""]
    for part in re.findall(r"\(?[^ ,(]*[ ,]?", text):
        room = width if len(lines) == 1 else max(1, width - 2)
        if lines[-1] and len(lines[-1] + part.rstrip(" ")) > room:
            lines, room = [*lines, ""], max(1, width - 2)
        lines[-1] += part
        while len(lines[-1].rstrip(" ")) > room:
            lines, room = [*lines[:-1], lines[-1][:room], lines[-1][room:]], max(1, width - 2)
    return [line.rstrip(" ") for line in lines]


def _changes(history: History, width: int) -> list[Styled]:
    """Return the steps of all metrics, and where lines are broken."""
    steps = [f"{history.runs[at]}, {line.dataset}: {text}" for line, at, text in changes(history)]
    names = listed([short(metric) for metric in dict.fromkeys(line.metric for line in history.lines)])
    if steps:
        out = _wrapped(f"Changes of level in {names}, the newest first:", width, "bold")
        out += [one for text in steps for one in _wrapped(text, width, indent="  ")]
    else:
        out = _wrapped(f"No change of level in {names}.", width)
    if broken := breaks(history):
        out += [Styled(""), *_wrapped("Not comparable with the release before:", width, "bold")]
        out += [one for text in broken for one in _wrapped(text, width, indent="  ")]
    return out


def _wrapped(text: str, width: int, style: str = "", indent: str = "") -> list[Styled]:
    lines = textwrap.wrap(text, max(width, 8), initial_indent=indent, subsequent_indent=indent * 2)
    return [Styled(line, style) for line in lines]
