"""Content of a page, apart from its format: the same blocks become Markdown, HTML and text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from xml.etree.ElementTree import Element


@dataclass(frozen=True)
class Bold:
    """Text in bold."""

    text: str


@dataclass(frozen=True)
class Code:
    """Text in a fixed-width font."""

    text: str


@dataclass(frozen=True)
class Link:
    """A link: `target` is a path relative to the page, or `#anchor`, which Markdown shows as plain text."""

    text: str
    target: str


Inline = str | Bold | Code | Link
Text = Inline | Sequence[Inline]
Tone = Literal["", "good", "bad", "unsure"]


@dataclass(frozen=True)
class Heading:
    """A heading; `level` 2 begins a section, higher levels are inside it and may have an anchor."""

    text: str
    level: int = 2
    anchor: str = ""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph: `tone` is its colour in formats that have colours; the words have to say the same without it."""

    text: Text
    tone: Tone = ""


@dataclass(frozen=True)
class Field:
    """A field of a table: its text, its sort key (None: the text), its tone and its anchor."""

    text: Text
    value: float | None = None
    tone: Tone = ""
    anchor: str = ""


@dataclass(frozen=True)
class Table:
    """A table: columns named in `left` hold words, the others numbers. A `long` table is folded where possible.

    `cells` has the key of the cell that each row is about, if every row is about one. A page can then hide them.
    """

    head: list[str]
    rows: list[list[Field | Text]]
    left: frozenset[str] = frozenset()
    long: str = ""
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Key:
    """How a cell is shown: its key, its label, and the number of its colour and marker."""

    cell: str
    label: str
    look: int


@dataclass(frozen=True)
class Plot:
    """A drawing whose values can be asked for.

    Attributes:
        svg: its element; groups of the class `datum` hold their value as title, those with `data-cell` are of a cell.
        numbers: the values as a table, which is the text alternative.
        keys: the cells (or series, without a cell) that need a legend; empty if the drawing names them.
        shades: names of the fills `s0`, `s1` and so on that need a legend.
        notes: lines below the drawing.
    """

    svg: Element
    numbers: Table
    keys: tuple[Key, ...] = ()
    shades: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A picture in the page; `name` is its file beside a Markdown page, `alt` describes it.

    HTML shows `plot` in its place, if there is one.
    """

    name: str
    png: bytes
    alt: str
    caption: Text
    plot: Plot | None = None


@dataclass(frozen=True)
class Shot:
    """A photograph with its truth and the label maps that cells predict.

    Attributes:
        name: of the picture.
        photo: a JPEG, or empty.
        size: width and height of the label maps.
        truth: class ids, row by row.
        predictions: {cell: class ids}.
        scores: {cell: IoU in percent, over all classes and per class; None where there is none}.
    """

    name: str
    photo: bytes
    size: tuple[int, int]
    truth: bytes
    predictions: dict[str, bytes]
    scores: dict[str, list[float | None]]


@dataclass(frozen=True)
class Viewer:
    """Pictures to look through: any two of photograph, truth, predictions and errors. Markdown leaves it out.

    Attributes:
        shots: the pictures of one data set.
        keys: the cells, best first.
        classes: name and colour of each class.
        void: the class id that counts nowhere.
        name: of the data set, if the page has several.
        left_out: number of further pictures, for which the page has no room.
    """

    shots: tuple[Shot, ...]
    keys: tuple[Key, ...]
    classes: tuple[tuple[str, tuple[int, int, int]], ...]
    void: int
    name: str = ""
    left_out: int = 0


@dataclass(frozen=True)
class Chart:
    """A small drawing: `svg` is its element, which has the text alternative, `caption` stands below it."""

    svg: Element
    caption: Text


@dataclass(frozen=True)
class Charts:
    """Charts side by side, fewer per row if they are wide. Markdown has only their captions."""

    charts: list[Chart]
    wide: bool = False


@dataclass(frozen=True)
class Listing:
    """Text to copy, such as a command."""

    text: str


@dataclass(frozen=True)
class Items:
    """A bulleted list."""

    items: list[Text]


@dataclass(frozen=True)
class Facts:
    """Pairs of a name and a text, such as the settings of a run."""

    pairs: list[tuple[str, Text]]


Block = Heading | Paragraph | Table | Figure | Charts | Viewer | Listing | Items | Facts


@dataclass(frozen=True)
class Document:
    """A page: its title, its blocks in order, and the cells that can be switched off in all of them."""

    title: str
    blocks: list[Block] = field(default_factory=list)
    keys: tuple[Key, ...] = ()

    @property
    def figures(self) -> list[Figure]:
        """Return the figures of the page, in order."""
        return [block for block in self.blocks if isinstance(block, Figure)]


def inlines(text: Text) -> list[Inline]:
    """Return the parts of a text."""
    return [text] if isinstance(text, str | Bold | Code | Link) else list(text)


def words(text: Text) -> str:
    """Return a text without its markup."""
    return "".join(part if isinstance(part, str) else part.text for part in inlines(text))
