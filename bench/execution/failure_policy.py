"""How failed trials are handled, and which of them count as done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.core import UsageError, first_fault
from bench.execution.run_folder import RunFolder
from bench.execution.supervisor import Limits
from bench.plan import Cell
from bench.spec import TrialSpec

Trial = tuple[str, Cell, TrialSpec]


class FailurePolicy(BaseModel):
    """How failed trials are handled.

    Attributes:
        trial_timeout: seconds that an attempt may take; None for no limit.
        stall_timeout: seconds that an attempt may take without a sign of life.
        retries: further attempts after a failure that may not repeat: a lost node, a timeout.
        on_oom: "record" keeps the failure of a trial that ran out of memory; "shrink" runs the trial again with half
            its batch, as a separate cell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial_timeout: float | None = Field(None, gt=0)
    stall_timeout: float = Field(1800.0, gt=0)
    retries: int = Field(0, ge=0)
    on_oom: Literal["record", "shrink"] = "record"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> FailurePolicy:
        """Make a policy from options of the command, by name. None is an option that was not given.

        Raises:
            UsageError: names an option with a wrong value.
        """
        try:
            return cls.model_validate({name: value for name, value in values.items() if value is not None})
        except ValidationError as error:
            fault = first_fault(error)
            raise UsageError(f"--{fault.place.replace('_', '-')} {fault.value}: {fault.message}") from None

    @property
    def given(self) -> dict[str, Any]:
        """The options that were given, as the manifest of a run keeps them."""
        return self.model_dump(exclude_unset=True)

    def over(self, stored: Mapping[str, Any]) -> FailurePolicy:
        """Return the policy of stored options, overridden by those that are given here."""
        return FailurePolicy.of({**stored, **self.given})

    @property
    def limits(self) -> Limits:
        """The time limits of an attempt."""
        return Limits(self.trial_timeout, self.stall_timeout)


def shrunk(trial: Trial) -> Trial | None:
    """Return the trial with half its global batch, as a separate cell; None if it does not split over the replicas."""
    name, cell, spec = trial
    half = spec.train.batch_size // 2
    if half < 1 or spec.train.batch_size % (2 * spec.placement.replicas):
        return None
    smaller = spec.model_copy(update={"train": spec.train.model_copy(update={"batch_size": half})})
    axes = {**cell.axes, "batch_size": half}
    return f"{name}-batch{half}", Cell(f"{cell.label} batch {half}", axes, smaller), smaller


def is_done(run: RunFolder, trial: Trial) -> bool:
    """Return whether a trial is complete, or ran out of memory and is complete with half its batch."""
    status = run.status(trial[0])
    if status is None:
        return run.has(trial[2])
    smaller = shrunk(trial) if status == "oom" else None
    return status == "ok" or (smaller is not None and run.status(smaller[0]) == "ok")
