"""Make a site: all pages and copies, and write them as one folder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import results
from reports import html
from reports.document import Document, Link, Paragraph
from reports.pages import comparison as comparison_page
from reports.site import dataset_page, index_page, pair_charts
from reports.site.folder import check_folder, write_folder
from reports.site.sources import Source, copies, link, slugs, sources, without_folder
from results import Comparison, Run

Files = dict[str, bytes | Path]


@dataclass(frozen=True)
class Site:
    """A site that was written: its folder, its number of files, and their bytes in all."""

    folder: Path
    files: int
    size: int


def write_site(folder: Path, runs: Sequence[Run]) -> Site:
    """Write the site of runs, from the oldest to the newest, as one folder; an earlier site there is replaced.

    Equal runs give equal bytes. The pages need no server, and make no request.

    Raises:
        ValueError: the folder holds something else, or there is nothing to show; one line.
    """
    folder = check_folder(Path(folder))
    shown = sources(runs)
    history = results.cell_history(runs)
    pages = dict(zip(history.datasets, (f"data/{slug}.html" for slug in slugs(history.datasets)), strict=True))
    pairs = _pairs(shown)
    places = {(base, head): f"compare/{shown[base].slug}--{shown[head].slug}.html" for base, head in pairs}
    files: Files = {"index.html": _html(index_page.document(history, shown, pages, pairs, places))}
    for name, page in pages.items():
        lines = tuple(line for line in history.lines if line.dataset == name)
        files[page] = _html(dataset_page.document(replace(history, lines=lines), shown))
    for pair, found in pairs.items():
        files[places[pair]] = _html(_compared(found))
    for source in shown:
        files |= copies(source)
    write_folder(folder, files)
    return Site(folder, len(files), sum((folder / name).stat().st_size for name in files))


def _html(document: Document) -> bytes:
    return html.render(document).encode()


def _pairs(shown: Sequence[Source]) -> dict[tuple[int, int], Comparison]:
    """Compare every pair, the older one as base; pairs without a cell in common are left out."""
    found = {}
    for head, new in enumerate(shown):
        for base, old in enumerate(shown[:head]):
            try:
                one = results.compare(old.run, new.run)
            except ValueError:
                continue
            found[base, head] = replace(one, base=without_folder(one.base, old), head=without_folder(one.head, new))
    return found


def _compared(found: Comparison) -> Document:
    page = comparison_page.document(found, drawn=pair_charts.blocks)
    return replace(page, blocks=[Paragraph(Link("All releases", link("index.html", 1))), *page.blocks])
