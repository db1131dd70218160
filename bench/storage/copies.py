"""Local copies of runs in object stores, for reading, and what is written into them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.core import UsageError, nearest
from bench.storage.address import Address, is_address
from bench.storage.mirror import Mirror, is_large, mirror_of, spooled
from bench.storage.store import Store, StoreError

SMALL: Callable[[str], bool] = lambda name: not is_large(name)  # noqa: E731


def brought(run: Path, wanted: Callable[[str], bool] = SMALL) -> Path:
    """Return the folder of a run: the path itself, or for an address a local copy that is brought up to date.

    Args:
        run: folder or address of a run, of a release, or of a folder of runs.
        wanted: of the name of an object, whether it is needed; by default all but weights and checkpoints.

    Raises:
        UsageError: there is nothing at the address, or its store cannot be read.
    """
    if not is_address(run):
        return run
    address = Address.of(run)
    mirror = Mirror(spooled(address, "copies"), address)
    try:
        there = mirror.fetch("", wanted)
        if not there:
            raise UsageError(f"{address}: no run there{nearest(mirror.folder.name, Store(address.parent).folders())}")
        mirror.drop_others(there)
    except StoreError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{address}: its local copy cannot be written: {error.strerror or error}") from None
    return mirror.folder


def written(run: Path, *parts: str) -> None:
    """Upload parts of the local copy of a run, such as its report, if the run is at an address.

    Args:
        run: the folder or address that `brought` was given.
        parts: names of files or folders of the run.

    Raises:
        UsageError: the store does not take them.
    """
    if not is_address(run):
        return
    address = Address.of(run)
    mirror = Mirror(spooled(address, "copies"), address)
    try:
        for part in parts:
            if (mirror.folder / part).is_dir():
                mirror.push_all(part)
            elif (mirror.folder / part).exists():
                mirror.push(mirror.folder / part)
            else:
                mirror.store.remove(part)
    except StoreError as error:
        raise UsageError(str(error)) from None


def bring_rest(trial: Path) -> None:
    """Bring what is missing here of a trial, such as its weights, if its run is in an object store.

    Args:
        trial: its local folder.

    Raises:
        UsageError: the store cannot be read.
    """
    if mirror := mirror_of(trial):
        try:
            mirror.fetch("", lambda name: not (mirror.folder / name).exists())
        except OSError as error:
            raise UsageError(f"{mirror.address}: {error.strerror or error}") from None


def place(path: Path) -> Path:
    """Return a path that can be written: itself, or the local folder whose files are uploaded to the address.

    Raises:
        UsageError: the address has a fault, or the cache folder cannot be written.
    """
    return spooled(Address.of(path)) if is_address(path) else path


def shown(path: Path) -> str:
    """Return a folder as commands take it: its path, or its address if it is the local one of an object store."""
    mirror = mirror_of(path)
    return str(mirror.address) if mirror else str(path)
