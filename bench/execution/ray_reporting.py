"""Ray's own ways to show a run elsewhere: gauges for Prometheus, and loggers for MLflow and W&B."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bench.execution import ray_cluster  # isort: skip (before Ray, whose environment it sets)

import ray
from ray.util.metrics import Gauge

from bench.core import UsageError
from bench.execution.gauges import Gauges


def gauges(run: str, finished: int) -> Gauges | None:
    """Return what shows a run to Prometheus; None on a cluster of this run's own, which has no exporter.

    Args:
        run: its name.
        finished: number of trials that were complete before this session.
    """
    return Gauges(run, finished, Gauge) if ray_cluster.own_folder() is None and ray.is_initialized() else None


def tracker(name: str, title: str, folder: Path) -> Any:
    """Return Ray's logger "mlflow" or "wandb", ready for trials (see `bench.execution.tracking`).

    MLflow writes to $MLFLOW_TRACKING_URI if that is set, else to the folder mlruns beside the run's folder.

    Args:
        name: of the logger.
        title: of the run.
        folder: of the TensorBoard files, inside the run's folder, beside which MLflow writes.

    Raises:
        UsageError: its package is not installed, or its service refuses.
    """
    made: Any
    try:
        if name == "mlflow":
            from ray.air.integrations.mlflow import MLflowLoggerCallback

            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # else MLflow 3 requires a database
            store = os.environ.get("MLFLOW_TRACKING_URI") or (folder.resolve().parents[1] / "mlruns").as_uri()
            made = MLflowLoggerCallback(store, experiment_name=title)
        else:
            from ray.air.integrations.wandb import WandbLoggerCallback

            made = WandbLoggerCallback(project=os.environ.get("WANDB_PROJECT_NAME", "segmentation-bench"), group=title)
        made.setup()
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"--track {name}: {reason}") from None
    return made
