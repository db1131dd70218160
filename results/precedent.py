"""What became of the verdicts of trainings of about one length: the measured table that reports quote."""

import csv
import functools
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from results.store import write_bytes
from results.training_lengths import Course

NEAR = 2.0
"""Greatest factor between the steps of a training and a measured length that still speaks for it."""
_FILE = Path(__file__).with_name("precedents.csv")


@dataclass(frozen=True)
class Precedent:
    """The verdicts of trainings of one length on one data set.

    Attributes:
        dataset: its name.
        steps: of each training.
        converged: steps of the longest training, which stands for convergence.
        verdicts: number of pairs of methods that were told apart.
        held: how many of them convergence repeats.
        turned: how many it turns round.
    """

    dataset: str
    steps: int
    converged: int
    verdicts: int
    held: int
    turned: int


def precedents(steps: int) -> list[Precedent]:
    """Return the measured lengths nearest to a number of steps, at most one per data set.

    Nearest is by ratio, of at most `NEAR`. A data set whose trainings converged in so many steps is left out.
    """
    found: dict[str, Precedent] = {}
    for one in _measured():
        if steps < one.converged and _ratio(one, steps) <= min(NEAR, _ratio(found.get(one.dataset, one), steps)):
            found[one.dataset] = one
    return [*found.values()]


def _ratio(one: Precedent, steps: int) -> float:
    return max(one.steps / steps, steps / one.steps)


def precedents_of(found: Iterable[Course]) -> list[Precedent]:
    """Return the budgets of courses with one rate for all and schedules of their own, without convergence itself."""
    return [
        Precedent(course.dataset, round(row.share * course.steps), course.steps, row.verdicts, row.held, row.turned)
        for course in found
        if course.kind == "own schedule" and not course.tuned
        for row in course.rows[:-1]
    ]


def write_precedents(found: Iterable[Course], path: Path) -> None:
    """Write what reports quote, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Precedent)], lineterminator="\n")
    table.writeheader()
    table.writerows(map(asdict, precedents_of(found)))
    write_bytes(path, text.getvalue().encode())


@functools.cache
def _measured() -> tuple[Precedent, ...]:
    with _FILE.open(encoding="utf-8", newline="") as file:
        return tuple(
            Precedent(row.pop("dataset"), **{name: int(value) for name, value in row.items()})
            for row in csv.DictReader(file)
        )
