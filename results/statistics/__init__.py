"""Statistics of cells over seeds: pure functions of arrays and mappings, without records or files."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from results.statistics.aggregates import (
        Estimate,
        interquartile_mean,
        performance_profile,
        probability_best,
        probability_of_improvement,
    )
    from results.statistics.bisection import (
        Effect,
        Search,
        SearchPlan,
        SearchStep,
        effect_across,
        replay,
    )
    from results.statistics.confidence import (
        Difference,
        Interval,
        between,
        difference,
        intervals,
    )
    from results.statistics.gate import (
        Change,
        Decision,
        changes,
        decide,
        headline,
    )
    from results.statistics.multiplicity import (
        holm,
    )
    from results.statistics.pooling import (
        Pool,
        degrees_of_freedom,
        pool,
        seed_correlation,
    )
    from results.statistics.power import (
        power_of_t,
        smallest_detectable,
    )
    from results.statistics.ranking import (
        Ranking,
        rank,
    )

_HOMES = {
    "Change": "results.statistics.gate",
    "Decision": "results.statistics.gate",
    "Difference": "results.statistics.confidence",
    "Effect": "results.statistics.bisection",
    "Estimate": "results.statistics.aggregates",
    "Interval": "results.statistics.confidence",
    "Pool": "results.statistics.pooling",
    "Ranking": "results.statistics.ranking",
    "Search": "results.statistics.bisection",
    "SearchPlan": "results.statistics.bisection",
    "SearchStep": "results.statistics.bisection",
    "between": "results.statistics.confidence",
    "changes": "results.statistics.gate",
    "decide": "results.statistics.gate",
    "degrees_of_freedom": "results.statistics.pooling",
    "difference": "results.statistics.confidence",
    "effect_across": "results.statistics.bisection",
    "headline": "results.statistics.gate",
    "holm": "results.statistics.multiplicity",
    "interquartile_mean": "results.statistics.aggregates",
    "intervals": "results.statistics.confidence",
    "performance_profile": "results.statistics.aggregates",
    "pool": "results.statistics.pooling",
    "power_of_t": "results.statistics.power",
    "probability_best": "results.statistics.aggregates",
    "probability_of_improvement": "results.statistics.aggregates",
    "rank": "results.statistics.ranking",
    "replay": "results.statistics.bisection",
    "seed_correlation": "results.statistics.pooling",
    "smallest_detectable": "results.statistics.power",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
