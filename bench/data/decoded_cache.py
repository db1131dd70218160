"""Decoded pictures, made once: in memory, or in one file that all processes of a machine share.

The file is mapped, so a set need not fit into memory, and trials side by side hold its pages once. It is written under
another name and renamed, and is made again when it is not whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
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
"""Bytes up to which `auto` keeps in memory what has no file to share."""
FORGET = 30 * 24 * 3600
"""Seconds after which a file that nobody has read goes, when another is made."""
_ABREAST = 64

Item = tuple[np.ndarray, ...]
Shapes = list[list[list[int]]]
"""Of the arrays of each item, in the order in which they lie in the file."""


def keep(count: int, make: Callable[[int], Item], where: Where, identity: str) -> Sequence[Item]:
    """`make(0)`, ..., `make(count - 1)`, each some uint8 arrays of any shapes, made in threads.

    Args:
        where: "auto" is the file where it is of use to others, and where all would take more than `MEMORY_LIMIT` (as if
            each were as large as the first); else memory, and so where the file cannot be written.
        identity: what the arrays depend on; equal identities share a file. Empty: the file is nobody else's and goes
            with the process.

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
            f"{error.filename or CACHE_VARIABLE}: no cache of decoded pictures can be written "
            f"({error.strerror or error}); name another folder in {CACHE_VARIABLE}, or set data.cache=memory"
        ) from None


def _fits(count: int, make: Callable[[int], Item]) -> bool:
    return not count or count * sum(array.nbytes for array in make(0)) <= MEMORY_LIMIT


def _made(count: int, make: Callable[[int], Item]) -> Iterator[Item]:
    """In order, so many at a time that what waits to be taken stays small."""
    with ThreadPoolExecutor() as pool:
        for first in range(0, count, _ABREAST):
            yield from pool.map(make, range(first, min(first + _ABREAST, count)))


class _Mapped(Sequence):  # type: ignore[type-arg]
    """Items of one file."""

    def __init__(self, path: Path, shapes: Shapes) -> None:
        self._shapes = [[tuple(shape) for shape in item] for item in shapes]
        self._ends = np.cumsum([0, *(_size([item]) for item in shapes)])
        self._bytes = np.memmap(path, np.uint8, "r") if self._ends[-1] else np.zeros(0, np.uint8)

    def __len__(self) -> int:
        return len(self._shapes)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if not 0 <= index < len(self):
            raise IndexError(index)
        part = np.asarray(self._bytes[self._ends[index] : self._ends[index + 1]])
        shapes = self._shapes[index]
        cuts = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
        return tuple(array.reshape(shape) for array, shape in zip(np.split(part, cuts), shapes, strict=True))


def _size(shapes: Shapes) -> int:
    return sum(math.prod(shape) for item in shapes for shape in item)


def _on_disk(count: int, make: Callable[[int], Item], identity: str) -> Sequence[Item]:
    if not identity:
        with tempfile.TemporaryDirectory() as scratch:  # a mapped file outlives its name
            return _Mapped(Path(scratch) / "arrays", _written(Path(scratch) / "arrays", count, make))
    path = cache_folder() / f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.u8"
    if (shapes := _shapes_of(path)) is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.with_suffix(".lock")):
            if (shapes := _shapes_of(path)) is None:  # nobody made it meanwhile
                _forget(path.parent)
                shapes = _written(path, count, make)
                facts = {"identity": identity, "shapes": shapes}
                results.write_bytes(path.with_suffix(".json"), json.dumps(facts).encode())
    with contextlib.suppress(OSError):
        os.utime(path)  # read just now, see `_forget`
    return _Mapped(path, shapes)


def _forget(place: Path) -> None:
    """Remove what nobody has read for long, and parts that a killed process left. Whoever maps a file keeps it."""
    for path in place.glob("*"):
        with contextlib.suppress(OSError):
            if path.suffix in (".u8", ".tmp") and time.time() - path.stat().st_mtime > FORGET:
                path.unlink()
                path.with_suffix(".json").unlink(missing_ok=True)


def _shapes_of(path: Path) -> Shapes | None:
    """The shapes of a file that is whole."""
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
def _alone(path: Path) -> Iterator[None]:
    """One process at a time; where files cannot be locked, several write the same, each under a name of its own."""
    with open(path, "wb") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
