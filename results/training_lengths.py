"""How methods rank after shares of a converged training, from the records of trainings of several lengths."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from results.record import Record
from results.statistics.budgets import BudgetWorth, worth

SHARES = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
Kind = Literal["own schedule", "cut short"]
LENGTH = "epochs"
"""The axis of a grid that varies the length of the training."""


@dataclass(frozen=True)
class Course:
    """The worth of each budget on one data set.

    Attributes:
        dataset: its name.
        tuned: whether a search chose the learning rate of each cell.
        kind: "own schedule" (a training of that length, with a learning rate that falls over it), or "cut short" (the
            state of the longest training after that many steps).
        steps: of the longest training, which stands for convergence.
        seeds: least number of seeds of a method at convergence.
        rows: one per budget, in order.
    """

    dataset: str
    tuned: bool
    kind: Kind
    steps: int
    seeds: int
    rows: tuple[BudgetWorth, ...]


def courses(records: Iterable[Record]) -> list[Course]:
    """Return the worth of the budgets per data set, kind of learning rate and kind of budget.

    A method is a setting of the axes of a grid other than the length of the training, by its labels. Trials that did
    not end well, and trials that a target ended, are left out.

    Args:
        records: of one or several runs, such as of the grid `budget`.
    """
    groups: dict[tuple[str, bool], list[Record]] = {}
    for record in records:
        if record.status == "ok" and record.dataset and record.history and not _ended_early(record):
            groups.setdefault((record.dataset.name, record.tuning is not None), []).append(record)
    return [course for (name, tuned), own in groups.items() for course in _of_group(name, tuned, own)]


def _of_group(name: str, tuned: bool, records: list[Record]) -> Iterator[Course]:
    whole = max(record.history[-1].step for record in records)
    kinds: dict[Kind, dict[float, dict[str, dict[int, float]]]] = {"own schedule": {}, "cut short": {}}
    for record in records:
        steps, method = record.history[-1].step, method_of(record)
        for share, miou in _along(record, whole).items() if steps == whole else ():
            kinds["cut short"].setdefault(share, {}).setdefault(method, {})[record.seed] = miou
        if (final := record.history[-1].val.miou) is not None:
            kinds["own schedule"].setdefault(steps / whole, {}).setdefault(method, {})[record.seed] = final
    for kind, budgets in kinds.items():
        if len(budgets) > 1:
            seeds = min(map(len, budgets[max(budgets)].values()))
            yield Course(name, tuned, kind, whole, seeds, tuple(worth(budgets)))


def _along(record: Record, whole: int) -> dict[float, float]:
    """Return the validation mIoU at the shares of a training after which it was evaluated."""
    at = {epoch.step: epoch.val.miou for epoch in record.history}
    found = {
        share: at.get(round(share * whole)) for share in SHARES if abs(share * whole - round(share * whole)) < 1e-6
    }
    return {share: miou for share, miou in found.items() if miou is not None}


def _ended_early(record: Record) -> bool:
    return bool(record.spec.get("train", {}).get("until")) and bool(record.target and record.target.reached)


def method_of(record: Record) -> str:
    """Return what a trial compares, without the length of its training; its label if its grid varied nothing else."""
    return " ".join(str(value) for name, value in record.axes.items() if name != LENGTH) or record.label
