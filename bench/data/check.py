"""The checks of `python -m bench.data check`: class frequencies, and images that are in two splits."""

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
"""Images whose 256-bit difference hashes differ in at most this many bits are reported as near-duplicates."""
_AT_ONCE = 128


class Twin(NamedTuple):
    """Two images of different splits, as "split/key", that are equal (`exact`) or near-duplicates.

    `bits` is the number of bits in which their difference hashes differ.
    """

    one: str
    other: str
    bits: int
    exact: bool


class Findings(NamedTuple):
    """What reading every pair of a data set found.

    Attributes:
        pixels: per split, the number of pixels per class, void last, int64 (C + 1,).
        images: per split, the number of images that contain each class, void last, int64 (C + 1,).
        sizes: per split, (height, width) in pixels of the image with the smallest and with the largest area.
        twins: duplicates across splits, exact ones first.
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


def look(dataset: Dataset, on_read: Callable[[], None] = lambda: None) -> Findings:
    """Read every pair of a data set and return the findings. `on_read` is called after each pair."""
    seen = {name: list(_seen(split, on_read)) for name, split in dataset.splits.items()}
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


def _seen(split: Split, on_read: Callable[[], None]) -> Iterator[_Seen]:
    def one(index: int) -> _Seen:
        image, label = split.read(index)
        values, (height, width) = np.bincount(label.ravel(), minlength=256), label.shape
        digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        return _Seen(values, (height, width), digest, difference_hash(image))

    with ThreadPoolExecutor() as pool:
        for first in range(0, len(split), _AT_ONCE):
            for found in pool.map(one, range(first, min(first + _AT_ONCE, len(split)))):
                on_read()
                yield found


def difference_hash(image: np.ndarray) -> np.ndarray:
    """Return the difference hash of an image uint8 (H, W, 3): 256 bits as uint8 (32,).

    The image is shrunk to 16 rows of 17 grey pixels. A bit says whether a pixel is brighter than its left neighbour.
    Scaling and JPEG compression change few bits (Krawetz 2013). The hash of an image without contrast is all zeros and
    carries no information.
    """
    small = np.asarray(Image.fromarray(image).convert("L").resize((17, 16), Image.Resampling.BOX)).astype(int)
    return np.packbits(small[:, 1:] > small[:, :-1])


def _twins(names: list[str], owner: np.ndarray, seen: list[_Seen]) -> list[Twin]:
    hashes = np.stack([one.hash for one in seen])
    busy = np.unpackbits(hashes, axis=1).sum(axis=1) >= 32  # fewer set bits: too little contrast to tell images apart
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
