"""What a page says, apart from how it is written: the same blocks become Markdown, HTML and text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Bold:
    text: str


@dataclass(frozen=True)
class Code:
    text: str


@dataclass(frozen=True)
class Link:
    """`target` is a path relative to the page, or `#anchor`, which Markdown shows as plain text."""

    text: str
    target: str


Inline = str | Bold | Code | Link
Text = Inline | Sequence[Inline]
Tone = Literal["", "good", "bad", "unsure"]


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """`tone` colours it where there are colours; the words say it all the same."""

    text: Text
    tone: Tone = ""


@dataclass(frozen=True)
class Field:
    """A table's field: what it shows, what it is sorted by (the text, when None), its tone, its anchor."""

    text: Text
    value: float | None = None
    tone: Tone = ""
    anchor: str = ""


@dataclass(frozen=True)
class Table:
    """Columns named in `left` are words, the others numbers. `long` tables fold away where that is possible."""

    head: list[str]
    rows: list[list[Field | Text]]
    left: frozenset[str] = frozenset()
    long: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture in the page; `name` is its file beside a Markdown page, `alt` says what it shows."""

    name: str
    png: bytes
    alt: str
    caption: Text


@dataclass(frozen=True)
class Listing:
    """Text to copy, such as a command."""

    text: str


@dataclass(frozen=True)
class Items:
    items: list[Text]


Block = Heading | Paragraph | Table | Figure | Listing | Items


@dataclass(frozen=True)
class Document:
    title: str
    blocks: list[Block] = field(default_factory=list)

    @property
    def figures(self) -> list[Figure]:
        return [block for block in self.blocks if isinstance(block, Figure)]


def inlines(text: Text) -> list[Inline]:
    """Return the parts of a text."""
    return [text] if isinstance(text, str | Bold | Code | Link) else list(text)


def words(text: Text) -> str:
    """Return a text without its markup."""
    return "".join(part if isinstance(part, str) else part.text for part in inlines(text))
