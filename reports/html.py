"""Render a document as one self-contained HTML page, with pictures, style and script inside.

The page is built as a tree of elements, so that text is never read as markup. Its content security policy allows its
style, its script (by digest) and embedded pictures, but no request.
"""

import base64
import hashlib
import struct
from pathlib import Path
from xml.etree import ElementTree

from reports.document import (
    Block,
    Bold,
    Chart,
    Charts,
    Code,
    Document,
    Facts,
    Field,
    Figure,
    Heading,
    Inline,
    Items,
    Link,
    Listing,
    Paragraph,
    Table,
    Text,
    inlines,
    words,
)

_HERE = Path(__file__).with_name("templates")
Element = ElementTree.Element
# A text in a table of at most this many characters stays on one line.
_SHORT = 24


def render(document: Document) -> str:
    """Return the whole page."""
    style, script = ((_HERE / name).read_text() for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    head = _element(
        "head",
        _element("meta", charset="utf-8"),
        _element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _element("meta", content=policy, **{"http-equiv": "Content-Security-Policy"}),
        _element("title", document.title),
        _element("link", rel="icon", href="data:,"),
        _element("style", style),
    )
    main = _element("main", _element("h1", document.title), *_sections(document.blocks))
    body = _element("body", _contents(document.blocks), main, _element("script", script))
    page = ElementTree.tostring(_element("html", head, body, lang="en"), encoding="unicode", method="html")
    return f"<!doctype html>\n{page}\n"


def _element(tag: str, *children: Element | str, **attributes: str) -> Element:
    """Return an element; a trailing underscore distinguishes an attribute's name from a Python keyword."""
    made = Element(tag, {name.rstrip("_"): value for name, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + child
        else:
            made.text = (made.text or "") + child
    return made


def _contents(blocks: list[Block]) -> Element:
    links = [
        _element("a", block.text, href=f"#{_anchor(block)}")
        for block in blocks
        if isinstance(block, Heading) and block.level == 2
    ]
    return _element("nav", *links, **{"aria-label": "Contents"})


def _anchor(heading: Heading) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in heading.text.lower()).split())


def _sections(blocks: list[Block]) -> list[Element]:
    """Return the blocks in sections, one per heading of level 2."""
    sections: list[Element] = [_element("section")]
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2:
            sections.append(_element("section", id=_anchor(block)))
        sections[-1].append(_block(block))
    return [section for section in sections if len(section)]


def _block(block: Block) -> Element:
    match block:
        case Heading():
            return _element(f"h{block.level}", block.text, **({"id": block.anchor} if block.anchor else {}))
        case Paragraph():
            return _element("p", *_text(block.text), **({"class_": block.tone} if block.tone else {}))
        case Table():
            return _table(block)
        case Figure():
            return _figure(block)
        case Charts():
            return _element(
                "div", *(_chart(chart) for chart in block.charts), class_="charts wide" if block.wide else "charts"
            )
        case Listing():
            return _element("pre", _element("code", block.text))
        case Items():
            return _element("ul", *(_element("li", *_text(item)) for item in block.items))
        case Facts():
            pairs = (_element("div", _element("dt", name), _element("dd", *_text(text))) for name, text in block.pairs)
            return _element("dl", *pairs)


def _table(table: Table) -> Element:
    kinds = ["words" if name in table.left else "number" for name in table.head]
    heads = [
        # A column head may be broken into lines, but not before its unit.
        _element(
            "th", _element("button", name.replace(", ", ",\N{NO-BREAK SPACE}"), type="button"), scope="col", class_=kind
        )
        for name, kind in zip(table.head, kinds, strict=True)
    ]
    rows = [_element("tr", *(_field(cell, kind) for cell, kind in zip(row, kinds, strict=True))) for row in table.rows]
    made = _element("table", _element("thead", _element("tr", *heads)), _element("tbody", *rows))
    # A wide table scrolls on its own, with the keyboard too.
    frame = _element("div", made, class_="table", tabindex="0", role="region", **{"aria-label": "Table"})
    return _element("details", _element("summary", table.long), frame) if table.long else frame


def _field(cell: Field | Text, kind: str) -> Element:
    cell = cell if isinstance(cell, Field) else Field(cell)
    short = "short" if kind == "words" and len(words(cell.text)) <= _SHORT else ""
    more = {"class_": " ".join(filter(None, (kind, short, cell.tone)))}
    if cell.value is not None:
        more["data-value"] = repr(cell.value) if cell.value == cell.value else ""
    if cell.anchor:
        more["id"] = cell.anchor
    return _element("td", *_text(cell.text), **more)


def _figure(figure: Figure) -> Element:
    width, height = struct.unpack(">II", figure.png[16:24])  # from the header of the PNG
    source = "data:image/png;base64," + base64.b64encode(figure.png).decode()
    picture = _element("img", src=source, alt=figure.alt, width=str(width), height=str(height))
    return _element("figure", picture, _element("figcaption", *_text(figure.caption)))


def _chart(chart: Chart) -> Element:
    return _element("figure", chart.svg, _element("figcaption", *_text(chart.caption)))


def _text(text: Text) -> list[Element | str]:
    return [_inline(part) for part in inlines(text)]


def _inline(part: Inline) -> Element | str:
    match part:
        case Bold():
            return _element("strong", part.text)
        case Code():
            return _element("code", part.text)
        case Link():
            return _element("a", words(part), href=part.target.replace(" ", "%20"))
    return part
