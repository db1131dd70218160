"""The style of all figures: colours for the colour-blind, distinct markers, and equal bytes for equal data."""

import io
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
_MARKERS = "osD^vPXp<>"


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
    """Return colour and marker of the cell at this rank, the same in every figure; markers differ as well."""
    return {"color": _COLORS[index % 10], "marker": _MARKERS[(index + index // 10) % len(_MARKERS)]}


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
