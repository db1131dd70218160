"""The checkouts of a search: GOOD and BAD for all of it, the tested commit for its step."""

from __future__ import annotations

import shutil
from types import TracebackType

from bench.bisection.journal import Journal
from bench.core import UsageError
from bench.revisions import Runnable, Worktrees, refusal, resolve, runnable


class Checkouts:
    """A context with the checkouts of a search, which are removed at its end, also after Ctrl-C.

    Args:
        journal: of the search.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._trees = Worktrees()
        self._made: dict[int, Runnable] = {}

    def __enter__(self) -> Checkouts:
        self._trees.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._trees.__exit__(kind, error, trace)

    def prepare(self, number: int) -> Runnable:
        """Return the checkout of a commit with its interpreter; make it if it is not there, and remove older ones.

        Raises:
            UsageError: the commit predates the command of a trial, its environment cannot be made, or its code does
                not take the settings.
        """
        if number not in self._made:
            ends = {0: self._journal.good, len(self._journal.line) - 1: self._journal.bad}
            if number not in ends:
                self._remove(set(self._made) - set(ends))
            revision = (
                ends[number].revision
                if number in ends
                else resolve(ends[0].revision.repository, self._journal.line[number].commit)
            )
            side = runnable(self._trees.add(revision))
            if why := refusal(side, self._journal.planned_cell):
                self._trees.remove(side.checkout)
                raise UsageError(f"{revision.name} does not take the settings: {why}")
            self._made[number] = side
        if self._journal.measure.fresh:
            # The tested commit is new, and would be the only one without decoded pictures from an earlier trial.
            _empty(self._made[number])
        return self._made[number]

    def _remove(self, numbers: set[int]) -> None:
        for number in numbers:
            self._trees.remove(self._made.pop(number).checkout)


def _empty(side: Runnable) -> None:
    """Remove what earlier trials of a checkout kept."""
    shutil.rmtree(side.checkout.scratch, ignore_errors=True)
    side.checkout.scratch.mkdir(parents=True, exist_ok=True)
