"""Tables of a page. Its script sorts them, hides rows of cells, and hands them out as CSV."""

from collections.abc import Mapping

from reports.charts.marks import swatch
from reports.document import Field, Key, Table, Text, words
from reports.html.elements import Element, element, texts

# A text in a table of at most this many characters stays on one line.
_SHORT = 24


def table(shown: Table, name: str, keys: Mapping[str, Key], anchor: str = "") -> Element:
    """Return a table; `name` is what readers of screens call it, `keys` are the cells whose rows are marked."""
    kinds = ["words" if head in shown.left else "number" for head in shown.head]
    heads = [
        # A column head may be broken into lines, but not before its unit.
        element(
            "th", element("button", head.replace(", ", ",\N{NO-BREAK SPACE}"), type="button"), scope="col", class_=kind
        )
        for head, kind in zip(shown.head, kinds, strict=True)
    ]
    cells = shown.cells or ("",) * len(shown.rows)
    rows = [_row(row, kinds, keys.get(cell)) for row, cell in zip(shown.rows, cells, strict=True)]
    made = element("table", element("thead", element("tr", *heads)), element("tbody", *rows))
    # A wide table scrolls on its own, with the keyboard too.
    frame = element("div", made, class_="table", tabindex="0", role="region", **{"aria-label": f"Table: {name}"})
    more = {"id": anchor} if anchor else {}
    return element("details", element("summary", shown.long), frame, **more) if shown.long else frame


def _row(row: list[Field | Text], kinds: list[str], key: Key | None) -> Element:
    made = element("tr", *(_field(cell, kind) for cell, kind in zip(row, kinds, strict=True)))
    if key:
        made.set("data-cell", key.cell)
        first = made[0]
        mark = swatch(key.look)
        mark.tail, first.text = first.text, None
        first.insert(0, mark)
    return made


def _field(cell: Field | Text, kind: str) -> Element:
    cell = cell if isinstance(cell, Field) else Field(cell)
    short = "short" if kind == "words" and len(words(cell.text)) <= _SHORT else ""
    more = {"class_": " ".join(filter(None, (kind, short, cell.tone)))}
    if cell.value is not None:
        more["data-value"] = repr(cell.value) if cell.value == cell.value else ""
    if cell.anchor:
        more["id"] = cell.anchor
    return element("td", *texts(cell.text), **more)
