"""A small chart of a metric over releases: points with intervals, levels, steps and breaks."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from reports.document import Tone
from reports.figures.svg import Element, dot, line, make, picture, text, ticks
from reports.figures.theme import short

WIDTH, HEIGHT = 272.0, 150.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 40.0, 6.0, 22.0, 24.0


@dataclass(frozen=True)
class Spot:
    """What one release says; numbers in the unit of the chart, NaN where there is none.

    Attributes:
        mean, low, high: mean and interval.
        level: number of the level; spots of one level share a line.
        group: number of the spots that are comparable with each other; between two groups is a break.
        mark, tone: a sign above the spot, and its tone.
        note: what a pointer on the spot tells.
    """

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    level: int = -1
    group: int = -1
    mark: str = ""
    tone: Tone = ""
    note: str = ""


def draw(spots: Sequence[Spot], names: Sequence[str], description: str, least: float) -> Element:
    """Draw a chart.

    Args:
        spots: one per release.
        names: of the releases.
        description: the text alternative of the chart.
        least: smallest range of the vertical axis, so that noise does not look like a change.
    """
    drawing = picture(WIDTH, HEIGHT, description)
    scale = _Scale.of(spots, least)
    for part in (
        *_axes(scale, names),
        *_levels(scale, spots),
        *_joins(scale, spots),
        *(_spot(scale, column, spots) for column in range(len(spots))),
    ):
        drawing.append(part)
    return drawing


@dataclass(frozen=True)
class _Scale:
    """The vertical range of a chart, and its number of columns."""

    low: float
    high: float
    columns: int

    @classmethod
    def of(cls, spots: Sequence[Spot], least: float) -> "_Scale":
        ends = [v for spot in spots for v in (spot.mean, spot.low, spot.high) if not math.isnan(v)] or [0.0]
        low, high = min(ends), max(ends)
        half = 0.55 * max(high - low, least, 1e-9)
        middle = (low + high) / 2
        return cls(middle - half, middle + half, len(spots))

    def x(self, column: float) -> float:
        return _LEFT + (column + 0.5) * (WIDTH - _LEFT - _RIGHT) / self.columns

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def _axes(scale: _Scale, names: Sequence[str]) -> Iterator[Element]:
    for tick in ticks(scale.low, scale.high):
        y = scale.y(float(tick))
        yield line("grid", _LEFT, y, WIDTH - _RIGHT, y)
        yield text(tick, _LEFT - 6, y + 4, "end")
    foot = HEIGHT - _BOTTOM
    for column in range(scale.columns):
        yield line("tick", scale.x(column), foot, scale.x(column), foot + 4)
    if scale.columns == 1:
        yield text(short(names[0]), scale.x(0), HEIGHT - 6, "middle")
    else:
        yield text(short(names[0], 16), _LEFT, HEIGHT - 6, "start")
        yield text(short(names[-1], 16), WIDTH - _RIGHT, HEIGHT - 6, "end")


def _levels(scale: _Scale, spots: Sequence[Spot]) -> Iterator[Element]:
    """Yield a line at the mean of each level of two or more spots."""
    for level in sorted({spot.level for spot in spots} - {-1}):
        held = [column for column, spot in enumerate(spots) if spot.level == level]
        if len(held) > 1:
            y = scale.y(sum(spots[column].mean for column in held) / len(held))
            yield line("level", scale.x(held[0] - 0.3), y, scale.x(held[-1] + 0.3), y)


def _joins(scale: _Scale, spots: Sequence[Spot]) -> Iterator[Element]:
    """Yield lines between neighbours, and a dashed upright line with a sign where they are not comparable."""
    held = [column for column, spot in enumerate(spots) if not math.isnan(spot.mean)]
    for before, after in pairwise(held):
        if spots[before].group == spots[after].group:
            yield line("join", scale.x(before), scale.y(spots[before].mean), scale.x(after), scale.y(spots[after].mean))
        else:
            middle = scale.x((before + after) / 2)
            yield line("break", middle, _TOP - 4, middle, HEIGHT - _BOTTOM)
            yield text("≠", middle, _TOP - 7, "middle", "sign")


def _spot(scale: _Scale, column: int, spots: Sequence[Spot]) -> Element:
    spot, x = spots[column], scale.x(column)
    made = make("g", make("title", spot.note))
    if not math.isnan(spot.mean):
        if not math.isnan(spot.low):
            made.append(line("bar", x, scale.y(spot.low), x, scale.y(spot.high)))
        now = spot.group == max(one.group for one in spots)
        made.append(dot("dot" if now else "dot other", x, scale.y(spot.mean)))
    if spot.mark:
        y = _TOP - 7 if not math.isnan(spot.mean) else HEIGHT - _BOTTOM - 6
        made.append(text(spot.mark, x, y, "middle", f"sign {spot.tone}".strip()))
    return made
