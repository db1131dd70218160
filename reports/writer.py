"""Write a run's report: `report/report.md` with its figures, and `report/report.html`, which needs no other file."""

import os
from pathlib import Path

import results
from reports import html, markdown
from reports.figures import drawing
from reports.pages import run as page
from reports.summary import summarize
from results import write_bytes


def write(run: str | os.PathLike[str], base: str | os.PathLike[str] | None = None) -> Path:
    """Write `report/report.{md,html}` and `report/figures/*.png` of a run folder from its records.

    With `base`, a run or a published release, the report also lists what regressed since. Equal records give equal
    bytes. Figures of an earlier report that this one does not have are removed.

    Returns:
        The path of `report/report.md`.

    Raises:
        ValueError: no readable record, here or in `base`, or no cell in common; one line gives the reason.
    """
    stored = results.read_run(run)
    comparison = results.compare(base, stored) if base is not None else None
    summary = summarize(stored)
    folder = stored.folder / "report"
    drawn, notes = drawing.draw(stored, summary)
    document = page.document(stored, summary, drawn, notes, comparison)
    names = {figure.name for figure in document.figures}
    for old in (folder / "figures").glob("*.png"):
        if old.name not in names:
            old.unlink()
    for figure in document.figures:
        write_bytes(folder / "figures" / figure.name, figure.png)
    write_bytes(folder / "report.html", html.render(document).encode())
    return write_bytes(folder / "report.md", markdown.render(document).encode())
