"""From a grid file to placed trials, and all that can be checked before the first one. No TensorFlow, no Ray."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.plan import checks, dry_run, grid, moved_data, options, placement
    from bench.plan.checks import Datasets, check_weights
    from bench.plan.durations import costs, forecast, longest_first
    from bench.plan.grid import Cell, Grid, Search, data_fields, data_of, single
    from bench.plan.own_code_checks import check_own_code
    from bench.plan.own_code_probe import fault as fault_of_own_code
    from bench.plan.placement import (
        GridRequest,
        Local,
        Machine,
        Need,
        Plan,
        default_precision,
        make,
        merge_grids,
        place,
        resolved,
        this_machine,
        why_unplaceable,
    )
    from bench.plan.starter import look_at, starter_grid
    from bench.plan.until import METRIC, Until, read_until
    from bench.plan.wall_clock import TimeEstimate, time_estimate
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
