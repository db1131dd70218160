"""A cache of decoded images: in memory, or in one file that all processes of a machine share.

The file is memory-mapped. So a data set need not fit into memory, and concurrent trials share its pages. The file is
written under a temporary name and then renamed. An incomplete file is written again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import mmap
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np

import results
from bench.core import CACHE_VARIABLE, UsageError, cache_folder

Where = Literal["auto", "memory", "disk"]
MEMORY_LIMIT = 2 << 30
"""Bytes up to which `auto` keeps arrays in memory if no other process can share a file of them."""
FORGET = 30 * 24 * 3600
"""Seconds without a read after which a file is removed, when another file is written."""
_AT_ONCE = 64

Item = tuple[np.ndarray, ...]
Shapes = list[list[list[int]]]
"""The shapes of the arrays of each item, in the order of the file."""


def keep(count: int, make: Callable[[int], Item], where: Where, identity: str) -> Sequence[Item]:
    """Return the items `make(0)`, ..., `make(count - 1)`, computed in threads.

    Args:
        count: number of items.
        make: from an index to a tuple of uint8 arrays of any shapes.
        where: "memory", "disk" or "auto". "auto" is the file if `identity` lets other processes share it, or if all
            arrays exceed `MEMORY_LIMIT` (estimated from the first item). Otherwise it is memory. If the file cannot be
            written, "auto" uses memory as long as the arrays fit `MEMORY_LIMIT`.
        identity: everything the arrays depend on; equal identities share a file. Empty: the file is private and
            disappears with the process.

    Raises:
        UsageError: the file cannot be written.
    """
    if where == "memory" or (where == "auto" and not identity and _fits(count, make)):
        return list(_made(count, make))
    try:
        return _on_disk(count, make, identity)
    except OSError as error:
        if where == "auto" and _fits(count, make):
            return list(_made(count, make))
        raise UsageError(
            f"{error.filename or CACHE_VARIABLE}: no cache of decoded images can be written "
            f"({error.strerror or error}); name another folder in {CACHE_VARIABLE}, or set data.cache=memory"
        ) from None


def _fits(count: int, make: Callable[[int], Item]) -> bool:
    return not count or count * sum(array.nbytes for array in make(0)) <= MEMORY_LIMIT


def _made(count: int, make: Callable[[int], Item]) -> Iterator[Item]:
    """Yield the items in order. They are computed in small groups, so few wait in memory."""
    with ThreadPoolExecutor() as pool:
        for first in range(0, count, _AT_ONCE):
            yield from pool.map(make, range(first, min(first + _AT_ONCE, count)))


class _Mapped(Sequence):  # type: ignore[type-arg]
    """The items of one file, read from it through a memory map.

    Items are taken in random order. So the system is told to read no further than an item, and to begin with all of it
    when it is taken. Else it reads many times as much, and what a set larger than memory needs next is thrown out.
    """

    def __init__(self, path: Path, shapes: Shapes) -> None:
        self._shapes = [[tuple(shape) for shape in item] for item in shapes]
        self._ends = np.cumsum([0, *(_size([item]) for item in shapes)]).tolist()
        self._map = None
        if self._ends[-1]:
            with open(path, "rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._map.madvise(mmap.MADV_RANDOM)
        self._bytes = np.zeros(0, np.uint8) if self._map is None else np.frombuffer(self._map, np.uint8)

    def __len__(self) -> int:
        return len(self._shapes)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if not 0 <= index < len(self):
            raise IndexError(index)
        first, end = self._ends[index], self._ends[index + 1]
        if self._map is not None and first < end:
            page = first // mmap.PAGESIZE * mmap.PAGESIZE
            self._map.madvise(mmap.MADV_WILLNEED, page, end - page)
        part, shapes = self._bytes[first:end], self._shapes[index]
        cuts = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
        return tuple(array.reshape(shape) for array, shape in zip(np.split(part, cuts), shapes, strict=True))


def _size(shapes: Shapes) -> int:
    return sum(math.prod(shape) for item in shapes for shape in item)


def _on_disk(count: int, make: Callable[[int], Item], identity: str) -> Sequence[Item]:
    if not identity:
        with tempfile.TemporaryDirectory() as scratch:  # the mapping stays valid after the file is deleted
            return _Mapped(Path(scratch) / "arrays", _written(Path(scratch) / "arrays", count, make))
    path = cache_folder() / f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.u8"
    if (shapes := _shapes_of(path)) is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path.with_suffix(".lock")):
            if (shapes := _shapes_of(path)) is None:  # no other process wrote it meanwhile
                forget(path.parent)
                shapes = _written(path, count, make)
                facts = {"identity": identity, "shapes": shapes}
                results.write_bytes(path.with_suffix(".json"), json.dumps(facts).encode())
    with contextlib.suppress(OSError):
        os.utime(path)  # marks the file as read now, see `forget`
    return _Mapped(path, shapes)


def forget(place: Path) -> None:
    """Remove files not read for `FORGET` seconds, and parts left by killed processes. Existing mappings stay valid."""
    for path in place.glob("*"):
        with contextlib.suppress(OSError):
            if path.suffix in (".u8", ".tfrecord", ".tmp") and time.time() - path.stat().st_mtime > FORGET:
                path.unlink()
                path.with_suffix(".json").unlink(missing_ok=True)


def _shapes_of(path: Path) -> Shapes | None:
    """Return the shapes of the arrays in a file; None if it is missing or incomplete."""
    try:
        shapes = json.loads(path.with_suffix(".json").read_bytes())["shapes"]
        return shapes if path.stat().st_size == _size(shapes) else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _written(path: Path, count: int, make: Callable[[int], Item]) -> Shapes:
    shapes = []
    with results.writing(path) as file:
        for item in _made(count, make):
            for array in item:
                file.write(np.ascontiguousarray(array).data)
            shapes.append([list(array.shape) for array in item])
    return shapes


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process in at a time. Without file locks several may write the same content, each under its own name."""
    with open(path, "wb") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
