"""Markers, and groups that the page's script and style know: one value, and everything of one cell."""

from reports.document import Key
from reports.figures.svg import Element, make

# Outlines around (0, 0), in the order of the markers of the PNG figures: o s D ^ v p d h < >.
_OUTLINES = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z", "M-4.5 -4.5h9v9h-9z", "M0 -6.2L6.2 0L0 6.2L-6.2 0z",
    "M0 -5.8L5.6 4.4H-5.6z", "M0 5.8L5.6 -4.4H-5.6z", "M0 -5.8L5.5 -1.8L3.4 4.7H-3.4L-5.5 -1.8z",
    "M0 -6.4L3.9 0L0 6.4L-3.9 0z", "M0 -5.8L5 -2.9V2.9L0 5.8L-5 2.9V-2.9z", "M-5.8 0L4.4 -5.6V5.6z",
    "M5.8 0L-4.4 -5.6V5.6z",
)  # fmt: skip


def tint(look: int) -> str:
    """Return the class of the colour of a number."""
    return f"c{look % 10}"


def marker(look: int, x: float = 0, y: float = 0, size: float = 1, kind: str = "mark") -> Element:
    """Return the marker of a number at a place."""
    outline = _OUTLINES[(look + look // 10) % 10]
    place = f"translate({x:.1f} {y:.1f})" + (f" scale({size:g})" if size != 1 else "")
    return make("path", class_=kind, d=outline, transform=place)


def swatch(look: int) -> Element:
    """Return a marker for words, such as a legend or a table; readers of screens skip it."""
    made = make("svg", marker(look), class_=f"swatch {tint(look)}", viewBox="-8 -8 16 16")
    made.set("aria-hidden", "true")
    return made


def datum(note: str, *parts: Element, **attributes: str) -> Element:
    """Return a value of a drawing, which `note` tells."""
    return make("g", make("title", note), *parts, class_="datum", **attributes)


def group(key: Key, *parts: Element, kind: str = "") -> Element:
    """Return everything that a drawing has of a cell."""
    made = make("g", *parts, class_=f"{kind} cell {tint(key.look)}".strip())
    made.set("data-cell", key.cell)
    return made


def bar(kind: str, x1: float, x2: float, y: float, height: float) -> Element:
    """Return a lying bar around the line `y`."""
    left, wide = min(x1, x2), abs(x2 - x1)
    return make(
        "rect", class_=kind, x=f"{left:.1f}", y=f"{y - height / 2:.1f}", width=f"{wide:.1f}", height=f"{height:g}"
    )


def path(kind: str, places: list[tuple[float, float]], closed: bool = False) -> Element:
    """Return a line through places."""
    route = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return make("path", class_=kind, d=f"M{route}{'z' if closed else ''}")
