"""The style of all figures: colours for the colour-blind, distinct markers, and equal bytes for equal data."""

import io
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

INK, SOFT = "#222222", "#8a8a8a"
MOST_ROWS = 40
THEME: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 13,
    "axes.titlesize": 15,
    "axes.labelsize": 14,
    "axes.edgecolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 12.5,
    "ytick.labelsize": 12.5,
    "legend.fontsize": 12,
    "text.color": INK,
    "figure.dpi": 110,
}
# Seaborn's colour-blind palette with its two palest colours darkened.
_COLORS = ["#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#56b4e9", "#ca9161", "#444444", "#949494", "#b59b00"]
_MARKERS = "osD^vpdh<>"
# Labels that most reports have; each keeps the colour of its place.
_KNOWN = (
    "cross_entropy", "dice", "bce", "dice_bce", "focal", "tversky", "focal_tversky", "lovasz_softmax", "jaccard",
    "unified_focal",
)  # fmt: skip


def png(figure: Figure) -> bytes:
    """Return the figure as PNG bytes, and close it."""
    out = io.BytesIO()
    # Without the Software entry the bytes do not depend on the version of matplotlib's own name tag.
    figure.savefig(
        out, format="png", bbox_inches="tight", pad_inches=0.15, facecolor="white", metadata={"Software": None}
    )
    plt.close(figure)
    return out.getvalue()


def style(index: int) -> dict[str, Any]:
    """Return the colour and the marker of this number; the first ten differ in both, the first hundred in one."""
    return {"color": _COLORS[index % 10], "marker": _MARKERS[(index + index // 10) % len(_MARKERS)]}


def numbers(labels: Iterable[str]) -> dict[str, int]:
    """Return {label: number of its colour and marker} of the cells of a report; a label has the same in every report.

    The commonest labels have a number of their own, others one by their letters. Where a label's number is taken in
    this report, it has the next free one, so that no two of up to a hundred labels look the same. Labels that several
    runs have, such as `dice (a)` and `dice (b)`, share the colour of `dice` and differ in their markers.
    """
    known = {label: number for number, label in enumerate(_KNOWN)}
    named = {label: label.partition(" (")[0] for label in labels}
    taken: dict[int, str] = {}
    for label in sorted(named, key=lambda label: (named[label] not in known, label)):
        first = known.get(named[label], zlib.crc32(named[label].encode()) % 10)
        free = [10 * layer + (first + step) % 10 for layer in range(10) for step in range(10)]
        if named[label] != label:
            free = [*range(first, 100, 10), *free]
        taken.setdefault(next((number for number in free if number not in taken), 100 + len(taken)), label)
    return {label: number for number, label in taken.items()}


def styles(labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return {label: colour and marker} of the cells of a report."""
    return {label: style(number) for label, number in numbers(labels).items()}


def readable(background: Sequence[float]) -> str:
    """Return black or white, whichever stands out more from a background, by the contrast of WCAG 2.

    Args:
        background: red, green and blue in 0..1; more values are ignored.

    >>> readable((1, 1, 1)), readable((0, 0, 0)), readable((0.72, 0.67, 0.44))
    ('black', 'white', 'black')
    """
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in background[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "white"


def short(label: str, most: int = 28) -> str:
    """Return a label of at most `most` characters, cut in the middle: labels of several axes differ at their ends."""
    return label if len(label) <= most else label[: (most - 1) // 2] + "…" + label[-(most // 2) :]


def say_cut(axes: plt.Axes, there: int, shown: int, which: str = "best") -> None:
    """Write in the title how many cells a figure leaves out."""
    if there > shown:
        axes.set_title(f"the {which} {shown} cells; {there - shown} more in the tables", loc="left")


def legend(axes: plt.Axes, entries: int) -> None:
    """Put a legend to the right of the axes."""
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, borderaxespad=0, ncols=1 + (entries - 1) // 15
    )
