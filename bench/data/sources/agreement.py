"""Whether the masks of a set agree on what their values mean: as ids, or by the colors in which they are shown.

A program that makes pictures smaller keeps their colors and numbers them anew, file by file. So where a value is shown
in two colors, or a color has two values, values are no ids. It takes all files of a set to see that.
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

_ABREAST = 256
_TO_SPARE = 16


class Look(NamedTuple):
    """What one mask shows: each value that it has, with its color (None: its palette does not say)."""

    source: Source
    shown: dict[int, Color | None]
    table: bytes
    """RGB of all values that it could show; empty where each value is its grey."""
    palette: bool
    ids: bool
    colors: bool = False
    """It has several channels; nothing else is known of it then."""

    def color(self, value: int) -> Color | None:
        """The color of a value that it has or could have."""
        if value in self.shown or not self.table:
            return self.shown.get(value, (value, value, value))
        found = tuple(self.table[3 * value : 3 * value + 3])
        return (found[0], found[1], found[2]) if found else None

    @property
    def grey(self) -> bool:
        return all(color is not None and len(set(color)) == 1 for color in self.shown.values())


def code_of(
    root: object, masks: Iterable[Source], coded: Colors | None, mask_values: str, *, greys_are_ids: bool = False
) -> tuple[MaskCode, tuple[str, ...]]:
    """How the masks of a set are read, and notes on that. Those that cannot be read are left aside here.

    Args:
        coded: the colors of all classes, where they are known.
        mask_values: auto, ids, binary or colors.
        greys_are_ids: in a file of grey values they are ids, whatever colors classes have.

    Raises:
        UsageError: the set does not say for certain.
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
        return Values(), (f"{root}: {conflict}, read as the values say (data.mask_values=ids)",) if conflict else ()
    if coded is not None and mask_values == "auto":
        grey = not greys_are_ids and _only_greys_of(coded, looks)
        palette = _numbered_otherwise(coded, [look for look in looks if look.palette])
        left = [look for look in looks if not (look.colors or (palette if look.palette else grey))]
        values = _values(root, left, mask_values)
        return ValuesOrColors(coded, grey, palette, values, any_color=grey or len(left) < len(looks)), ()
    return _values(root, looks, mask_values), ()


def agreed(root: object, masks: Iterable[Source]) -> None:
    """Refuse a set of known ids, published or exported by a tool, in which an index stands for two classes.

    Raises:
        UsageError: then.
    """
    if conflict := _conflict(look for look in _looks(masks, plain=False) if look.table):
        raise UsageError(
            f"{root}: {conflict}, so they are no ids any more; take the masks as they were published or exported"
        )


def sparse(ids: Collection[int]) -> bool:
    """Whether values are too few for their largest to be class ids that nobody has declared.

    Then more than four classes for each that is there would stand up to the largest, and 16 besides.
    """
    ids = set(ids) - {IGNORE_INDEX}
    return max(ids, default=0) + 1 > 4 * len(ids) + _TO_SPARE


def _values(root: object, looks: list[Look], mask_values: str) -> Values | Shown:
    """The code of masks that no list of colors reads. Those whose values are no ids for certain are refused by it."""
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
    "data.mask_values=colors, or set it to ids if values are meant all the same"
)
_TODO_GREY = (
    "set data.mask_values=ids if the values are ids, or colors with a classes.yaml that has the grey of every class"
)


def _looks(masks: Iterable[Source], plain: bool) -> Iterator[Look]:
    """Of each mask; of those in which each value is its grey only with `plain`, as they are many."""

    def look(source: Source) -> Look | None:
        def read(image: Image.Image, source: Source) -> Look | None:
            if is_colors(image):
                return Look(source, {}, b"", palette=False, ids=False, colors=True)
            if not (plain or shows_otherwise(image)):
                return None
            return _look(source, one_channel(image, source))

        try:
            return decoded(source, encoded(source), read)
        except UsageError:  # told when the pairs are examined
            return None

    rest = iter(masks)
    with ThreadPoolExecutor() as pool:
        while some := list(islice(rest, _ABREAST)):
            yield from (found for found in pool.map(look, some) if found is not None)


def _look(source: Source, stored: Stored) -> Look:
    table = b"" if stored.shown is None else stored.shown.tobytes()
    shown = {value: stored.color(value) for value in stored.used()}
    return Look(source, shown, table, stored.palette, stored.ids)


def _conflict(looks: Iterable[Look]) -> str:
    """In words, the first value with two colors or color with two values; empty where all agree."""
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
    """Whether the grey masks of a set, if it has any, show nothing but greys that are colors of classes.

    It takes the whole set: one mask of 0 may be class 0 or black. All masks of ids show other values than declared
    greys, unless ids and greys are the same numbers.
    """
    shown = {color for look in looks if not look.palette for color in look.shown.values()}
    return bool(shown) and all(color in coded.ids for color in shown)


def _numbered_otherwise(coded: Colors, palettes: list[Look]) -> bool:
    """Whether palettes hold the colors of classes under other indices than their ids."""
    known = any(
        color in coded.ids and coded.ids[color] != value
        for look in palettes
        for value, color in look.shown.items()
        if color is not None
    )
    return known or any(not look.ids for look in palettes) or bool(_conflict(palettes))
