"""Local folders that are mirrored in an object store: written here, uploaded as whole files, brought back elsewhere.

A folder is mirrored if it lies below a folder with the file `.store`, which names the bucket. So a path tells its
address, and an address its path. Beside the files of each folder, `.index.json` says which of them are in the store as
they are here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path, PurePosixPath

import results
from bench.core import CHECKPOINT_FILE, WEIGHTS_FILE, UsageError, cache_folder
from bench.storage.address import Address
from bench.storage.store import Found, Store, StoreError

MARK, INDEX, UNSENT = ".store", ".index.json", ".unsent"
"""Names of the file that names the bucket, of an index, and of the one that says that a trial was not uploaded."""


def spooled(address: Address, room: str = "spool") -> Path:
    """Return the local folder for an address; its mark is made.

    Args:
        address: of the folder.
        room: "spool" for what this machine writes, "copies" for what it only reads.

    Raises:
        UsageError: the cache folder cannot be written.
    """
    settings = hashlib.sha256(str(address.settings).encode()).hexdigest()[:8] if address.settings else ""
    try:
        root = cache_folder() / room / "-".join(filter(None, (address.scheme, address.bucket, settings)))
        text = str(Address(address.scheme, address.bucket, "", address.settings)).encode()
        if not (root / MARK).is_file():
            results.write_bytes(root / MARK, text)
    except OSError as error:
        raise UsageError(f"{address}: its local copy cannot be written: {error.strerror or error}") from None
    return (root / address.path).resolve()


def mirror_of(folder: Path) -> Mirror | None:
    """Return the mirror of a local folder; None for a folder that is not mirrored."""
    folder = folder.resolve()
    for root in (folder, *folder.parents):
        if (root / MARK).is_file():
            base = Address.of((root / MARK).read_text())
            return Mirror(folder, base / folder.relative_to(root).as_posix().removeprefix("."))
    return None


def is_large(name: str) -> bool:
    """Return whether an object is one that only its own trial or a prediction needs: a checkpoint or weights."""
    return PurePosixPath(name).name in (CHECKPOINT_FILE, WEIGHTS_FILE)


class Mirror:
    """A local folder and its place in a store.

    Names are paths below the folder, with slashes. Files whose name begins with a dot stay here.

    Args:
        folder: the local folder.
        address: its place in the store.
    """

    def __init__(self, folder: Path, address: Address) -> None:
        self.folder, self.address, self.store = folder, address, Store(address)
        self._soon: dict[str, None] = {}
        self._turn = threading.Condition()
        self._thread: threading.Thread | None = None
        self._failed: StoreError | None = None

    def name(self, path: Path) -> str:
        """Return the name of a path below the folder."""
        return path.resolve().relative_to(self.folder).as_posix()

    def check_writable(self) -> None:
        """Write, list and remove an object.

        Raises:
            UsageError: one of them is refused, or there is no bucket.
        """
        probe = f".probe-{os.getpid()}"
        try:
            self.store.put_bytes(b"", probe)
            self.store.listed(probe)
            self.store.remove(probe)
        except StoreError as error:
            raise UsageError(str(error)) from None

    def push(self, *files: Path) -> None:
        """Upload files, one after the other.

        Raises:
            StoreError: the store does not take one.
        """
        for file in files:
            self.store.put(file, self.name(file))

    def push_all(self, below: str = "", last: Collection[str] = (results.RECORD,), skip: Collection[str] = ()) -> None:
        """Upload the files of a folder that are not in the store as they are here, and note that they are.

        Args:
            below: the folder, with all folders below it.
            last: file names that are uploaded after all others.
            skip: names of folders and files that are left out.

        Raises:
            StoreError: the store does not take one.
        """
        folder = self.folder / below
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and self._counts(path, skip)]
        files.sort(key=lambda path: path.name in last)
        there, known = self.store.listed(below), _Known()
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # a temporary file
                if not known.same(file, there.get(self.name(file))):
                    self.push(file)
        self._note(files, self.store.listed(below))

    def _counts(self, path: Path, skip: Collection[str]) -> bool:
        parts = path.relative_to(self.folder).parts
        return not any(part.startswith(".") or part in skip for part in parts)

    def fetch(self, below: str = "", wanted: Callable[[str], bool] = lambda name: True) -> list[str]:
        """Bring the wanted objects of a folder that are not here as they are there, and return the names of all there.

        Raises:
            StoreError: the store does not give one.
        """
        there, known = self.store.listed(below), _Known()
        brought = []
        for name, found in there.items():
            file = self.folder / name
            if self._counts(file, ()) and wanted(name) and not known.same(file, found):
                self.store.get(name, file)
                brought.append(file)
        self._note(brought, there)
        return list(there)

    def drop_others(self, there: Collection[str]) -> None:
        """Remove the files here that are not among these names of objects."""
        for file in self.folder.rglob("*"):
            if file.is_file() and self._counts(file, ()) and self.name(file) not in there:
                file.unlink()

    def _note(self, files: Iterable[Path], there: dict[str, Found]) -> None:
        """Write into the index of each folder that these files are in the store as they are here."""
        folders: dict[Path, dict[str, list[int]]] = {}
        for file in files:
            found = there.get(self.name(file))
            with contextlib.suppress(OSError):
                state = file.stat()
                if found and found.size == state.st_size:
                    noted = folders.setdefault(file.parent, {})
                    noted[file.name] = [found.size, found.changed, state.st_mtime_ns]
        for folder, noted in folders.items():
            results.write_bytes(folder / INDEX, json.dumps({**_index(folder), **noted}).encode())

    def forget(self, name: str) -> None:
        """Remove an object and its file."""
        self.store.remove(name)
        (self.folder / name).unlink(missing_ok=True)

    def soon(self, file: Path) -> None:
        """Upload a file in a thread, soon; what it holds then counts. `settle` tells whether that failed."""
        with self._turn:
            self._soon[self.name(file)] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"uploads to {self.address}", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            with self._turn:
                if not self._soon:
                    self._thread = None
                    self._turn.notify_all()
                    return
                name = next(iter(self._soon))
                del self._soon[name]
            try:
                self.store.put(self.folder / name, name)
            except FileNotFoundError:
                continue
            except (StoreError, OSError) as error:
                self._failed = error if isinstance(error, StoreError) else StoreError(f"{name}: {error}")

    def settle(self) -> None:
        """Wait for what `soon` was given.

        Raises:
            StoreError: one of the files could not be uploaded.
        """
        with self._turn:
            self._turn.wait_for(lambda: self._thread is None)
            failed, self._failed = self._failed, None
        if failed:
            raise failed


def _index(folder: Path) -> dict[str, list[int]]:
    """Return the index of a folder: by file name the object's size and time, and the file's time."""
    try:
        found = json.loads((folder / INDEX).read_bytes())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


class _Known:
    """The indices of folders, each read once."""

    def __init__(self) -> None:
        self._of: dict[Path, dict[str, list[int]]] = {}

    def same(self, file: Path, found: Found | None) -> bool:
        """Return whether a file is the object that a listing shows."""
        try:
            state = file.stat()
        except OSError:
            return False
        if file.parent not in self._of:
            self._of[file.parent] = _index(file.parent)
        noted = self._of[file.parent].get(file.name)
        return found is not None and noted == [found.size, found.changed, state.st_mtime_ns]
