"""What is known of a trial so far. It reaches the record however the trial ends. Imports no TensorFlow by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.core import describe, peak_rss_mb, usable_cores
from bench.trial.clocks import PhaseTimer

if TYPE_CHECKING:
    import results
    from bench.trial.monitor import TrainingHistory

Emit = Callable[[dict[str, Any]], None]
"""A function that takes progress events: "step", "epoch", and "alive", a bare sign of life."""


def ignore(event: dict[str, Any]) -> None:
    """Do nothing with an event."""


def alone() -> None:
    """Check nothing: a trial in the foreground has no other attempt."""


@dataclass
class Facts:
    """Collects fields of the record while a trial runs. A failed trial has those that were known when it failed.

    `cores` is the number of cores that the trial could use when it began. `check` raises `TakenOver` if the attempt may
    write nothing more.
    """

    timer: PhaseTimer = field(default_factory=PhaseTimer)
    environment: dict[str, Any] = field(default_factory=lambda: dict(describe()))
    cores: int = field(default_factory=usable_cores)
    dataset: dict[str, Any] | None = None
    objective: dict[str, Any] | None = None
    cost: dict[str, Any] | None = None
    memory: dict[str, float | None] | None = None
    training: TrainingHistory | None = None
    artefacts: list[results.Artefact] = field(default_factory=list)
    failed_views: dict[str, str] = field(default_factory=dict)
    check: Callable[[], None] = alone

    def as_fields(self, gpus: int) -> dict[str, Any]:
        """Return the fields of the record that are known.

        Args:
            gpus: number of GPUs of the trial, whose memory is measured now unless `memory` is set.
        """
        return {
            "environment": self.environment,
            "dataset": self.dataset,
            "objective": self.objective,
            "cost": self.cost,
            "memory": self.memory or memory_peaks(gpus),
            "clocks": self.timer.as_dict(),
            "history": self.training.history if self.training else [],
            "artefacts": self.artefacts,
            "failed_views": self.failed_views,
        }


def memory_peaks(gpus: int) -> dict[str, float | None]:
    """Return the peak memory so far in MiB: of this process, and of TensorFlow summed over the GPUs of the trial.

    Args:
        gpus: number of GPUs of the trial; at 0 the peak of the GPUs is None.
    """
    return {"peak_rss_mb": peak_rss_mb(), "peak_gpu_mb": _gpu_peak() if gpus else None}


def _gpu_peak() -> float:
    """Return the sum of TensorFlow's memory peaks on all GPUs of this process, in MiB."""
    import tensorflow as tf

    gpus = range(len(tf.config.list_logical_devices("GPU")))
    return sum(tf.config.experimental.get_memory_info(f"GPU:{i}")["peak"] for i in gpus) / 2**20
