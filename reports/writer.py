"""Write reports: `report/report.md` with its figures, and `report/report.html`, which needs no other file."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import results
from reports import charts, html, markdown
from reports.document import Document, Viewer
from reports.figures import drawing
from reports.joining import join, named
from reports.pages import run as page
from reports.summary import Summary, summarize
from reports.viewing import of_dataset, viewer
from results import Run, write_bytes


def write(run: str | os.PathLike[str], base: str | os.PathLike[str] | None = None, *, pictures: bool = True) -> Path:
    """Write `report/report.{md,html}` and `report/figures/*.png` of a run folder from its records.

    With `base`, a run or a published release, the report also lists what regressed since. Equal records give equal
    bytes. Figures of an earlier report that this one does not have are removed. Without `pictures` it shows none of the
    data set.

    Returns:
        The path of `report/report.md`.

    Raises:
        ValueError: no readable record, here or in `base`, or no cell in common, or the folder is a published release;
            one line gives the reason.
    """
    stored = results.read_run(run)
    results.refuse_release(stored.folder)
    comparison = results.compare(base, stored) if base is not None else None
    return _written(stored, page.Extras(comparison=comparison), pictures)


def write_together(runs: Sequence[str | os.PathLike[str]], folder: str | os.PathLike[str]) -> Path:
    """Write one report on several runs, with the cells of all of them, as `report/` in a folder.

    Args:
        runs: two or more run folders or releases, which are only read.
        folder: the folder, which is made if it is missing.

    Returns:
        The path of `report/report.md`.

    Raises:
        ValueError: a run without a readable record, or given twice; one line.
    """
    stored = [results.read_run(run) for run in runs]
    joined = join(stored, Path(folder))
    names = named(stored)
    section = page.of_runs(stored, names, joined.folder / "report")
    return _written(joined, page.Extras(title=page.title_of_runs(names), runs=section))


def _written(run: Run, extras: page.Extras, pictures: bool = True) -> Path:
    """Write the report of a run."""
    summary = summarize(run)
    drawn, notes = drawing.draw(run, summary)
    if not pictures:
        drawn.pop("pictures.png", None)
    keys = charts.keys(summary)
    plots = charts.draw(run, summary, page.alternatives(run, summary, drawn))
    extras = replace(extras, keys=keys, plots=plots, viewers=_viewers(run, summary) if pictures else [])
    document = page.document(run, summary, drawn, notes, extras)
    _write_figures(run.folder / "report" / "figures", document)
    write_bytes(run.folder / "report" / "report.html", html.render(document).encode())
    return write_bytes(run.folder / "report" / "report.md", markdown.render(document).encode())


def _write_figures(folder: Path, document: Document) -> None:
    names = {figure.name for figure in document.figures}
    for old in folder.glob("*.png"):
        if old.name not in names:
            old.unlink()
    for figure in document.figures:
        write_bytes(folder / figure.name, figure.png)


def _viewers(run: Run, summary: Summary) -> list[Viewer]:
    """Return a picture viewer per data set that has pictures."""
    keys = charts.keys(summary)
    if not summary.parts:
        found = viewer(run, summary, keys)
        return [found] if found else []
    parts = ((name, viewer(of_dataset(run, name), part, keys)) for name, part in summary.parts.items())
    return [replace(found, name=name) for name, found in parts if found]
