"""The target of a cell, and the time of each of its seeds to it, from records."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from results.record import Record
from results.statistics.time_to_target import Time

Kind = Literal["steps", "seconds", "cpu_seconds"]


def target_of(records: Iterable[Record]) -> tuple[str, float] | None:
    """Return the target of a cell as (metric, value), or None if its trials have none."""
    found = (record.target for record in records if record.target and record.target.value is not None)
    return next(((one.metric, float(one.value or 0)) for one in found), None)


def times_to_target(records: Sequence[Record], kind: Kind = "steps") -> list[Time]:
    """Return the time of each seed of a cell to its target.

    A trial that ended well without reaching it is censored at its end. One that diverged would never have reached it,
    and is censored at infinity. Trials that failed for another reason tell nothing, and are left out.

    Args:
        records: of one cell.
        kind: steps, seconds of training, or CPU seconds of training.
    """
    if target_of(records) is None:
        return []
    found = []
    for record in records:
        if record.status == "diverged":
            found.append(Time(math.inf, False))
        elif record.status == "ok" and record.target and (value := getattr(record.target, kind)) is not None:
            found.append(Time(float(value), record.target.reached))
    return found
