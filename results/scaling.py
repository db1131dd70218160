"""Scaling of training speed with replicas and hosts: efficiency from records, for the report and the command."""

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from results import hand_over
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
    hosts: int = 1


@dataclass(frozen=True)
class Row:
    """One number of replicas or hosts. `efficiency` is E(n) = T(n) / (n T(1)), with a 95 % interval if repeated.

    n is the number of replicas of one host. In a series over hosts n is the number of hosts, of equally many replicas.

    Attributes:
        series: "weak" (a fixed batch per replica) or "strong" (a fixed global batch), and "over hosts" if it is. If
            there are several settings, it begins with the label of the start on one replica, or on one host.
        replicas: on all hosts.
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
    hosts: int = 1

    @property
    def devices(self) -> str:
        """The number of replicas, and of hosts if there are several, in words: "4 on 2 hosts"."""
        return f"{self.replicas} on {self.hosts} hosts" if self.hosts > 1 else str(self.replicas)


def starts(records: Iterable[Record]) -> list[Start]:
    """Return the process starts that ended well with a comparable throughput."""
    found = []
    every = [*records]
    usually = hand_over.levels(map(hand_over.cores_of, every))
    for record in every:
        speed = record.throughput
        if hand_over.placed_otherwise(hand_over.cores_of(record), usually):
            continue
        if record.status == "ok" and speed and speed.comparable and speed.images_per_second and speed.replicas:
            spec = {name: value for name, value in record.spec.items() if name not in ("seed", "placement", "eval")}
            batch = speed.batch_size or spec.get("train", {}).get("batch_size", 0)
            spec["train"] = {name: value for name, value in spec.get("train", {}).items() if name != "batch_size"}
            setting = json.dumps(spec, sort_keys=True)
            found.append(
                Start(
                    setting, record.label, speed.replicas, batch, speed.images_per_second,
                    speed.input_share, record.hosts,
                )
            )  # fmt: skip
    return found


def rows(measured: Sequence[Start]) -> list[Row]:
    """Compute E(n) of every series, relative to the starts of its setting on one replica or host, fewest first.

    The interval is that of a ratio of geometric means: a t interval of the difference of the mean logarithms, with
    their variance pooled over the series.

    Raises:
        ValueError: nothing ran on one replica or one host, or nothing on several.
    """
    alone = [one for one in measured if one.hosts == 1]
    widths = sorted({one.replicas // one.hosts for one in measured if one.hosts > 1})
    if not any(one.replicas == 1 or one.replicas in widths for one in alone):
        raise ValueError("no throughput on one replica to compare with")
    table = _growing([(one.replicas, one) for one in alone])
    for width in widths:
        alike = [one for one in measured if one.replicas == width * one.hosts]
        table += _growing([(one.hosts, one) for one in alike], " over hosts")
    if not table:
        raise ValueError("no throughput on several replicas that can be compared with that on one")
    return table


def _growing(counted: Sequence[tuple[int, Start]], over: str = "") -> list[Row]:
    """Return the series of starts whose number of replicas or hosts is given with them.

    Args:
        counted: starts, each behind its number n.
        over: end of the names of the series.
    """
    ones = sorted({(one.setting, one.batch) for n, one in counted if n == 1})
    table: list[Row] = []
    for setting, batch in ones:
        alone = [(n, one) for n, one in counted if one.setting == setting]
        for kind in (WEAK, STRONG):
            groups: dict[int, list[Start]] = {}
            for n, one in alone:
                if one.batch == (batch * n if kind == WEAK else batch):
                    groups.setdefault(n, []).append(one)
            if len(groups) > 1:
                name = kind if len(ones) == 1 else f"{groups[1][0].label} {kind}"
                table += _series(f"{name}{over}", groups)
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
                name, found[0].replicas, found[0].batch, len(found), statistics.mean(one.rate for one in found),
                math.exp(change.estimate) / n,
                math.exp(change.low) / n if known else None,
                math.exp(change.high) / n if known else None,
                statistics.mean(shares) if shares else None,
                found[0].hosts,
            )
        )  # fmt: skip
    return table
