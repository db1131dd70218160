"""The line of commits from one revision to another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.core import UsageError
from bench.revisions.git import Failed, git
from bench.revisions.naming import Revision


@dataclass(frozen=True)
class Commit:
    """A commit of a line.

    Attributes:
        commit: 40 hexadecimal digits.
        subject: first line of its message.
        author_date: ISO 8601, with the author's time zone.
    """

    commit: str
    subject: str
    author_date: str


def line_between(good: Revision, bad: Revision) -> tuple[Commit, ...]:
    """Return the commits from `good` to `bad`, both included, by first parents: a merge counts as one change.

    Raises:
        UsageError: there is no such line.
    """
    where = good.repository
    if good.commit == bad.commit:
        raise UsageError(f"{good.name} and {bad.name} are the same commit: there is nothing between them")
    if not _is_ancestor(good, bad):
        shallow = git(where, "rev-parse", "--is-shallow-repository") == "true"
        hint = "the clone is shallow: git fetch --unshallow" if shallow else "name an older one, or exchange them"
        raise UsageError(f"{good.name} is no ancestor of {bad.name}; {hint}")
    newer = _commits(where, "--first-parent", "--reverse", f"{good.commit}..{bad.commit}")
    (oldest,) = _commits(where, "--max-count=1", good.commit)
    below = git(where, "rev-parse", f"{newer[0].commit}^1")
    if below != good.commit:
        raise UsageError(
            f"{good.name} lies on a branch that was merged, not on the line of first parents of {bad.name}; "
            f"name a commit of that line, such as {below[:12]}"
        )
    return (oldest, *newer)


def _is_ancestor(good: Revision, bad: Revision) -> bool:
    try:
        git(good.repository, "merge-base", "--is-ancestor", good.commit, bad.commit)
    except Failed:
        return False
    return True


def _commits(where: Path, *wanted: str) -> list[Commit]:
    listed = git(where, "log", "--format=%H%x1f%s%x1f%aI", *wanted)
    return [Commit(*line.split("\x1f")) for line in listed.splitlines()]
