"""Checkouts of revisions in temporary git worktrees, which are removed at the end, however it comes.

A process that is killed leaves its worktrees behind. The next one removes them: the folder of a live process is locked.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TextIO

from bench.core import UsageError
from bench.revisions.git import Failed, git
from bench.revisions.naming import Revision

PREFIX = "segmentation-bench-revisions-"
_OWNER = "owner.lock"
_LAST_SECONDS = 5.0


@dataclass(frozen=True)
class Checkout:
    """The files of a revision.

    Attributes:
        revision: what it holds.
        folder: its worktree.
        scratch: a folder for what its trials keep, such as decoded images; removed with the worktree.
    """

    revision: Revision
    folder: Path
    scratch: Path


class Worktrees:
    """A context in which revisions are checked out, each in a temporary git worktree.

    At the end of the context all are removed, also after an exception, Ctrl-C, and SIGTERM if that raises
    KeyboardInterrupt (`bench.core.signals`).

    Args:
        place: folder in which the worktrees are made; made if missing. Default: the system's temporary folder. On a
            cluster it has to be a path that all nodes share.
    """

    def __init__(self, place: Path | None = None) -> None:
        self._place = place
        self._folder: Path | None = None
        self._lock: TextIO | None = None
        self._made: list[Checkout] = []

    def __enter__(self) -> Worktrees:
        """Make the folder of the worktrees.

        Raises:
            UsageError: it cannot be made.
        """
        try:
            if self._place is not None:
                self._place.mkdir(parents=True, exist_ok=True)
            place = self._place and self._place.resolve()
            self._folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place)).resolve()
            self._lock = open(self._folder / _OWNER, "w")
            with contextlib.suppress(OSError):  # a file system without locks: nobody will take these for left behind
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._remove_folder()
            raise UsageError(f"no folder for checkouts: {self._place or 'temporary'}: {error.strerror}") from None
        return self

    def add(self, revision: Revision) -> Checkout:
        """Check a revision out, and remove what killed processes left in its repository.

        Raises:
            UsageError: git cannot check it out.
        """
        assert self._folder is not None
        remove_stale(revision.repository)
        home = self._folder / f"{len(self._made)}-{revision.commit[:12]}"
        checkout = Checkout(revision, home / "code", home / "scratch")
        self._made.append(checkout)
        try:
            checkout.scratch.mkdir(parents=True)
            git(revision.repository, "worktree", "add", "--quiet", "--detach", str(checkout.folder), revision.commit)
        except (Failed, OSError) as error:
            self.remove(checkout)
            raise UsageError(f"revision {revision.name} cannot be checked out: {error}") from None
        return checkout

    def remove(self, checkout: Checkout) -> None:
        """Remove a checkout before the end of the context."""
        _remove_worktree(checkout.revision.repository, checkout.folder)
        shutil.rmtree(checkout.folder.parent, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for checkout in self._made:
            self.remove(checkout)
        self._remove_folder()

    def _remove_folder(self) -> None:
        deadline = time.monotonic() + _LAST_SECONDS
        while self._folder is not None and self._folder.exists() and time.monotonic() < deadline:
            shutil.rmtree(self._folder, ignore_errors=True)
            time.sleep(0.0 if not self._folder.exists() else 0.1)  # a process that is just being killed may still write
        if self._lock is not None:
            self._lock.close()
        self._folder = self._lock = None


def remove_stale(repository: Path) -> list[Path]:
    """Remove the worktrees that processes left behind which no longer run, and return their folders.

    Only folders that this module made are looked at. Other worktrees of the repository stay.
    """
    listed = git(repository, "worktree", "list", "--porcelain").splitlines()
    worktrees = [Path(line.removeprefix("worktree ")) for line in listed if line.startswith("worktree ")]
    removed = []
    for worktree in worktrees:
        owner = worktree.parent.parent
        if owner.name.startswith(PREFIX) and _left(owner):
            _remove_worktree(repository, worktree)
            shutil.rmtree(owner, ignore_errors=True)
            removed.append(worktree)
    return removed


def _left(owner: Path) -> bool:
    """Return whether a folder of worktrees is gone, or belongs to no live process."""
    try:
        with open(owner / _OWNER) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _remove_worktree(repository: Path, folder: Path) -> None:
    """Remove a worktree, its files and git's entry of it, even if it is locked or half made."""
    with contextlib.suppress(Failed):
        git(repository, "worktree", "remove", "--force", "--force", str(folder))
