"""Elements of the small SVG drawings. Their colours are classes that the style of the page defines.

So a drawing follows a dark or a printed page. They are made here and not by matplotlib, because a site holds hundreds:
one takes about a millisecond and a few kB.
"""

import math
from xml.etree import ElementTree

Element = ElementTree.Element


def make(tag: str, *children: Element | str, **attributes: str) -> Element:
    """Return an element; a trailing underscore distinguishes an attribute's name from a Python keyword."""
    made = Element(tag, {name.rstrip("_"): value for name, value in attributes.items()})
    for child in children:
        if isinstance(child, str):
            made.text = child
        else:
            made.append(child)
    return made


def picture(width: float, height: float, description: str) -> Element:
    """Return an empty drawing; its description is its text alternative."""
    made = make("svg", class_="course", viewBox=f"0 0 {width:g} {height:g}", role="img")
    made.set("aria-label", description)
    return made


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Element:
    """Return a straight line of a class."""
    return make("line", class_=kind, x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}")


def dot(kind: str, x: float, y: float) -> Element:
    """Return a point of a class."""
    return make("circle", class_=kind, cx=f"{x:.1f}", cy=f"{y:.1f}", r="4")


def text(said: str, x: float, y: float, anchor: str, kind: str = "") -> Element:
    """Return a text; `anchor` is start, middle or end."""
    made = make("text", said, x=f"{x:.1f}", y=f"{y:.1f}", **{"text-anchor": anchor})
    if kind:
        made.set("class", kind)
    return made


def ticks(low: float, high: float, about: int = 3) -> list[str]:
    """Return round numbers inside a range, with equally many decimals: two to six if it is to be about three.

    >>> ticks(69.4, 71.1), ticks(980, 1420), ticks(5.7, 14.5)
    (['69.5', '70.0', '70.5', '71.0'], ['1000', '1200', '1400'], ['7.5', '10.0', '12.5'])
    """
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * one for one in (1, 2, 2.5, 5, 10) if power * one >= 0.7 * raw)
    digits = next(n for n in range(20) if math.isclose(round(step, n), step))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [f"{index * step:.{digits}f}" for index in range(first, last + 1)]
