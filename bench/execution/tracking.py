"""Tracking of a run besides its records: always TensorBoard files, and MLflow or Weights & Biases on request.

Ray's own loggers write to MLflow and W&B (`ray_reporting.tracker`). Ray would pass them its own view of a trial, with
the payload and process id of a worker. Here they get the parameters of the job and its events.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.execution import ray_reporting
from bench.execution.ray_tune import Event
from bench.execution.tensorboard import TensorBoard


class Tracking:
    """Passes the progress of jobs to loggers: always to TensorBoard files in `folder`/JOB, and to services.

    It is a listener of `ray_tune.run`. The numbers of every message that has a "step" are passed on; TensorBoard files
    get the IoU of classes as well, whose names services may refuse. A tracker that fails is left out from then on, so
    that no run ends because a server is down.

    Args:
        folder: of the TensorBoard files.
        title: of the run, for services that hold several.
        services: "mlflow", "wandb".
        facts: returns the parameters of a job by its name, plain data; called when the job starts.
        failed: called with one line, the reason, when a tracker fails.

    Raises:
        UsageError: the package of a service is not installed, or the service refuses.
    """

    def __init__(
        self,
        folder: Path,
        title: str,
        services: Sequence[str],
        facts: Callable[[str], Mapping[str, Any]],
        failed: Callable[[str], None],
    ) -> None:
        self._title, self._folder, self._facts, self._failed = title, folder, facts, failed
        self._open: dict[str, Any] = {}
        self._board = TensorBoard()
        self._loggers: dict[str, Any] = {"tensorboard": self._board}
        self._loggers |= {name: ray_reporting.tracker(name, title, folder) for name in services}

    def __call__(self, event: Event) -> None:
        if event.kind == "started":
            name = event.job
            job = self._open.get(name) or _Tracked(name, self._title, self._folder / name, self._facts(name))
            self._open[name] = job
            self._each(lambda logger: logger.log_trial_start(job))
        elif event.kind == "message" and "step" in event.data:
            job = self._open[event.job]
            result = {name: value for name, value in event.data.items() if isinstance(value, int | float)}
            result |= {"timesteps_total": result.pop("step"), "training_iteration": result.get("epoch", 0)}
            whole = result | ({"iou": event.data["iou"]} if "iou" in event.data else {})
            self._each(lambda logger: logger.log_trial_result(0, job, whole if logger is self._board else result))

    def ended(self, job: str, well: bool) -> None:
        """Pass on that a job has ended, and whether it succeeded. One that never started has left no trace."""
        if tracked := self._open.pop(job, None):
            self._each(lambda logger: logger.log_trial_end(tracked, failed=not well))

    def close(self, seconds: float | None = None) -> None:
        """End the jobs that have not ended, and wait for data on their way to a service.

        Args:
            seconds: longest wait; None for no limit.
        """
        closing = threading.Thread(target=self._close, daemon=True)
        closing.start()
        closing.join(seconds)

    def _close(self) -> None:
        for job in [*self._open]:
            self.ended(job, False)
        self._each(lambda logger: logger.on_experiment_end([]))

    def _each(self, call: Callable[[Any], None]) -> None:
        """Call a function with each logger, and drop a logger that raises an error."""
        for name, logger in [*self._loggers.items()]:
            try:
                call(logger)
            except Exception as error:
                del self._loggers[name]
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                self._failed(f"{name} no longer tracks this run: {reason}")


class _Tracked:
    """A job as Ray's loggers see a trial of Tune."""

    def __init__(self, name: str, title: str, folder: Path, facts: Mapping[str, Any]) -> None:
        self._name, self.local_path = name, str(folder)
        self.config = self.evaluated_params = dict(facts)
        self.trial_id, self.experiment_dir_name = f"{title}-{name}", title

    def __str__(self) -> str:
        return self._name

    def init_local_path(self) -> None:
        os.makedirs(self.local_path, exist_ok=True)
