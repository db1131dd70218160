"""Charts with their legends and numbers, the switches of the cells, and the picture viewer."""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence

from reports.charts.marks import swatch
from reports.document import Figure, Key, Plot, Viewer
from reports.html.elements import Element, element, texts
from reports.html.tables import table
from results import counted

# What the buttons below the list of cells say, and what they do with all of them.
_EVERY = (("Show all", "on"), ("Hide all", "off"))


def figure(shown: Figure, plot: Plot, heading: str, keys: Mapping[str, Key]) -> Element:
    """Return a chart with its legend, its caption, and its numbers, which are its text alternative."""
    name = shown.name.partition(".")[0]
    numbers = table(plot.numbers, f"{heading}, numbers", keys, f"numbers-{name}")
    numbers.set("class", "numbers")
    plot.svg.set("aria-details", f"numbers-{name}")
    parts: list[Element] = [element("div", plot.svg, class_="drawing")]
    if plot.keys:
        parts.append(legend(plot.keys))
    if plot.shades:
        parts.append(_shades(plot.shades))
    notes = [element("p", note, class_="note") for note in plot.notes]
    return element("figure", *parts, *notes, element("figcaption", *texts(shown.caption)), numbers, class_="chart")


def legend(keys: Sequence[Key]) -> Element:
    """Return the names of cells with their markers; the script makes a switch of each."""
    more = [{"data-switch": key.cell} if key.cell else {} for key in keys]
    items = [element("li", swatch(key.look), key.label, **own) for key, own in zip(keys, more, strict=True)]
    return element("ul", *items, class_="legend")


def _shades(names: Sequence[str]) -> Element:
    items = []
    for number, name in enumerate(names):
        box = element("rect", x="-7", y="-7", width="14", height="14", class_=f"s{number}")
        mark = element("svg", box, class_="swatch", viewBox="-8 -8 16 16", **{"aria-hidden": "true"})
        items.append(element("li", mark, name))
    return element("ul", *items, class_="legend")


def switches(keys: Sequence[Key]) -> Element:
    """Return the list of all cells, which the script shows and makes switches of."""
    buttons = [element("button", text, type="button", **{"data-all": state}) for text, state in _EVERY]
    summary = element("summary", "Cells: ", element("span", f"all {len(keys)} shown", role="status"))
    inner = element("div", legend(keys), element("p", *buttons), class_="inner")
    return element("details", summary, inner, id="switches", hidden="hidden")


def viewer(shown: Viewer, number: int) -> Element:
    """Return the data of a picture viewer; the script builds the rest."""
    data = {
        "void": shown.void,
        "cells": [[key.cell, key.label] for key in shown.keys],
        "classes": [[name, *color] for name, color in shown.classes],
        "shots": [
            {
                "name": shot.name,
                "size": shot.size,
                "photo": base64.b64encode(shot.photo).decode(),
                "truth": _packed(shot.truth),
                "predictions": {cell: _packed(ids) for cell, ids in shot.predictions.items()},
                "scores": shot.scores,
            }
            for shot in shown.shots
        ],
    }
    # In a script element nothing but its own end is markup.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = [element("script", text, type="application/json")]
    if shown.left_out:
        unshown = counted(shown.left_out, "more picture was", "more pictures were")
        parts.append(element("p", f"{unshown} kept; the page has no room for them.", class_="note"))
    more = {"aria-label": "Picture viewer" + (f" {number}" if number > 1 else ""), "role": "group"}
    return element("div", *parts, class_="viewer", hidden="hidden", **more)


def _packed(ids: bytes) -> str:
    return base64.b64encode(zlib.compress(ids, 9)).decode()
