"""Say why a file that lies in a folder is not taken for the one that is missing there: its format, or its spelling."""

from __future__ import annotations

import unicodedata
from functools import cached_property
from pathlib import Path


class NearNames:
    """The files below a folder, by names in which letter case and the Unicode form of letters make no difference."""

    def __init__(self, root: Path, folder: str, suffixes: tuple[str, ...]) -> None:
        """Take the files below `root / folder`, of which those with `suffixes` are read."""
        self.top, self.folder, self.suffixes = root / folder, folder, suffixes

    def instead_of(self, name: str) -> str:
        """Return which file is there instead of the one called `name` (without suffix), and what to do; else empty."""
        path = self._files.get(_folded(name))
        if path is None:
            return ""
        where = f"{self.folder}/{path.relative_to(self.top).as_posix()}"
        if path.suffix.lower() not in self.suffixes:
            return f"{where} is of a format that is not read; save it as one of {', '.join(self.suffixes)}"
        stem = path.relative_to(self.top).with_suffix("").as_posix()
        if unicodedata.normalize("NFC", stem) == unicodedata.normalize("NFC", name):
            return f"{where} has the same letters in another Unicode form (macOS stores them so); rename one of the two"
        return f"{where} differs in upper and lower case; rename one of the two"

    @cached_property
    def _files(self) -> dict[str, Path]:
        found = (path for path in self.top.rglob("*") if path.is_file() and not path.name.startswith("."))
        return {_folded(path.relative_to(self.top).with_suffix("").as_posix()): path for path in sorted(found)}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
