"""The result of a benchmark: ratios of two sides that were measured in one run, each with its bar, if there is one."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.core import describe

MISSED = 1
"""Exit status of a benchmark that misses a bar."""


class Ratio(NamedTuple):
    """One comparison of two figures in one unit.

    Attributes:
        what: the subject of the measurement.
        unit: of both figures.
        ours: our figure.
        against: name of the other side.
        other: its figure.
        at_least: bar: the least ratio.
        at_most: bar: the largest ratio.
        spread: quartiles of the ratio over the rounds, if there were rounds.
    """

    what: str
    unit: str
    ours: float
    against: str
    other: float
    at_least: float | None = None
    at_most: float | None = None
    spread: tuple[float, float] | None = None

    @property
    def value(self) -> float:
        """The ratio `ours / other`."""
        return self.ours / self.other

    @property
    def bar(self) -> str:
        """The bar and whether it is met, in words; empty without one."""
        low, high = self.at_least, self.at_most
        bars = [f"{word} {bar:g}" for word, bar in (("at least", low), ("at most", high)) if bar is not None]
        return f"{', '.join(bars)}: {'met' if self.met else 'missed'}" if bars else ""

    @property
    def met(self) -> bool:
        """Whether the ratio keeps its bars; true without any."""
        low, high = self.at_least, self.at_most
        return (low is None or self.value >= low) and (high is None or self.value <= high)


HEADER = "| what | unit | ours | against | | ratio | quartiles | bar |\n|---|---|--:|---|--:|--:|--:|---|"


def line(ratio: Ratio) -> str:
    """Return a row of the table under `HEADER`."""
    cells = [ratio.what, ratio.unit, f"{ratio.ours:.4g}", ratio.against, f"{ratio.other:.4g}", f"{ratio.value:.3g}"]
    spread = " to ".join(f"{value:.3g}" for value in ratio.spread or ())
    return f"| {' | '.join([*cells, spread, ratio.bar])} |"


def stack() -> str:
    """Return the software and processor of the measurement in one line."""
    here = describe()
    return f"TensorFlow {here['tensorflow']}, Keras {here['keras']}, {here['cores']} cores of {here['processor']}"


def report(ratios: Sequence[Ratio], out: Path | None, *, complete: bool = True) -> int:
    """Print the table, `keep` it, and return the exit status: 1 if a bar is missed, else 0."""
    print(f"{stack()}; load {', '.join(f'{value:.1f}' for value in os.getloadavg())}")
    print("\n".join([HEADER, *map(line, ratios)]), flush=True)
    keep(ratios, out, complete)
    return 0 if all(ratio.met for ratio in ratios) else MISSED


def keep(ratios: Sequence[Ratio], out: Path | None, complete: bool = False) -> None:
    """Write figures and machine to a file, if one is given, so that a crash loses only what follows.

    Args:
        ratios: the figures so far.
        out: the JSON file; None to write nothing.
        complete: whether no more figures follow.
    """
    if out is not None:
        rows = [ratio._asdict() for ratio in ratios]
        found = {"environment": dict(describe()), "load": os.getloadavg(), "complete": complete, "ratios": rows}
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> tuple[list[Ratio], bool]:
    """Return the ratios that `report` wrote, and whether they are complete; no ratios if there is no file."""
    if not path.is_file():
        return [], False
    found = json.loads(path.read_text(encoding="utf-8"))
    rows = [Ratio(**row) for row in found["ratios"]]
    return [row._replace(spread=row.spread and (row.spread[0], row.spread[1])) for row in rows], found["complete"]
