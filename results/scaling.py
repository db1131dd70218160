"""Scaling of training speed with the number of replicas: efficiency from records, for the report and the command."""

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from results.record import Record
from results.statistics import difference, pool

WEAK, STRONG = "weak", "strong"


@dataclass(frozen=True)
class Start:
    """One process start: `setting` is its whole specification except width, batch size and seed."""

    setting: str
    label: str
    replicas: int
    batch: int
    rate: float
    input_share: float | None


@dataclass(frozen=True)
class Row:
    """One number of replicas. `efficiency` is E(n) = T(n) / (n T(1)), with a 95 % interval if starts were repeated.

    Attributes:
        series: "weak" (a fixed batch per replica) or "strong" (a fixed global batch). If there are several settings,
            it begins with the label of the start on one replica.
        batch: global batch size.
        starts: number of process starts, the unit of replication.
        images_per_second: mean over the starts.
        input_share: share of a step that waits for input; None if it was not measured.
    """

    series: str
    replicas: int
    batch: int
    starts: int
    images_per_second: float
    efficiency: float
    low: float | None
    high: float | None
    input_share: float | None


def starts(records: Iterable[Record]) -> list[Start]:
    """Return the process starts that ended well with a comparable throughput."""
    found = []
    for record in records:
        speed = record.throughput
        if record.status == "ok" and speed and speed.comparable and speed.images_per_second and speed.replicas:
            spec = {name: value for name, value in record.spec.items() if name not in ("seed", "placement", "eval")}
            batch = speed.batch_size or spec.get("train", {}).get("batch_size", 0)
            spec["train"] = {name: value for name, value in spec.get("train", {}).items() if name != "batch_size"}
            setting = json.dumps(spec, sort_keys=True)
            found.append(
                Start(
                    setting, record.label, speed.replicas, batch, speed.images_per_second,
                    speed.input_share,
                )
            )  # fmt: skip
    return found


def rows(measured: Sequence[Start]) -> list[Row]:
    """Compute E(n) of every series, relative to the starts of its setting on one replica, fewest replicas first.

    The interval is that of a ratio of geometric means: a t interval of the difference of the mean logarithms, with
    their variance pooled over the series.

    Raises:
        ValueError: nothing ran on one replica, or nothing on several.
    """
    ones = sorted({(one.setting, one.batch) for one in measured if one.replicas == 1})
    if not ones:
        raise ValueError("no throughput on one replica to compare with")
    table: list[Row] = []
    for setting, batch in ones:
        alone = [one for one in measured if one.setting == setting]
        for kind in (WEAK, STRONG):
            groups: dict[int, list[Start]] = {}
            for one in alone:
                if one.batch == (batch * one.replicas if kind == WEAK else batch):
                    groups.setdefault(one.replicas, []).append(one)
            if len(groups) > 1:
                name = kind if len(ones) == 1 else f"{groups[1][0].label} {kind}"
                table += _series(name, groups)
    if not table:
        raise ValueError("no throughput on several replicas that can be compared with that on one")
    return table


def _series(name: str, groups: dict[int, list[Start]]) -> list[Row]:
    logs = {n: [math.log(one.rate) for one in found] for n, found in groups.items()}
    shared = pool({str(n): values for n, values in logs.items()}, outlier=math.inf)
    table = []
    for n, found in sorted(groups.items()):
        change = difference(logs[1], logs[n], shared)
        known = n > 1 and not math.isnan(change.low)
        shares = [one.input_share for one in found if one.input_share is not None]
        table.append(
            Row(
                name, n, found[0].batch, len(found), statistics.mean(one.rate for one in found),
                math.exp(change.estimate) / n,
                math.exp(change.low) / n if known else None,
                math.exp(change.high) / n if known else None,
                statistics.mean(shares) if shares else None,
            )
        )  # fmt: skip
    return table
