"""`--until`: what a run has to decide before it ends, as it is written in a command or in a grid file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bench.core import UsageError, first_fault

if TYPE_CHECKING:
    from results.statistics import sequential

_WORDS = re.compile(r"(decided|best|release|groups)(?:\s+within\s+([0-9.]+)\s+points?)?")
_BUDGET = re.compile(r"([0-9]+)(?:\s*trials?)?|([0-9.]+)\s*h(?:ours?)?")
METRIC = "miou"
"""The metric that a run decides on, on the validation split."""


class Until(BaseModel):
    """What is to be decided, and within what limits.

    Attributes:
        question: "best" (which cell is best, or surely within the margin of it), "release" (has a cell become worse
            than in a release), or "groups" (which cells differ); None for "release" with --against, else "best".
        margin: by metric, the difference that does not matter, as a fraction; only `miou` can be given.
        seeds: of the first and of the last look.
        alpha: chance of error over all looks, 0 to 1.
        budget: most trials (80), or device-hours ("4h") after which no further round of seeds begins.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: Literal["best", "release", "groups"] | None = None
    margin: dict[Literal["miou"], Annotated[float, Field(gt=0, lt=1)]] = {}
    seeds: tuple[Annotated[int, Field(ge=2)], Annotated[int, Field(ge=2)]] = (2, 10)
    alpha: float = Field(0.05, gt=0, lt=1)
    budget: int | str | None = None

    @field_validator("budget")
    @classmethod
    def _readable(cls, value: int | str | None) -> int | str | None:
        if value is not None and not _BUDGET.fullmatch(str(value).strip()):
            raise ValueError("expected trials, such as 80, or hours, such as 4h")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Until:
        if self.seeds[0] > self.seeds[1]:
            raise ValueError("seeds: the first look comes after the last")
        return self

    def plan(self, margin: float, against: bool) -> sequential.Plan:
        """Return the plan.

        Args:
            margin: of the metric if none is given here, a fraction.
            against: whether the run is judged against a release.

        Raises:
            UsageError: the question does not go with it.
        """
        from results.statistics import sequential  # imports SciPy

        question = self.question or ("release" if against else "best")
        if against != (question == "release"):
            why = "needs --against RELEASE" if not against else "does not go with --against"
            raise UsageError(f"--until {question}: {why}")
        trials, hours = _amounts(self.budget)
        first, last = self.seeds
        return sequential.Plan(question, self.margin.get("miou", margin), first, last, self.alpha, trials, hours)

    @classmethod
    def of(cls, plan: sequential.Plan) -> Until:
        """Return the block that asks for a plan."""
        budget = plan.budget if plan.hours is None else f"{plan.hours}h"
        return cls(
            question=plan.question, margin={"miou": plan.margin}, seeds=(plan.first, plan.last), alpha=plan.alpha,
            budget=budget,
        )  # fmt: skip


def _amounts(budget: int | str | None) -> tuple[int | None, float | None]:
    """Return a budget as (trials, hours), one of which is None."""
    found = _BUDGET.fullmatch(str(budget).strip()) if budget is not None else None
    if not found:
        return None, None
    return (int(found[1]), None) if found[1] else (None, float(found[2]))


def read_until(words: str | None, file: Until | None, most_seeds: int | None, budget: str | None) -> Until | None:
    """Return what a command asks for, over what its grid file says; None if neither asks for anything.

    Args:
        words: of --until: decided, best, release or groups, and perhaps "within 1 point".
        file: the block `until` of the grid.
        most_seeds: of --max-seeds.
        budget: of --budget.

    Raises:
        UsageError: one line.
    """
    if words is None and file is None:
        if most_seeds is not None or budget is not None:
            option = "--budget" if most_seeds is None else "--max-seeds"
            raise UsageError(f"{option}: only a run with --until has one")
        return None
    base = file or Until()
    given: dict[str, Any] = {}
    if words is not None:
        found = _WORDS.fullmatch(words.strip())
        if not found:
            raise UsageError(
                f"--until {words}: expected decided, best, release or groups, and perhaps a margin: "
                "--until 'best within 1 point'"
            )
        given |= {} if found[1] == "decided" else {"question": found[1]}
        given |= {"margin": {METRIC: _points(words, found[2])}} if found[2] else {}
    if most_seeds is not None:
        given["seeds"] = (min(base.seeds[0], most_seeds), most_seeds)
    if budget is not None:
        given["budget"] = budget
    return _checked({**base.model_dump(), **given})


def _points(words: str, number: str) -> float:
    """Return a margin in points as a fraction."""
    try:
        return float(number) / 100
    except ValueError:
        raise UsageError(f"--until {words}: {number} is no number of points") from None


def _checked(values: Mapping[str, Any]) -> Until:
    try:
        return Until.model_validate(values)
    except ValidationError as error:
        fault = first_fault(error)
        option = {"seeds": "--max-seeds", "budget": "--budget"}.get(fault.place.partition(".")[0], "--until")
        raise UsageError(f"{option} {fault.value}: {fault.message}") from None
