"""Axes: from values to places, with round ticks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from reports.figures.svg import ticks


@dataclass(frozen=True)
class Axis:
    """An axis from `low` at the place `start` to `high` at the place `end`; `log` if it is logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def over(
        cls, values: Iterable[float], start: float, end: float, *, log: bool = False, zero: bool = False
    ) -> "Axis":
        """Return an axis that shows these values with a margin; with `zero`, it begins at zero. NaN is left out."""
        known = [value for value in values if not math.isnan(value)]
        if log:
            low, high = min(known), max(known)
            margin = max((high / low) ** 0.06, 1.15)
            return cls(low / margin, high * margin, start, end, True)
        low, high = min([0.0, *known] if zero else known), max(known)
        spread = (high - low) or max(abs(high), 1.0) * 0.1
        return cls(low if zero else low - 0.06 * spread, high + 0.06 * spread, start, end)

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        low, high, at = (math.log(one) for one in (self.low, self.high, value)) if self.log else (
            self.low, self.high, value
        )  # fmt: skip
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """Return (place, text) of round values on the axis."""
        about = 3 if abs(self.end - self.start) < 300 else 5
        if not self.log:
            return [(self(float(text)), _spaced(text)) for text in ticks(self.low, self.high, about)]
        decades = math.log10(self.high / self.low)
        steps = (1, 2, 3, 5, 7) if decades < 1.2 else (1, 3) if decades < 2.5 else (1,)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = (step * 10.0**power for power in powers for step in steps)
        return [(self(value), f"{value:g}") for value in values if self.low <= value <= self.high]


def _spaced(text: str) -> str:
    """Return a number with its thousands apart."""
    whole, dot, rest = text.partition(".")
    return f"{int(whole):,}".replace(",", "\N{THIN SPACE}") + dot + rest if len(whole.lstrip("-")) > 3 else text
