"""What `python -m bench.data check` looks for: how often classes are, and which pictures are in two splits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from PIL import Image

from bench.core import IGNORE_INDEX
from bench.data.dataset import Dataset, Split

NEAR = 10
"""Bits of 256 by which the difference hashes of two pictures may differ that are told as alike."""
_ABREAST = 128


class Twin(NamedTuple):
    """Two pictures of different splits, as "split/key", that are the same (`bits` 0 and `exact`) or look so."""

    one: str
    other: str
    bits: int
    exact: bool


class Findings(NamedTuple):
    """What a look at every pair gave.

    Attributes:
        pixels: of each split, a class a column and void last, int64 (C + 1,).
        images: of each split, in how many pictures each class is, int64 (C + 1,).
        sizes: of each split, smallest and largest (height, width).
        twins: across splits, the same before the alike.
    """

    pixels: dict[str, np.ndarray]
    images: dict[str, np.ndarray]
    sizes: dict[str, tuple[tuple[int, int], tuple[int, int]]]
    twins: list[Twin]


class _Seen(NamedTuple):
    values: np.ndarray
    size: tuple[int, int]
    digest: bytes
    hash: np.ndarray


def look(dataset: Dataset, tell: Callable[[], None] = lambda: None) -> Findings:
    """Read every pair of a set; `tell` is called after each."""
    seen = {name: list(_seen(split, tell)) for name, split in dataset.splits.items()}
    classes = len(dataset.class_names)
    pixels, images, sizes = {}, {}, {}
    for name, some in seen.items():
        values = np.stack([one.values for one in some])[:, [*range(classes), IGNORE_INDEX]]
        pixels[name], images[name] = values.sum(axis=0), (values > 0).sum(axis=0)
        shapes = sorted((one.size for one in some), key=lambda size: size[0] * size[1])
        sizes[name] = shapes[0], shapes[-1]
    names = [f"{name}/{key}" for name, split in dataset.splits.items() for key in split.keys]
    owner = np.repeat(np.arange(len(seen)), [len(some) for some in seen.values()])
    flat = [one for some in seen.values() for one in some]
    return Findings(pixels, images, sizes, _twins(names, owner, flat))


def _seen(split: Split, tell: Callable[[], None]) -> Iterator[_Seen]:
    def one(index: int) -> _Seen:
        image, label = split.read(index)
        values, (height, width) = np.bincount(label.ravel(), minlength=256), label.shape
        digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        return _Seen(values, (height, width), digest, difference_hash(image))

    with ThreadPoolExecutor() as pool:
        for first in range(0, len(split), _ABREAST):
            for found in pool.map(one, range(first, min(first + _ABREAST, len(split)))):
                tell()
                yield found


def difference_hash(image: np.ndarray) -> np.ndarray:
    """256 bits, uint8 (32,): which of two neighbours in a row is brighter, in the picture shrunk to 16 x 17 pixels.

    It stays nearly the same under scaling and JPEG compression (Krawetz 2013). Of a picture without contrast it says
    nothing: such a hash is all zeros.
    """
    small = np.asarray(Image.fromarray(image).convert("L").resize((17, 16), Image.Resampling.BOX)).astype(int)
    return np.packbits(small[:, 1:] > small[:, :-1])


def _twins(names: list[str], owner: np.ndarray, seen: list[_Seen]) -> list[Twin]:
    hashes = np.stack([one.hash for one in seen])
    busy = np.unpackbits(hashes, axis=1).sum(axis=1) >= 32  # less has too little contrast to be told from another
    counts = np.array([bin(value).count("1") for value in range(256)], np.uint8)
    found = []
    for index, one in enumerate(seen):
        later = np.flatnonzero(owner[index + 1 :] != owner[index]) + index + 1
        bits = counts[hashes[later] ^ one.hash].sum(axis=1, dtype=int)
        for other in later[bits <= NEAR]:
            exact = seen[other].digest == one.digest
            if exact or (busy[index] and busy[other]):
                distance = int(counts[hashes[other] ^ one.hash].sum(dtype=int))
                found.append(Twin(names[index], names[other], distance, exact))
    return sorted(found, key=lambda twin: (not twin.exact, twin.bits))
