"""Other revisions of this project: their checkouts and environments, and trials that run their code and no other."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.revisions.ancestry import Commit, line_between
    from bench.revisions.environments import Runnable, runnable
    from bench.revisions.foreign_trial import measure, refusal
    from bench.revisions.naming import Revision, resolve
    from bench.revisions.worktrees import Checkout, Worktrees
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
