"""Writes a run's report: `report/report.md` and its figures."""

import os
from pathlib import Path

import results
from reports import figures, markdown
from reports.summary import summarize
from results.store import write_bytes


def write(run: str | os.PathLike[str]) -> Path:
    """Write `report/report.md` and `report/figures/*.png` of a run folder from its records; returns the report's path.

    Equal records give equal bytes. Figures of an earlier report that this one does not have are removed.

    Raises:
        ValueError: the folder holds no record that can be read; one line says why.
    """
    stored = results.read_run(run)
    summary = summarize(stored)
    folder = stored.folder / "report"
    drawn, notes = figures.draw(stored, summary)
    for old in (folder / "figures").glob("*.png"):
        if old.name not in drawn:
            old.unlink()
    for name, png in drawn.items():
        write_bytes(folder / "figures" / name, png)
    return write_bytes(folder / "report.md", markdown.render(stored, summary, set(drawn), notes).encode())
