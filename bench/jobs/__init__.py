"""Runs started from another machine: sent to a cluster's job server, or written as a file for KubeRay or Slurm."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.jobs.batch_files import Nodes, kuberay, slurm
    from bench.jobs.command_line import Job, job
    from bench.jobs.job_server import JobServer
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
