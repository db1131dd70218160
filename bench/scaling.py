"""`python -m bench.scaling RUN`: how the speed of a training grows with its replicas, and what holds it back."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.cli import command, start
from bench.errors import EXIT_INCOMPLETE, EXIT_OK, UsageError


@dataclass(frozen=True)
class Row:
    """One number of replicas. `efficiency` is E(n) = T(n) / (n T(1)), with a 95 % interval where starts were repeated.

    Attributes:
        batch: global batch size.
        starts: process starts behind it, the unit of replication.
        rate: images/s, mean over the starts.
        input_share: of a step that waits for input; None when it was not measured.
    """

    label: str
    replicas: int
    batch: int
    starts: int
    rate: float
    efficiency: float
    low: float | None
    high: float | None
    input_share: float | None


def rows(measured: Iterable[tuple[str, int, int, float, float | None]]) -> list[Row]:
    """E(n) of every (label, replicas, batch), relative to the trials on one replica.

    The interval is that of a ratio of geometric means: a t interval of the difference of the mean logarithms, with the
    spread pooled over both groups.

    Args:
        measured: (label, replicas, global batch, images/s, input share) of each trial.

    Raises:
        ValueError: nothing ran on one replica.
    """
    groups: dict[tuple[str, int, int], list[tuple[float, float | None]]] = {}
    for label, replicas, batch, rate, share in measured:
        groups.setdefault((label, replicas, batch), []).append((rate, share))
    ones = [rate for (_, replicas, _), found in groups.items() if replicas == 1 for rate, _ in found]
    if not ones:
        raise ValueError("no throughput on one replica to compare with")
    table = []
    for (label, replicas, batch), found in sorted(groups.items(), key=lambda item: (item[0][0].split()[0], item[0][1])):
        rates = [rate for rate, _ in found]
        shares = [share for _, share in found if share is not None]
        efficiency = _geometric_mean(rates) / _geometric_mean(ones) / replicas
        margin = _log_margin(rates, ones) if replicas > 1 else None
        table.append(
            Row(
                label, replicas, batch, len(rates), statistics.mean(rates), efficiency,
                None if margin is None else efficiency / math.exp(margin),
                None if margin is None else efficiency * math.exp(margin),
                statistics.mean(shares) if shares else None,
            )
        )  # fmt: skip
    return table


def _geometric_mean(values: list[float]) -> float:
    return math.exp(statistics.mean(math.log(value) for value in values))


def _log_margin(one: list[float], other: list[float]) -> float | None:
    """Half the width of the 95 % t interval of the difference of mean logarithms; None when nothing was repeated."""
    from scipy import stats

    freedom = len(one) + len(other) - 2
    if freedom < 1:
        return None
    groups = [[math.log(value) for value in values] for values in (one, other)]
    squares = sum(sum((value - statistics.mean(group)) ** 2 for value in group) for group in groups)
    error = math.sqrt(squares / freedom * (1 / len(one) + 1 / len(other)))
    return float(stats.t.ppf(0.975, freedom)) * error


def _measured(run: Path) -> tuple[list[tuple[str, int, int, float, float | None]], bool]:
    """What `rows` takes, of a run's complete trials, and whether all their throughput can be compared."""
    import results

    trials = results.load(run)
    kept = trials[(trials.status == "ok") & (trials.split == "val") & trials.images_per_second.notna()]
    columns = ("label", "replicas", "batch_size", "images_per_second", "input_share")
    found = [
        (str(label), int(replicas), int(batch), float(rate), None if share != share else float(share))
        for label, replicas, batch, rate, share in kept[list(columns)].itertuples(index=False)
    ]
    return found, bool(kept.throughput_comparable.all())


def _table(found: Iterable[Row]) -> Table:
    table = Table(title="Scaling", title_justify="left", box=None, header_style="bold")
    for column in ("cell", "replicas", "batch", "starts", "images/s", "E(n)", "95 %", "input share"):
        table.add_column(column, justify="left" if column == "cell" else "right")
    for row in found:
        interval = "–" if row.low is None else f"{row.low:.2f} to {row.high:.2f}"
        share = "–" if row.input_share is None else f"{row.input_share:.0%}"
        counts = (str(row.replicas), str(row.batch), str(row.starts))
        table.add_row(row.label, *counts, f"{row.rate:.1f}", f"{row.efficiency:.2f}", interval, share)
    return table


def _csv(found: Iterable[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow("images_per_second" if field.name == "rate" else field.name for field in fields(Row))
    writer.writerows(map(astuple, found))
    return text.getvalue().encode()


@command
def main(
    run: Annotated[Path, typer.Argument(help="Folder of a run of the grid scaling, or of one that varies GPUs.")],
) -> int:
    """Print the efficiency by number of replicas and write it to tables/scaling.csv.

    Exit status: 0, 2 usage, 4 when throughput could not be compared.
    """
    import results

    console = Console(highlight=False)
    try:
        measured, comparable = _measured(run)
        found = rows(measured)
    except ValueError as error:
        raise UsageError(str(error)) from None
    console.print(_table(found))
    results.write_bytes(run / "tables" / "scaling.csv", _csv(found))
    if not comparable:
        console.print("Some of these trials shared cores or had not settled: no efficiency follows.", style="red")
        return EXIT_INCOMPLETE
    return EXIT_OK


if __name__ == "__main__":
    start(main)
