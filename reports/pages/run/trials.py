"""Every trial of a run with its record and log, and the failed trials with their reasons."""

import math
import os
from pathlib import Path
from urllib.parse import quote

import results
from reports.document import Block, Field, Heading, Link, Table, Text
from reports.format import DASH, number
from reports.summary import Summary
from results import LOG, counted


def failures(run: results.Run) -> list[Block]:
    """Return a row per trial that did not end well, with the reason; empty if all did."""
    rows: list[list[Field | Text]] = []
    for stored in run.trials:
        record = stored.record
        if record.status == "ok":
            continue
        reason = f"{record.error.kind}: {record.error.message}" if record.error else "no reason recorded"
        where = f" (epoch {record.error.epoch})" if record.error and record.error.epoch is not None else ""
        rows.append([record.trial, Field(record.status, None, "bad"), reason[:200] + where, _links(run, stored)])
    if not rows:
        return []
    head = ["trial", "status", "reason", "details"]
    return [Heading("Failed trials"), Table(head, rows, frozenset(head))]


def every_trial(run: results.Run, summary: Summary) -> list[Block]:
    """Return a row per trial, in the order of the cells; the table of results links to them."""
    ranks = {cell.key: rank for rank, cell in enumerate(summary.cells)}
    anchored: set[str] = set()
    speeds = [stored.record.throughput for stored in run.trials if stored.record.throughput]
    relative = any(speed.images_per_100_gflop for speed in speeds)  # older trials measured no reference
    rows: list[list[Field | Text]] = []
    ordered = sorted(run.trials, key=lambda one: (ranks[one.record.cell], one.record.seed, one.record.trial))
    for stored in ordered:
        record = stored.record
        judged = ("default", summary.split)
        miou = next((view.miou for view in record.views if (view.view, view.split) == judged), None)
        speed = record.throughput
        rates = (speed.images_per_second, speed.images_per_100_gflop) if speed else (None, None)
        rows.append(
            [
                Field(record.label, None, "", "" if record.cell in anchored else f"cell-{record.cell}"),
                str(record.seed),
                Field(record.status, None, "" if record.status == "ok" else "bad"),
                number(math.nan if miou is None else 100 * miou, 2),
                *(number(math.nan if rate is None else rate, 1) for rate in rates[: 2 if relative else 1]),
                number(math.nan if record.clocks.total_s is None else record.clocks.total_s, 0),
                _links(run, stored),
            ]
        )
        anchored.add(record.cell)
    head = ["cell", "seed", "status", "mIoU, %", "images/s", *(["images per 100 GFLOP"] if relative else [])]
    head += ["total, s", "files"]
    cells = tuple(stored.record.cell for stored in ordered)
    words = frozenset({"cell", "status", "files"})
    return [Heading("Trials"), Table(head, rows, words, counted(len(rows), "trial"), cells)]


def _links(run: results.Run, stored: results.Stored) -> Text:
    """Return links to a trial's record and log, relative to the report in the folder of the run."""
    try:
        folder = quote(Path(os.path.relpath(stored.folder.resolve(), run.folder.resolve() / "report")).as_posix())
    except ValueError:  # on another drive
        return DASH
    record = Link("record", f"{folder}/record.json")
    return [record, ", ", Link("log", f"{folder}/{LOG}")] if (stored.folder / LOG).is_file() else record
