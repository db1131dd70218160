"""Render a document as one self-contained HTML page, with pictures, style and script inside.

Its content security policy allows its own style and scripts (by digest) and embedded pictures, but no request.
"""

import base64
import hashlib
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

from reports.document import (
    Block,
    Chart,
    Charts,
    Document,
    Facts,
    Figure,
    Heading,
    Items,
    Key,
    Listing,
    Paragraph,
    Table,
    Viewer,
)
from reports.html import plots
from reports.html.elements import Element, element, texts
from reports.html.tables import table

_TEMPLATES = Path(__file__).parents[1] / "templates"


def render(document: Document) -> str:
    """Return the whole page."""
    styles, scripts = _assets(document)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", content=_policy(styles, scripts), **{"http-equiv": "Content-Security-Policy"}),
        element("title", document.title),
        element("link", rel="icon", href="data:,"),
        *(element("style", style) for style in styles),
    )
    top = element("header", _contents(document.blocks))
    if len(document.keys) > 1:
        top.append(plots.switches(document.keys))
    main = element("main", element("h1", document.title), *_sections(document))
    body = element("body", top, main, *(element("script", script) for script in scripts))
    page = ElementTree.tostring(element("html", head, body, lang="en"), encoding="unicode", method="html")
    return f"<!doctype html>\n{page}\n"


def _assets(document: Document) -> tuple[list[str], list[str]]:
    """Return the styles and the scripts that a page needs."""
    styles, scripts = ["page.css"], ["page.js"]
    charts = any(figure.plot for figure in document.figures)
    if charts:
        styles, scripts = [*styles, "charts.css"], [*scripts, "charts.js"]
    if any(isinstance(block, Viewer) for block in document.blocks):
        styles, scripts = [*styles, "viewer.css"], [*scripts, "viewer.js"]
    # The switches speak to the others, so they come last.
    scripts += ["cells.js"] if len(document.keys) > 1 else []
    return [(_TEMPLATES / name).read_text() for name in styles], [(_TEMPLATES / name).read_text() for name in scripts]


def _policy(styles: list[str], scripts: list[str]) -> str:
    def digests(texts: list[str]) -> Iterator[str]:
        for text in texts:
            yield f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    allowed = f"img-src data:; style-src {' '.join(digests(styles))}; script-src {' '.join(digests(scripts))}"
    return f"default-src 'none'; base-uri 'none'; form-action 'none'; {allowed}"


def _contents(blocks: list[Block]) -> Element:
    links = [element("a", text, href=f"#{_anchor(text)}") for block in blocks if (text := _section_of(block))]
    return element("nav", *links, **{"aria-label": "Contents"})


def _section_of(block: Block) -> str:
    """Return the heading of the section that a block begins; empty if it begins none."""
    if isinstance(block, Viewer):
        return f"Pictures of {block.name}" if block.name else ""
    return block.text if isinstance(block, Heading) and block.level == 2 else ""


def _anchor(heading: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in heading.lower()).split())


def _sections(document: Document) -> list[Element]:
    """Return the blocks in sections, one per heading of level 2."""
    keys = {key.cell: key for key in document.keys}
    sections: list[Element] = [element("section")]
    heading, viewers = document.title, 0
    for block in document.blocks:
        if begun := _section_of(block):
            sections.append(element("section", id=_anchor(begun)))
        heading = block.text if isinstance(block, Heading) else heading
        if isinstance(block, Viewer):
            viewers += 1
            if begun:
                sections[-1].append(element("h2", begun))
            sections[-1].append(plots.viewer(block, viewers))
        else:
            sections[-1].append(_block(block, heading, keys))
    return [section for section in sections if len(section)]


def _block(block: Block, heading: str, keys: Mapping[str, Key]) -> Element:
    match block:
        case Heading():
            return element(f"h{block.level}", block.text, **({"id": block.anchor} if block.anchor else {}))
        case Paragraph():
            return element("p", *texts(block.text), **({"class_": block.tone} if block.tone else {}))
        case Table():
            return table(block, heading, keys)
        case Figure():
            return plots.figure(block, block.plot, heading, keys) if block.plot else _picture(block)
        case Charts():
            return element(
                "div", *(_chart(chart) for chart in block.charts), class_="charts wide" if block.wide else "charts"
            )
        case Listing():
            return element("pre", element("code", block.text))
        case Items():
            return element("ul", *(element("li", *texts(item)) for item in block.items))
        case Facts():
            pairs = (element("div", element("dt", name), element("dd", *texts(text))) for name, text in block.pairs)
            return element("dl", *pairs)
    raise TypeError(f"no HTML for {type(block).__name__}")


def _picture(figure: Figure) -> Element:
    width, height = struct.unpack(">II", figure.png[16:24])  # from the header of the PNG
    source = "data:image/png;base64," + base64.b64encode(figure.png).decode()
    picture = element("img", src=source, alt=figure.alt, width=str(width), height=str(height))
    return element("figure", picture, element("figcaption", *texts(figure.caption)))


def _chart(chart: Chart) -> Element:
    return element("figure", chart.svg, element("figcaption", *texts(chart.caption)))
