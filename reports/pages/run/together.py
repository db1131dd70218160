"""What a report on several runs says of each of them."""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import results
from reports.document import Block, Field, Heading, Link, Paragraph, Table, Text
from reports.format import DASH
from results import Run, counted

_NOTE = (
    "Cells of different runs are compared as they are: what else than the setting differs between them, such as the "
    "steps or the machine, is listed under What was trained. A cell that several runs have is not pooled over them."
)


def title(names: Sequence[str]) -> str:
    """Return the names of the runs as a title."""
    return f"{', '.join(names[:-1])} and {names[-1]}"


def section(runs: Sequence[Run], names: Sequence[str], folder: Path) -> list[Block]:
    """Return a row per run: its question, its cells and trials, its code, and its own report.

    Args:
        runs, names: the runs and their names.
        folder: where the page is written.
    """
    rows: list[list[Field | Text]] = []
    for run, name in zip(runs, names, strict=True):
        records = [one.record for one in run.trials]
        well = sum(record.status == "ok" for record in records)
        codes = sorted({str(record.environment.get("code") or "unknown")[:12] for record in records})
        days = sorted({record.finished.date().isoformat() for record in records if record.finished})
        question = str(results.grid_head(run.folder).get("description") or run.manifest.get("grid") or DASH)
        rows.append(
            [
                _linked(run, name, folder),
                question.partition(". ")[0],
                str(len({record.cell for record in records})),
                f"{well} of {counted(len(records), 'trial')} ok",
                ", ".join(codes),
                " to ".join(dict.fromkeys((days[0], days[-1]))) if days else DASH,
            ]
        )
    head = ["run", "question", "cells", "trials", "code", "finished"]
    words = frozenset(head) - {"cells"}
    return [Heading("Runs"), Table(head, rows, words), Paragraph(_NOTE)]


def _linked(run: Run, name: str, folder: Path) -> Text:
    """Return the name of a run, with a link to its own report if it has one."""
    report = run.folder / "report" / "report.html"
    return Link(name, quote(os.path.relpath(report, folder).replace(os.sep, "/"))) if report.is_file() else name
