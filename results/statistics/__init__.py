"""Statistics of cells over seeds: pure functions of arrays and mappings, without records or files."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results.statistics import sequential
    from results.statistics.aggregates import (
        Estimate,
        interquartile_mean,
        performance_profile,
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
    from results.statistics.budgets import (
        BudgetWorth,
        kendall_tau,
        worth,
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
    from results.statistics.simultaneous import (
        beside_zero,
        from_best,
    )
    from results.statistics.subset import (
        Contenders,
        contenders,
    )
    from results.statistics.time_to_target import (
        Time,
        TimeToTarget,
        median_time,
        shares,
        slower,
    )
    from results.statistics.trends import (
        rising,
    )
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
