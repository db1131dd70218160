"""Local copies of data sets in object stores: brought once per machine, checked, and held while a process uses them."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import results
from bench.core import UsageError, cache_folder
from bench.storage.address import Address
from bench.storage.store import LIMIT_VARIABLE, Found, Store, StoreError

AT_ONCE = 8
"""Number of objects that are brought at a time: most are small, and each waits for its answer."""
TELL_SECONDS = 10.0
"""Seconds between two lines about the progress."""
TURN_SECONDS = 60.0
"""Longest wait for other processes to let go of a copy that has to change."""


@dataclass(frozen=True)
class _Place:
    """Where a copy lies: its files, what of them is whole, and the lock that its users share."""

    home: Path
    folder: Path

    @property
    def index(self) -> Path:
        return self.home / "index.json"

    @property
    def lock(self) -> Path:
        return self.home / "lock"

    def whole(self) -> dict[str, list[int]]:
        """Return the size and time in the store of each file that was brought whole, by name."""
        try:
            found = json.loads(self.index.read_bytes())
            return found if isinstance(found, dict) else {}
        except (OSError, ValueError):
            return {}

    def missing(self, there: Mapping[str, Found]) -> list[str]:
        """Return the names of objects that are not here as they are there."""
        whole = self.whole()
        return [
            name
            for name, found in there.items()
            if whole.get(name) != [found.size, found.changed] or _size(self.folder / name) != found.size
        ]


@functools.cache  # a process loads its data several times, and must not find two versions
def local_data(root: str) -> tuple[Path, IO[str]]:
    """Return the folder of a data set in an object store, brought up to date, and the file by which it is held.

    Nobody changes or removes the folder as long as this process lives.

    Args:
        root: address of the data set.

    Raises:
        UsageError: it is not there, the store cannot be read and there is no copy, or it does not fit; one line.
    """
    address = Address.of(root)
    try:
        place = _place(address)
        place.home.mkdir(parents=True, exist_ok=True)
        held = open(place.lock, "a+")  # noqa: SIM115  (held until the process ends)
        _bring(address, place, held)
        os.utime(place.lock)
    except OSError as error:
        reason = str(error) if isinstance(error, StoreError) else f"{address}: {error.strerror or error}"
        raise UsageError(f"data.root {reason}") from None
    return place.folder, held


def _place(address: Address) -> _Place:
    home = cache_folder() / "data" / hashlib.sha256(str(address).encode()).hexdigest()[:16]
    return _Place(home, (home / (address.path.rpartition("/")[2] or address.bucket)).resolve())


def _bring(address: Address, place: _Place, held: IO[str]) -> None:
    """Bring what is missing, with the lock held alone, and leave with the lock shared."""
    store = Store(address)
    there = _listed(store, place)
    end = time.monotonic() + TURN_SECONDS
    while True:
        _share(held, address)
        if there is None or not place.missing(there):
            return
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise StoreError(
                    f"{address}: it has changed, and other processes on this machine use the copy; let them end first"
                ) from None
            fcntl.flock(held, fcntl.LOCK_UN)
            time.sleep(0.2)
            continue
        _download(store, place, there)


def _share(held: IO[str], address: Address) -> None:
    """Take the lock together with others, once nobody has it alone."""
    try:
        fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        _tell(f"{address}: waiting for another process that brings it")
        fcntl.flock(held, fcntl.LOCK_SH)


def _listed(store: Store, place: _Place) -> dict[str, Found] | None:
    """Return the objects of the data set; None if the store cannot be asked and a copy is here.

    Raises:
        StoreError: there is nothing, or the store cannot be asked and there is no copy.
    """
    try:
        there = store.listed()
    except StoreError as error:
        if not place.whole():
            raise
        _tell(f"warning: {error}; the copy in {place.folder} is used")
        return None
    if not there:
        raise StoreError(f"{store.address}: nothing is there; name the folder of the data set in the bucket")
    return there


def _download(store: Store, place: _Place, there: Mapping[str, Found]) -> None:
    """Bring the missing objects, and remove the files that are none."""
    for path in place.folder.rglob("*"):
        if path.is_file() and path.relative_to(place.folder).as_posix() not in there:
            path.unlink()
    whole = {name: entry for name, entry in place.whole().items() if name in there}
    names = place.missing(there)
    progress = _Progress(str(store.address), len(names), sum(there[name].size for name in names))
    _make_room(place, progress.bytes, sum(found.size for found in there.values()))

    def bring(name: str) -> None:
        store.get(name, place.folder / name, progress.seen)
        whole[name] = [there[name].size, there[name].changed]
        if progress.ended_one():  # an interrupted download goes on from here
            results.write_bytes(place.index, json.dumps(dict(whole)).encode())

    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        list(pool.map(bring, names))
    finally:
        pool.shutdown(cancel_futures=True)
        results.write_bytes(place.index, json.dumps(whole).encode())
    progress.told()


class _Progress:
    """Tells how much of a data set is here, every few seconds."""

    def __init__(self, what: str, files: int, size: int) -> None:
        self.bytes = size
        self._what, self._files, self._done, self._seen = what, files, 0, 0
        self._last, self._turn = time.monotonic(), threading.Lock()

    def seen(self, count: int) -> None:
        """Count bytes."""
        with self._turn:
            self._seen += count

    def ended_one(self) -> bool:
        """Count a file, and return whether the progress was told."""
        with self._turn:
            self._done += 1
            due = time.monotonic() - self._last > TELL_SECONDS
            if due:
                self._last = time.monotonic()
        if due:
            self.told()
        return due

    def told(self) -> None:
        """Print a line."""
        part, whole = self._seen / 1e6, self.bytes / 1e6
        _tell(f"{self._what}: {self._done} of {self._files} files, {part:.0f} of {whole:.0f} MB")


def _make_room(place: _Place, more: int, size: int) -> None:
    """Remove copies that no process uses, those that were not used for longest first, until a data set fits.

    Args:
        place: of the data set, which stays.
        more: bytes to bring.
        size: bytes of the whole data set.

    Raises:
        StoreError: it does not fit.
    """
    limit = float(os.environ.get(LIMIT_VARIABLE) or "inf") * 1e9
    others = {home: _bytes(home) for home in place.home.parent.iterdir() if home != place.home and home.is_dir()}
    for home in sorted(others, key=_used):
        if sum(others.values()) + size <= limit and shutil.disk_usage(place.home).free >= more:
            return
        if _removed(home):
            del others[home]
    free = shutil.disk_usage(place.home).free
    if sum(others.values()) + size > limit:
        raise StoreError(
            f"{place.folder.name}: {size / 1e9:.3g} GB do not fit {limit / 1e9:g} GB (--data-cache-limit), of which "
            f"copies in use have {sum(others.values()) / 1e9:.3g}"
        )
    if free < more:
        raise StoreError(f"{place.folder}: {more / 1e9:.3g} GB do not fit the disk, which has {free / 1e9:.3g} free")


def _removed(home: Path) -> bool:
    """Remove a copy, unless a process uses it; return whether it is gone."""
    with contextlib.suppress(OSError), open(home / "lock", "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (home / "index.json").unlink(missing_ok=True)
        shutil.rmtree(home, ignore_errors=True)
        return not home.exists()
    return False


def _files(home: Path) -> Iterator[Path]:
    return (path for path in home.rglob("*") if path.is_file())


def _bytes(home: Path) -> int:
    return sum(_size(path) for path in _files(home))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _used(home: Path) -> float:
    try:
        return (home / "lock").stat().st_mtime
    except OSError:
        return 0.0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
