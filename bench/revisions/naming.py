"""From what a user names to a revision: a commit, a tag, a branch, or the working tree of a checkout as it is."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.core import UsageError, nearest
from bench.revisions.git import Failed, git

_COMMANDS = ("bench/trial/__main__.py", "bench/trial.py")
"""The file of the command `bench.trial`, today's first."""


@dataclass(frozen=True)
class Revision:
    """A state of the project's files.

    Attributes:
        repository: top folder of the checkout from which it was resolved.
        commit: 40 hexadecimal digits of the commit that holds the files. For a working tree with changes it is a
            commit made for this purpose, which no branch holds.
        parent: the commit that was checked out; equal to `commit` unless there are changes.
        name: for people: what the user wrote, and the short commit.
        dirty: whether the files have uncommitted changes.
    """

    repository: Path
    commit: str
    parent: str
    name: str
    dirty: bool = False

    @property
    def recorded(self) -> str:
        """The commit as records name it: twelve digits of the parent, and `+` for uncommitted changes."""
        return self.parent[:12] + "+" * self.dirty


def resolve(repository: Path, text: str) -> Revision:
    """Return the revision that a user names.

    Args:
        repository: a folder inside a checkout of the project.
        text: a revision of that repository as git reads it; or a folder, which stands for the working tree there. The
            working tree is taken with its uncommitted changes and its new files, but without those that git ignores.
            They are kept as they are now, so that later edits do not matter. `.` is the present checkout.

    Raises:
        UsageError: no such revision or checkout, or one without the command `bench.trial`.
    """
    top = _top(repository)
    commit = None if text.startswith("-") else _commit(top, text)
    if commit:
        short = commit[:12]
        found = Revision(top, commit, commit, short if commit.startswith(text) else f"{text} ({short})")
    elif Path(text).is_dir():
        found = _working_tree(_top(Path(text)), text)
    else:
        known = git(top, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags").split()
        raise UsageError(f"unknown revision {text!r} in {top}: no commit, branch, tag or folder{nearest(text, known)}")
    if not any(_holds(found, file) for file in _COMMANDS):
        raise UsageError(f"revision {found.name} predates the command bench.trial; name a later one")
    return found


def _top(folder: Path) -> Path:
    """Return the top folder of a checkout.

    Raises:
        UsageError: the folder is in no checkout, or in one without a commit.
    """
    try:
        top = Path(git(folder, "rev-parse", "--show-toplevel"))
        git(top, "rev-parse", "--verify", "--quiet", "HEAD")
    except Failed:
        raise UsageError(f"{folder}: no git checkout with a commit; revisions are compared from a clone") from None
    return top


def _commit(top: Path, text: str) -> str | None:
    """Return the commit that a text names, or None."""
    try:
        return git(top, "rev-parse", "--verify", "--quiet", f"{text}^{{commit}}")
    except Failed:
        return None


def _holds(revision: Revision, file: str) -> bool:
    """Return whether a revision has a file."""
    try:
        git(revision.repository, "cat-file", "-e", f"{revision.commit}:{file}")
    except Failed:
        return False
    return True


def _working_tree(top: Path, text: str) -> Revision:
    """Return the working tree of a checkout as a revision: its commit, or a new one that holds the changes."""
    parent = git(top, "rev-parse", "HEAD")
    name = parent[:12] if text == "." else f"{text} ({parent[:12]})"
    try:
        changed = git(top, "status", "--porcelain")
        commit = _snapshot(top, parent) if changed else parent
    except (Failed, OSError) as error:
        raise UsageError(f"{top}: its uncommitted changes cannot be kept: {error}") from None
    dirty = commit != parent
    return Revision(top, commit, parent, f"{name} with uncommitted changes" if dirty else name, dirty)


def _snapshot(top: Path, parent: str) -> str:
    """Return a new commit of all files of a working tree. Index, branches and files of the checkout stay as they are.

    Equal files give equal commits, because author and time are those of the parent.
    """
    index = Path(top, git(top, "rev-parse", "--git-path", "index"))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "index")
        if index.exists():
            shutil.copyfile(index, copy)
        git(top, "add", "--all", variables={"GIT_INDEX_FILE": str(copy)})
        tree = git(top, "write-tree", variables={"GIT_INDEX_FILE": str(copy)})
    if tree == git(top, "rev-parse", f"{parent}^{{tree}}"):
        return parent
    time = git(top, "show", "--no-patch", "--format=%cI", parent)
    who = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "segmentation-bench"), ("EMAIL", "segmentation-bench"), ("DATE", time))
    }
    return git(top, "commit-tree", tree, "-p", parent, "-m", "Uncommitted changes", variables=who)
