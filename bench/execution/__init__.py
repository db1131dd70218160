"""Trials through Ray: the run's folder, supervised processes, failures, progress. Only its files `ray_*` import Ray."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.execution import cluster_checks, ray_cluster, ray_tune, runner, session, uploads
    from bench.execution.failure_policy import FailurePolicy, Trial, is_done
    from bench.execution.request import RunRequest, UntilRequest
    from bench.execution.run_folder import SEARCH, RunFolder, resume_command, writable
    from bench.execution.runner import TrialRunner
    from bench.execution.search import candidates, choose
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
