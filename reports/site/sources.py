"""The releases and runs of a site: their names in it, and their reports with the files that these link to."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import results
from results import Run


@dataclass(frozen=True)
class Report:
    """A report in the site.

    Attributes:
        name: its grid's, for the text of a link.
        page: its place, relative to the root of the site.
        cells: keys of the cells that it shows.
    """

    name: str
    page: str
    cells: frozenset[str]


@dataclass(frozen=True)
class Source:
    """A release or run, its name, the name of its files in the site, and its reports."""

    run: Run
    name: str
    slug: str
    reports: tuple[Report, ...]

    def report_of(self, cell: str) -> Report | None:
        """Return the report that shows a cell; the first one if none names it."""
        return next((one for one in self.reports if cell in one.cells), next(iter(self.reports), None))


def sources(runs: Sequence[Run]) -> list[Source]:
    """Name the runs of a site, oldest first."""
    names = results.distinct_names(runs)
    return [
        Source(run, name, slug, tuple(_report(slug, folder) for folder in _folders(run)))
        for run, name, slug in zip(runs, names, slugs(names), strict=True)
    ]


def slugs(names: Sequence[str]) -> list[str]:
    """Return names of files, one per name and all different.

    >>> slugs(["0.1.0", "runs/a b", "runs/a_b"])
    ['0.1.0', 'runs_a_b', 'runs_a_b-2']
    """
    found: list[str] = []
    for name in names:
        slug = re.sub(r"[^\w.-]+", "_", name).strip("._") or "run"
        number = sum(one == slug or re.fullmatch(re.escape(slug) + r"-\d+", one) is not None for one in found)
        found.append(f"{slug}-{number + 1}" if number else slug)
    return found


def _folders(run: Run) -> list[Path]:
    """List the folders with a report: those of a release's runs, or the run's own."""
    folders = [run.folder / str(name) for name in run.manifest.get("runs", [])] or [run.folder]
    return [folder for folder in folders if (folder / "report" / "report.html").is_file()]


def _report(slug: str, folder: Path) -> Report:
    cells = results.read_manifest(folder).get("cells", [])
    name = folder.resolve().name
    return Report(name, f"releases/{slug}/{name}/report/report.html", frozenset(str(cell["cell"]) for cell in cells))


def copies(source: Source) -> Iterator[tuple[str, Path]]:
    """Yield (place in the site, file) of the reports and of every file that they link to."""
    for folder, report in zip(_folders(source.run), source.reports, strict=True):
        page = folder / "report" / "report.html"
        yield report.page, page
        root = folder.resolve()
        for target in dict.fromkeys(local_links(page.read_text(encoding="utf-8"))):
            file = (page.parent / target).resolve()
            if file.is_file() and file.is_relative_to(root):
                yield f"releases/{source.slug}/{folder.resolve().name}/{file.relative_to(root).as_posix()}", file


def local_links(page: str) -> list[str]:
    """List the files that a page links to, without fragments, as relative paths."""
    parser = _Links()
    parser.feed(page)
    parts = [urlsplit(link) for link in parser.found]
    return [unquote(one.path) for one in parts if one.path and not one.scheme and not one.netloc]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the target of a link."""
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def link(page: str, level: int = 0) -> str:
    """Return the address of a place in the site, from a page that lies `level` folders deep."""
    return "../" * level + quote(page)


def without_folder(side: "results.Side", source: Source) -> "results.Side":
    """Return a side of a comparison that names the release in place of this machine's folder."""
    folder = str(source.run.folder)
    return replace(side, folder=source.name, gaps=tuple(gap.replace(folder, source.name) for gap in side.gaps))
