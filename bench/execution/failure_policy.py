"""What is done about trials that do not end well, and which of them count as done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.core import UsageError
from bench.execution.run_folder import RunFolder
from bench.execution.supervisor import Limits
from bench.plan import Cell
from bench.spec import TrialSpec

Trial = tuple[str, Cell, TrialSpec]


class FailurePolicy(BaseModel):
    """Say what is done about trials that do not end well.

    Attributes:
        trial_timeout, stall_timeout: seconds for an attempt as a whole, and without a sign of life.
        retries: further attempts after what may pass: a lost node, a timeout.
        on_oom: "shrink" tries a trial that ran out of memory again with half its batch, as a cell of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial_timeout: float | None = Field(None, gt=0)
    stall_timeout: float = Field(1800.0, gt=0)
    retries: int = Field(0, ge=0)
    on_oom: Literal["record", "shrink"] = "record"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> FailurePolicy:
        """Make a policy of options of the command; None is an option that was not given.

        Raises:
            UsageError: naming the option.
        """
        try:
            return cls.model_validate({name: value for name, value in values.items() if value is not None})
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            option = "--" + "-".join(str(fault["loc"][0]).split("_"))
            raise UsageError(f"{option} {fault['input']}: {fault['msg']}") from None

    @property
    def given(self) -> dict[str, Any]:
        """The options that were given, as the manifest of a run keeps them."""
        return self.model_dump(exclude_unset=True)

    def over(self, stored: Mapping[str, Any]) -> FailurePolicy:
        """Return the policy of options that were stored, with those that are given here in their place."""
        return FailurePolicy.of({**stored, **self.given})

    @property
    def limits(self) -> Limits:
        return Limits(self.trial_timeout, self.stall_timeout)


def shrunk(trial: Trial) -> Trial | None:
    """The trial with half its global batch, as a cell of its own; None when that does not split over its replicas."""
    name, cell, spec = trial
    half = spec.train.batch_size // 2
    if half < 1 or spec.train.batch_size % (2 * spec.placement.replicas):
        return None
    smaller = spec.model_copy(update={"train": spec.train.model_copy(update={"batch_size": half})})
    axes = {**cell.axes, "batch_size": half}
    return f"{name}-batch{half}", Cell(f"{cell.label} batch {half}", axes, smaller), smaller


def is_done(run: RunFolder, trial: Trial) -> bool:
    """Whether a trial is complete, or has run out of memory and is complete with half its batch."""
    status = run.status(trial[0])
    if status is None:
        return run.has(trial[2])
    smaller = shrunk(trial) if status == "oom" else None
    return status == "ok" or (smaller is not None and run.status(smaller[0]) == "ok")
