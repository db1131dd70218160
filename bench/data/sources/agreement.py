"""Decide whether the values in the masks of a data set are class ids, or whether their colors give the class.

A program that reduces the size of image files keeps the colors but renumbers them per file. So if a value has two
colors, or a color has two values, the values are not ids. Only all files of a data set together show that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

from PIL import Image

from bench.core import IGNORE_INDEX, UsageError
from bench.data.image_io import Source, decoded, encoded
from bench.data.sources.mask_codes import Color, Colors, MaskCode, Shown, Values, ValuesOrColors
from bench.data.sources.stored import Stored, is_colors, one_channel, shows_otherwise

_AT_ONCE = 256
_TO_SPARE = 16


class Look(NamedTuple):
    """What one mask shows.

    Attributes:
        source: the mask, named in messages.
        shown: color of each value in the mask; None if the palette does not define it.
        palette: whether the file has a palette.
        ids: whether the values may be class ids.
    """

    source: Source
    shown: dict[int, Color | None]
    table: bytes
    """RGB bytes of all values of the color table; empty if each value is shown as its own grey."""
    palette: bool
    ids: bool
    colors: bool = False
    """Whether the mask has several channels. Then the other fields carry no information."""

    def color(self, value: int) -> Color | None:
        """Return the color of a value that the mask has or could have; None if that is not defined."""
        if value in self.shown or not self.table:
            return self.shown.get(value, (value, value, value))
        found = tuple(self.table[3 * value : 3 * value + 3])
        return (found[0], found[1], found[2]) if found else None

    @property
    def grey(self) -> bool:
        """Whether all values in the mask are shown as greys."""
        return all(color is not None and len(set(color)) == 1 for color in self.shown.values())


def code_of(
    root: object, masks: Iterable[Source], coded: Colors | None, mask_values: str, *, greys_are_ids: bool = False
) -> tuple[MaskCode, tuple[str, ...]]:
    """Return how the masks of a data set are read, and notes on it. Unreadable masks are skipped, and reported later.

    Args:
        root: the data set, named in messages.
        coded: the colors of all classes; None if they are not known.
        mask_values: auto, ids, binary or colors.
        greys_are_ids: whether values of grey files are ids, whatever the colors of the classes.

    Raises:
        UsageError: the masks are ambiguous, or `mask_values` is colors and the colors of the classes are not known.
    """
    if mask_values == "colors":
        if coded is None:
            raise UsageError(f"{root}: data.mask_values=colors needs a classes.yaml with the color of every class")
        return coded, ()
    masks = list(masks)
    want_greys = coded is not None and not greys_are_ids and any(len(set(color)) == 1 for color in coded.ids)
    looks = list(_looks(masks, plain=want_greys))
    tabled = [look for look in looks if look.table]
    if tabled and not want_greys and all(look.grey for look in tabled):
        looks = list(_looks(masks, plain=True))
    if mask_values == "ids":
        conflict = _conflict(look for look in tabled if look.ids)
        return Values(), (f"{root}: {conflict}, read by their values (data.mask_values=ids)",) if conflict else ()
    if coded is not None and mask_values == "auto":
        grey = not greys_are_ids and _only_greys_of(coded, looks)
        palette = _numbered_otherwise(coded, [look for look in looks if look.palette])
        left = [look for look in looks if not (look.colors or (palette if look.palette else grey))]
        values = _values(root, left, mask_values)
        return ValuesOrColors(coded, grey, palette, values, any_color=grey or len(left) < len(looks)), ()
    return _values(root, looks, mask_values), ()


def agreed(root: object, masks: Iterable[Source]) -> None:
    """Refuse a data set of known ids (published, or exported by a tool) if its masks no longer agree on them.

    Raises:
        UsageError: a value has two colors, or a color has two values.
    """
    if conflict := _conflict(look for look in _looks(masks, plain=False) if look.table):
        raise UsageError(
            f"{root}: {conflict}, so the values are not class ids; take the masks as they were published or exported"
        )


def sparse(ids: Collection[int]) -> bool:
    """Return whether values are too few, compared with the largest, to be undeclared class ids.

    That is so if the ids 0..largest would be more than 4 per value present, plus 16. Void is not counted.
    """
    ids = set(ids) - {IGNORE_INDEX}
    return max(ids, default=0) + 1 > 4 * len(ids) + _TO_SPARE


def _values(root: object, looks: list[Look], mask_values: str) -> Values | Shown:
    """Return the code of masks that are not read by class colors.

    The code itself refuses a mask whose values cannot be ids, such as a GIF in colors.

    Raises:
        UsageError: the values cannot be taken for ids, or the masks are ambiguous.
    """
    tabled = [look for look in looks if look.table and look.ids]
    if not tabled:
        return Values()
    palettes = [look for look in tabled if look.palette]
    conflict = _conflict(tabled)
    if not all(look.grey for look in tabled):
        if conflict:
            raise UsageError(f"{root}: {conflict}; {_TODO}")
        return Values()
    shown = {color[0] for look in looks for color in look.shown.values() if color}
    black_and_white = shown <= {0, IGNORE_INDEX}
    if black_and_white and mask_values == "binary":
        return Shown()
    if conflict := conflict or _conflict(look for look in looks if look.ids):
        if black_and_white or (_conflict(palettes) and not sparse(shown)):
            return Shown()
        raise UsageError(f"{root}: {conflict}; {_TODO_GREY}")
    if black_and_white and any(look.shown.get(0) == (IGNORE_INDEX,) * 3 for look in tabled):
        raise UsageError(
            f"{root}: in the palettes of the masks index 0 is white and 1 is black; set data.mask_values=ids if 0 is "
            "the background, or binary if black is"
        )
    return Values()


_TODO = (
    "the values of these masks are no ids: write a classes.yaml with the color of every class and set "
    "data.mask_values=colors, or set it to ids if the values are meant anyway"
)
_TODO_GREY = (
    "set data.mask_values=ids if the values are ids, or colors with a classes.yaml that has the grey of every class"
)


def _looks(masks: Iterable[Source], plain: bool) -> Iterator[Look]:
    """Yield the look of each mask. Masks in which each value is its own grey are included only with `plain`."""

    def look(source: Source) -> Look | None:
        def read(image: Image.Image, source: Source) -> Look | None:
            if is_colors(image):
                return Look(source, {}, b"", palette=False, ids=False, colors=True)
            if not (plain or shows_otherwise(image)):
                return None
            return _look(source, one_channel(image, source))

        try:
            return decoded(source, encoded(source), read)
        except UsageError:  # reported when the pairs are examined
            return None

    rest = iter(masks)
    with ThreadPoolExecutor() as pool:
        while some := list(islice(rest, _AT_ONCE)):
            yield from (found for found in pool.map(look, some) if found is not None)


def _look(source: Source, stored: Stored) -> Look:
    table = b"" if stored.shown is None else stored.shown.tobytes()
    shown = {value: stored.color(value) for value in stored.used()}
    return Look(source, shown, table, stored.palette, stored.ids)


def _conflict(looks: Iterable[Look]) -> str:
    """Describe the first value with two colors, or color with two values; empty if all masks agree."""
    first: dict[int, Look] = {}
    values: dict[Color | None, dict[int, Look]] = {}
    different = {(look.table, tuple(look.shown)): look for look in reversed(list(looks))}.values()
    for look in reversed(different):
        for value, color in look.shown.items():
            other = first.setdefault(value, look)
            if color is None or (seen := other.shown[value]) is None:
                continue
            if seen != color:
                return f"value {value} is shown as {list(seen)} in {other.source} and as {list(color)} in {look.source}"
            values.setdefault(color, {}).setdefault(value, look)
    for color, owners in values.items():
        for look in different if len(owners) > 1 else ():
            mine = [value for value in owners if value in look.shown]
            for value, other in owners.items():
                if mine and value not in mine and look.color(value) not in (color, None):
                    return (
                        f"the color {list(color or ())} has the value {mine[0]} in {look.source} and {value} in "
                        f"{other.source}"
                    )
    return ""


def _only_greys_of(coded: Colors, looks: list[Look]) -> bool:
    """Return whether a data set has grey masks and these contain only greys that are colors of classes.

    A single mask does not show it: a 0 may be class 0 or black. Masks of class ids, taken together, contain values that
    are no declared grey, unless the ids equal the greys.
    """
    shown = {color for look in looks if not look.palette for color in look.shown.values()}
    return bool(shown) and all(color in coded.ids for color in shown)


def _numbered_otherwise(coded: Colors, palettes: list[Look]) -> bool:
    """Return whether palettes have colors of classes at indices that are not the ids of these classes."""
    known = any(
        color in coded.ids and coded.ids[color] != value
        for look in palettes
        for value, color in look.shown.items()
        if color is not None
    )
    return known or any(not look.ids for look in palettes) or bool(_conflict(palettes))
