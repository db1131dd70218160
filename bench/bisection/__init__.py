"""The commit that made a metric worse: trials of commits in turns, and a search by halves that can be resumed."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.bisection.answers import Answer
    from bench.bisection.journal import JOURNAL, Journal, read_journal
    from bench.bisection.measures import METRICS, Measure
    from bench.bisection.searching import BisectRequest, Limits, begin, resume
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
