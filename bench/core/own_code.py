"""Code of the user's own, named `package.module:Class`: where it is found, its hash, and the copy that a run keeps.

It is looked for in the working directory, then on the path of imports. Importing it is left to the processes that run
it: to find and to hash it, nothing of it is imported.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from bench.core.errors import UsageError
from bench.core.shadowing import SIBLINGS
from bench.core.suggestions import nearest

MOST_BYTES = 64 << 20
"""Largest size of a package of the user's own, which is copied into every run."""
_FORM = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)")
_INSTALLED = {"site-packages", "dist-packages"}


class Reference(NamedTuple):
    """A class or function in a module of the user's own."""

    module: str
    name: str

    @property
    def top(self) -> str:
        """The top-level package or module."""
        return self.module.partition(".")[0]


def is_own(name: object) -> bool:
    """Return whether a name means code of the user's own, and not a registered name."""
    return isinstance(name, str) and ":" in name


def reference(text: str) -> Reference:
    """Return what a text `package.module:Class` refers to.

    Raises:
        ValueError: it has another form, or its package bears a name that is taken.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r}: expected package.module:Class")
    found = Reference(*match.groups())
    if found.top in ("bench", *SIBLINGS):
        raise ValueError(f"{text!r}: the suite has a package {found.top!r} of its own; give yours another name")
    if found.top in sys.stdlib_module_names:
        raise ValueError(f"{text!r}: Python has a module {found.top!r} of its own; give yours another name")
    return found


@dataclass(frozen=True)
class Source:
    """Where the code of a reference lies.

    Attributes:
        top: the top-level package or module.
        folder: the folder that holds it; None for an installed distribution.
        files: of it, sorted; empty for an installed distribution.
        version: name and version of the distribution, if it is installed.
    """

    top: str
    folder: Path | None = None
    files: tuple[Path, ...] = ()
    version: str = ""

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits: a hash of the paths and contents of the files, or of the installed version."""
        found = hashlib.sha256(self.version.encode())
        for path in self.files:
            assert self.folder is not None
            found.update(f"{path.relative_to(self.folder).as_posix()}\0".encode() + path.read_bytes())
        return found.hexdigest()[:12]


class _OwnFinder(MetaPathFinder):
    """Finds the user's packages that a process was told of, before the path of imports is searched."""

    def __init__(self) -> None:
        self.tops: set[str] = set()
        self.folders: list[str] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, self.folders) if fullname in self.tops else None


_finder = _OwnFinder()


def make_importable(references: Iterable[str], folders: Iterable[Path] = ()) -> None:
    """Let this process import the code that references name, whatever else bears the names of their packages.

    Args:
        references: texts `package.module:Class`.
        folders: where to look first; none means the working directory.
    """
    if not (tops := {reference(text).top for text in references}):
        return
    _finder.tops |= tops
    _finder.folders += [str(folder) for folder in folders or [Path.cwd()] if str(folder) not in _finder.folders]
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def places() -> list[Path]:
    """Return where code is looked for first: the folders of `make_importable`, else the working directory."""
    return [Path(folder) for folder in _finder.folders] or [Path.cwd()]


def source(text: str, folders: Sequence[Path] = ()) -> Source:
    """Find the code of a reference, without importing it.

    Args:
        text: `package.module:Class`.
        folders: where to look before the path of imports; none means those of `make_importable`, else the working
            directory.

    Raises:
        ValueError: there is no such module, or its package is too large to be copied.
    """
    found = reference(text)
    importlib.invalidate_caches()
    first = [str(folder) for folder in folders or places()]
    spec = PathFinder.find_spec(found.top, first) or importlib.util.find_spec(found.top)
    if spec is None:
        raise ValueError(f"{text}: no module {found.top!r} in {first[0]}, on PYTHONPATH or among installed packages")
    roots = [Path(place).resolve() for place in spec.submodule_search_locations or [spec.origin or ""]]
    if _INSTALLED & set(roots[0].parts) and (version := _distribution(found.top)):
        return Source(found.top, version=version)
    root = roots[0]
    _check_module(text, found, root)
    files = tuple(sorted(_files(root))) if root.is_dir() else (root,)
    if (size := sum(path.stat().st_size for path in files)) > MOST_BYTES:
        raise ValueError(
            f"{text}: {root} holds {size / 2**20:.0f} MiB, of which a run keeps a copy; move all but the code elsewhere"
        )
    return Source(found.top, root.parent, files)


def _check_module(text: str, found: Reference, root: Path) -> None:
    """Refuse a module that a package lacks.

    Raises:
        ValueError: names the nearest module that is there.
    """
    place = root
    for depth, part in enumerate(found.module.split(".")[1:], start=1):
        there = {path.name.partition(".")[0] for path in place.iterdir()} if place.is_dir() else set()
        if part not in there:
            parent = ".".join(found.module.split(".")[:depth])
            known = sorted(name for name in there if name.isidentifier() and not name.startswith("__"))
            raise ValueError(f"{text}: {parent!r} has no module {part!r}{nearest(part, known)}")
        place = place / part


def _files(root: Path) -> Iterator[Path]:
    """Yield the files of a package, without hidden ones and what Python compiles."""
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        if path.is_file() and path.suffix != ".pyc" and not any(p.startswith(".") or p == "__pycache__" for p in parts):
            yield path


@cache
def _distribution(top: str) -> str:
    """Return name and version of the distribution that installed a top-level package; empty if none did."""
    names = sorted(set(importlib.metadata.packages_distributions().get(top, ())))
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def keep(text: str, digest: str, folder: Path) -> None:
    """Copy the code of a reference to `folder/DIGEST`, unless it is there or is an installed distribution.

    Args:
        text: `package.module:Class`.
        digest: its hash, see `Source`.
        folder: of a run's code.
    """
    target = folder / digest
    if target.exists():
        return
    found = source(text)
    for path in found.files:
        assert found.folder is not None
        copy = target / path.relative_to(found.folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def kept(digests: Iterable[str], folder: Path) -> list[Path]:
    """Return the folders in which a run keeps code, by the hashes of the code."""
    return [folder / digest for digest in dict.fromkeys(digests) if (folder / digest).is_dir()]


def verify(known: dict[str, str]) -> None:
    """Refuse code that is other than planned, or that is missing.

    Args:
        known: {reference: hash}, as a spec has it.

    Raises:
        UsageError: names the reference and both hashes.
    """
    for text, digest in known.items():
        try:
            here = source(text).digest
        except ValueError as error:
            raise UsageError(str(error)) from None
        if here != digest:
            raise UsageError(f"{text}: its code has the hash {here}, planned was {digest}: start a new run")
