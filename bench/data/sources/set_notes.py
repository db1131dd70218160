"""Notes on an examined data set: what is allowed, but may not be what its user wants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from results import counted

if TYPE_CHECKING:
    from bench.data.sources.examination import Examined, Faults

_LONG = 8  # long side over short side; at data.size=160 the short one has less than 20 pixels
_NAMED = 10  # names per line; a list of a hundred would not be read


def notes_on(root: Path | str, found: Examined) -> tuple[str, ...]:
    """Return the notes on a data set, one line each, those on skipped files last.

    Args:
        root: the data set, named in notes.
    """
    return (*_turned(root, found), *_narrow(root, found), *_twins(root, found), *_left_out(root, found.faults))


def absent(root: Path | str, found: Examined, names: tuple[str, ...], todo: str = "") -> tuple[str, ...]:
    """Return a note on the classes that no mask contains, which `todo` ends; empty if there is none."""
    pixels = np.sum([facts.values for facts in found.facts.values()], axis=0)
    missing = [name for index, name in enumerate(names) if not pixels[index]]
    more = f" and {counted(len(missing) - _NAMED, 'more class', 'more classes')}" if len(missing) > _NAMED else ""
    return (f"{root}: no pixel of {', '.join(missing[:_NAMED])}{more} in any mask{todo}",) if missing else ()


def _turned(root: Path | str, found: Examined) -> tuple[str, ...]:
    """Return a note on images that EXIF turns, if no mask shows by its shape that it was drawn on the turned image."""
    keys = [key for key, facts in found.facts.items() if facts.turned is None]
    if not keys or any(facts.turned for facts in found.facts.values()):
        return ()
    count = counted(len(keys), "image is", "images are")
    return (
        f"{root}: {count} turned upright by EXIF ({keys[0]}), and their masks fit either way; if masks were drawn on "
        "the images as stored, remove the orientation from the images; a sheet shows it",
    )


def _narrow(root: Path | str, found: Examined) -> tuple[str, ...]:
    """Return a note on images so long that little of their short side is left once the long one has `data.size`."""
    shapes = {key: facts.shape for key, facts in found.facts.items() if max(facts.shape) > _LONG * min(facts.shape)}
    if not shapes:
        return ()
    key = max(shapes, key=lambda key: max(shapes[key]) / min(shapes[key]))
    height, width = shapes[key]
    count = counted(len(shapes), "image is", "images are")
    return (
        f"{root}: {count} more than {_LONG} times as long as wide ({key}: {width}x{height}); the model sees them with "
        "data.size pixels on the longest side, which leaves little of the other: cut them into pieces",
    )


def _twins(root: Path | str, found: Examined) -> tuple[str, ...]:
    """Return a note on images that are in two splits under two keys."""
    first: dict[bytes, tuple[str, str]] = {}
    twins = []
    for split, pairs in found.splits.items():
        for key in pairs:
            other = first.setdefault(found.facts[key].image, (split, key))
            if other[0] != split:
                twins.append(f"{other[0]}/{other[1]} = {split}/{key}")
    if not twins:
        return ()
    count = counted(len(twins), "image is", "images are")
    return (f"{root}: {count} in two splits, which makes scores too high ({twins[0]}); see `bench.data check`",)


def _left_out(root: Path | str, faults: Faults) -> tuple[str, ...]:
    if not faults.found:
        return ()
    count = counted(len(faults.found), "fault")
    return (f"{root}: {count} skipped (data.on_error=skip), the first: {faults.found[0]}",)
