"""Render a document as GitHub Markdown, with its figures in files beside it."""

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate

from reports.document import (
    Block,
    Bold,
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
    Viewer,
    inlines,
)


def render(document: Document, figures: str = "figures") -> str:
    """Return the Markdown text; its figures are expected in the folder `figures`."""
    parts = [f"# {escape(document.title)}", *(_block(block, figures) for block in document.blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


WIDTH = 120
"""Columns of the lines of a page that is kept beside pages written by hand."""
_BREAK = re.compile(r" (?!(?:[-+*>#=~]+|\d+[.)])(?: |$))")
"""A space at which a line may end: what follows does not begin a list, a heading or a quotation."""


def _places(page: str, kind: str) -> list[re.Match[str]]:
    """Return the places of a page from the mark to the next comment: its groups are mark, name, and that comment."""
    return [*re.finditer(rf"(<!-- ({kind}(?: [^\n]+?)?) -->\n).*?(?=(<!-- [^\n]+? -->)|\Z)", page, re.DOTALL)]


def places(page: str, kind: str) -> list[str]:
    """List the places of a page that a command fills in, `<!-- KIND -->` or `<!-- KIND NAME -->` to `<!-- end -->`.

    Raises:
        ValueError: a place does not end before the next one begins; what lies between would be lost.
    """
    found = _places(page, kind)
    for place in found:
        if place[3] != "<!-- end -->":
            line = page.count("\n", 0, place.start()) + 1
            where = f"before {place[3]}" if place[3] else "after it"
            raise ValueError(f"line {line}: <!-- {place[2]} --> has no <!-- end --> {where}; put one behind its text")
    return [place[2] for place in found]


def filled(page: str, kind: str, texts: Mapping[str, str]) -> str:
    """Return a page with new text in its places, which `places` has found sound.

    Args:
        page: the page.
        kind: of the places.
        texts: the text of each place by what its mark says, `KIND` or `KIND NAME`.
    """
    parts, at = [], 0
    for place in _places(page, kind):
        parts += [page[at : place.start()], place[1], texts[place[2]], "\n"]
        at = place.end()
    return "".join([*parts, page[at:]])


def part(blocks: Sequence[Block]) -> str:
    """Return blocks as text for a place of a page."""
    return wrapped(render(Document("", [*blocks])).split("\n", 1)[1].strip())


def wrapped(text: str) -> str:
    """Return Markdown text with lines of `WIDTH` columns at most. Tables, headings, pictures, listings stay whole."""
    fences = accumulate(line.startswith("```") for line in text.split("\n"))
    return "\n".join(
        line if within % 2 or line.startswith(("|", "![", "```", "#")) else _filled(line)
        for line, within in zip(text.split("\n"), fences, strict=True)
    )


def _filled(line: str) -> str:
    lines, indent = [""], "  " if line.startswith("- ") else ""
    for word in _BREAK.split(line):
        if lines[-1].strip() and len(lines[-1]) + 1 + len(word) > WIDTH:
            lines.append(indent + word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return "\n".join(lines)


def _block(block: Block, figures: str) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {escape(block.text)}"
        case Paragraph():
            return _text(block.text)
        case Table():
            return _table(block)
        case Figure():
            return f"![{escape(block.alt)}]({figures}/{block.name})\n\n{_text(block.caption)}"
        case Viewer():
            return ""
        case Charts():
            return "\n".join(f"- {_text(chart.caption)}" for chart in block.charts)
        case Listing():
            return f"```\n{block.text}\n```"
        case Items():
            return "\n".join(f"- {_text(item)}" for item in block.items)
        case Facts():
            rows: list[list[Field | Text]] = [[Bold(name), text] for name, text in block.pairs]
            return _table(Table(["setting", "value"], rows, frozenset({"setting", "value"})))


def _table(table: Table) -> str:
    rule = [":---" if name in table.left else "---:" for name in table.head]
    rows = [[_text(cell.text if isinstance(cell, Field) else cell) for cell in row] for row in table.rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in [[*map(escape, table.head)], rule, *rows])


def _text(text: Text) -> str:
    return "".join(map(_inline, inlines(text)))


def _inline(part: Inline) -> str:
    match part:
        case Bold():
            return f"**{escape(part.text)}**"
        case Code():
            return f"`{part.text}`"
        case Link():
            inside = part.target.startswith("#")
            return escape(part.text) if inside else f"[{escape(part.text)}]({part.target.replace(' ', '%20')})"
    return escape(part)


def escape(value: str) -> str:
    """Return text that cannot break a table or be read as markup."""
    ends = value[: len(value) - len(value.lstrip(" "))], value[len(value.rstrip(" ")) :]
    text = " ".join(value.split())
    for mark in "\\|<>*`[]":
        text = text.replace(mark, f"\\{mark}")
    return f"{ends[0]}{text}{ends[1]}" if text else ends[0]
