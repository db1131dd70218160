"""From pairs of encoded image and mask, of any source, to a checked data set."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from bench.core import IGNORE_INDEX, UsageError
from bench.data.dataset import Dataset, Split
from bench.data.dataset import Pair as Arrays
from bench.data.image_io import Source, decoded, encoded, image_of, orientation_of, upright_size
from bench.data.sources.mask_codes import MaskCode, label_of
from bench.data.sources.set_notes import notes_on
from results import counted

_AT_ONCE = 256
_SAME_SIZE = "they must be the same; scale masks by nearest neighbour"


class Pair(NamedTuple):
    """The encoded image and mask of one sample."""

    image: Source
    mask: Source


Splits = Mapping[str, Mapping[str, Pair]]
"""From split to key to pair; both in order."""


class Faults:
    """Faults of a data set.

    With `stop` the first raises. Otherwise all are collected, and the files concerned are skipped.
    """

    def __init__(self, stop: bool) -> None:
        self.stop, self.found = stop, list[str]()
        self.refused = set[str]()  # keys of refused files, which are not reported again as missing

    def add(self, message: str) -> None:
        """Add a fault.

        Raises:
            UsageError: `stop` is set.
        """
        if self.stop:
            raise UsageError(message)
        self.found.append(message)


class Facts(NamedTuple):
    """What decoding one pair found."""

    values: np.ndarray
    """Number of pixels per class id, int64 (256,)."""
    digest: bytes
    """Digest of the bytes of image and mask."""
    image: bytes
    """Digest of the bytes of the image."""
    shape: tuple[int, int]
    """Height and width in pixels."""
    turned: bool | None = False
    """Whether EXIF turns the image and the shape of the mask confirms it; None: the mask fits either way."""


class Classes(NamedTuple):
    """Names and colours (RGB 0..255) of the classes; the index is the class id."""

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]


@dataclasses.dataclass(frozen=True)
class Examined:
    """The pairs without a fault, and the facts of each.

    Attributes:
        splits: from split to key to pair.
        facts: from key to what was found.
        code: how the masks are read.
        faults: where further faults are added.
    """

    splits: dict[str, dict[str, Pair]]
    facts: dict[str, Facts]
    code: MaskCode
    faults: Faults

    def drop(self, key: str, message: str) -> None:
        """Skip a pair because of a fault.

        Raises:
            UsageError: faults stop.
        """
        self.faults.add(message)
        for pairs in self.splits.values():
            pairs.pop(key, None)
        self.facts.pop(key, None)


def examine(splits: Splits, code: MaskCode, faults: Faults) -> Examined:
    """Decode every image and mask once, in threads. The fingerprint is computed from the same bytes.

    An image may be in one split only. If the folders of two splits contain different images of one key, the later split
    gets keys such as "val/0001".

    Raises:
        UsageError: the first fault, if faults stop.
    """
    found = Examined({name: {} for name in splits}, {}, code, faults)
    owner: dict[str, tuple[str, Pair]] = {}
    for split, pairs in splits.items():
        for key, pair in pairs.items():
            if key in owner and isinstance(pair.image, Path) and pair.image != owner[key][1].image:
                key = f"{split}/{key}"
            if key in owner:
                faults.add(f"{pair.image}: key {key!r} is in {owner[key][0]} and in {split}; keep it in one split")
                continue
            owner[key] = split, pair
            found.splits[split][key] = pair
    todo = [(key, pair) for pairs in found.splits.values() for key, pair in pairs.items()]
    with ThreadPoolExecutor() as pool:
        for first in range(0, len(todo), _AT_ONCE):
            some = todo[first : first + _AT_ONCE]
            for (key, _), facts in zip(some, pool.map(lambda item: _facts(item[1], code), some), strict=True):
                if isinstance(facts, UsageError):
                    found.drop(key, str(facts))
                else:
                    found.facts[key] = facts
    return found


def _facts(pair: Pair, code: MaskCode) -> Facts | UsageError:
    """Decode a pair and return what was found, or its fault."""
    try:
        image, mask = encoded(pair.image), encoded(pair.mask)
        orientation, (width, height) = decoded(pair.image, image, _orientation_and_size)
        label = code(pair.mask, mask)
        if label.shape != (height, width):
            sideways = orientation > 4 and label.shape == (width, height)
            exif = f" upright (its EXIF orientation is {orientation})" if sideways else ""
            todo = "turn the mask as well, or remove the orientation from the image" if sideways else _SAME_SIZE
            raise UsageError(
                f"{pair.mask}: {label.shape[1]}x{label.shape[0]} pixels, but its image {pair.image.name} "
                f"is {width}x{height}{exif}; {todo}"
            )
    except UsageError as error:
        return error
    digest = hashlib.blake2b(image, digest_size=16)
    of_image = digest.digest()
    digest.update(hashlib.blake2b(mask, digest_size=16).digest())
    turned = (True if orientation > 4 and width != height else None) if orientation > 1 else False
    return Facts(np.bincount(label.ravel(), minlength=256), digest.digest(), of_image, label.shape, turned)


def _orientation_and_size(image: Image.Image, source: Source) -> tuple[int, tuple[int, int]]:
    return orientation_of(image), upright_size(image, source)  # in this order: loading a TIFF turns it


def in_range(found: Examined, classes: int, more: str = "") -> None:
    """Report masks with a class id outside 0..classes - 1 (void, 255, is allowed) as faults.

    Args:
        more: text that is appended to each message.

    Raises:
        UsageError: the first fault, if faults stop.
    """
    for key, facts in list(found.facts.items()):
        present = np.flatnonzero(facts.values[:IGNORE_INDEX])
        if (wrong := present[present >= classes]).size:
            pair = next(pairs[key] for pairs in found.splits.values() if key in pairs)
            found.drop(
                key,
                f"{pair.mask}: class id {wrong[0]} on {counted(facts.values[wrong[0]], 'pixel')}, but "
                f"{counted(classes, 'class is', 'classes are')} declared (ids 0..{classes - 1}, 255 = void); "
                f"correct the mask or the class list{more}",
            )


def something_left(root: Path | str, found: Examined) -> None:
    """Refuse a data set with an empty split.

    Raises:
        UsageError: a split has no pair left; the message includes the first fault.
    """
    for split, pairs in found.splits.items():
        if not pairs:
            left_out = f": {found.faults.found[0]}" if found.faults.found else ""
            raise UsageError(f"{root}: nothing is left of the split {split}{left_out}")


def dataset(
    root: Path | str,
    name: str,
    found: Examined,
    classes: Classes,
    *,
    finish: Callable[[np.ndarray], np.ndarray] | None = None,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """Return the data set of examined pairs. Every split has to have a pair.

    Args:
        root: the data set, named in notes.
        finish: a last map of label values, uint8 (H, W) to uint8 (H, W).
        notes: further notes for the user.
    """
    version = _version(found)
    how = f"{found.code} {finish.__name__ if finish else ''}"
    return Dataset(
        name=name,
        class_names=classes.names,
        colors=classes.colors,
        version=version,
        splits={
            split: Split(
                tuple(pairs),
                _Reader(pairs, found.code, finish),
                f"{version} {split} {how}",
                _Stored(pairs),
                present=_present(found, pairs, len(classes.names), finish),
                pixels=np.array([found.facts[key].values.sum() for key in pairs], np.int64),
            )
            for split, pairs in found.splits.items()
        },
        notes=(*notes, *notes_on(root, found)),
        faults=tuple(found.faults.found),
    )


def _present(
    found: Examined, pairs: Mapping[str, Pair], classes: int, finish: Callable[[np.ndarray], np.ndarray] | None
) -> np.ndarray:
    """Return which classes each image of a split contains after `finish`, bool (N, C)."""
    ids = np.arange(256, dtype=np.uint8)
    becomes = finish(ids) if finish else ids
    present = np.zeros((len(pairs), 256), bool)
    for row, key in enumerate(pairs):
        present[row, becomes[found.facts[key].values > 0]] = True
    return present[:, :classes].copy()


class _Reader:
    def __init__(
        self, pairs: Mapping[str, Pair], code: MaskCode, finish: Callable[[np.ndarray], np.ndarray] | None
    ) -> None:
        self.pairs, self.code, self.finish = pairs, code, finish

    def __call__(self, key: str) -> Arrays:
        pair = self.pairs[key]
        label = label_of(pair.mask, self.code)
        return image_of(pair.image), self.finish(label) if self.finish else label


class _Stored:
    def __init__(self, pairs: Mapping[str, Pair]) -> None:
        self.pairs = pairs

    def __call__(self, key: str) -> bytes:
        return encoded(self.pairs[key].image)


def _version(found: Examined) -> str:
    total = hashlib.blake2b(digest_size=6)
    for split, pairs in sorted(found.splits.items()):
        for key in sorted(pairs):
            total.update(f"{split}\0{key}\0".encode() + found.facts[key].digest)
    total.update(str(found.code).encode())
    return total.hexdigest()
