"""First page of a site: the data sets, the releases with their reports, and every pair of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

from reports.document import Block, Code, Document, Field, Heading, Items, Link, Paragraph, Table, Text, Tone, inlines
from reports.pages.release_history.sentences import breaks, changes, runs_of
from reports.site.dataset_page import changed
from reports.site.sources import Source, link
from results import Comparison, History, Line, counted

_TONES: dict[str, Tone] = {"ok": "good", "regressed": "bad", "inconclusive": "unsure", "incomplete": "unsure"}


_MOST = 5  # changes per data set


def document(
    history: History,
    sources: Sequence[Source],
    datasets: Mapping[str, str],
    pairs: Mapping[tuple[int, int], Comparison],
    pages: Mapping[tuple[int, int], str],
) -> Document:
    """Make the page.

    Args:
        history: all lines.
        sources: the releases and runs.
        datasets: {data set: its page}.
        pairs: {(base, head): their comparison}, of those that share a cell.
        pages: {(base, head): its page}.
    """
    blocks: list[Block] = [
        Paragraph(
            f"{counted(len(sources), 'release')}, {counted(len({line.cell for line in history.lines}), 'cell')}."
        ),
        Heading("Data sets"),
        _datasets(history, datasets),
        Heading("What changed"),
        *_changed(history, datasets),
        Heading("Releases"),
        _releases(history, sources),
    ]
    if len(sources) > 1:
        blocks += [Heading("Compare any two"), Paragraph(_HOW), _matrix(sources, pairs, pages)]
    blocks += [Heading("How it is judged"), Paragraph(_JUDGED), *_broken(history)]
    blocks.append(Paragraph(["Written by ", Code("python -m bench.site"), "."]))
    return Document("Benchmark history", blocks)


_HOW = (
    "Row: base, column: head. The word is the outcome of the gate, and leads to the verdicts. Cells missing: head "
    "lacks cells of base, and nothing else regressed. Incomplete: not every cell of the two could be judged."
)
_JUDGED = (
    "Each value is judged against the last release before it that measured the cell, and against all releases since "
    "the last change of level, by the test of the gate: a change counts if it exceeds the noise of the seeds and the "
    "margin of its metric."
)


def _changed(history: History, datasets: Mapping[str, str]) -> list[Block]:
    """Return the newest changes of level; the pages of the data sets have all."""
    found: list[Text] = []
    for name, page in datasets.items():
        lines = tuple(line for line in history.lines if line.dataset == name)
        own = changed(replace(history, lines=lines), link(page))
        found += [[f"{name}, ", *inlines(text)] for text in islice(own, _MOST)]
    return [Items(found)] if found else [Paragraph("No change of level in any metric of any cell.")]


def _datasets(history: History, datasets: Mapping[str, str]) -> Table:
    head = ["data set", "releases", "newest", "cells", "in several releases", "regressed", "improved"]
    rows: list[list[Field | Text]] = []
    for name, page in datasets.items():
        lines = [line for line in history.lines if line.dataset == name]
        runs = runs_of(lines)
        row: list[Field | Text] = [Link(name, link(page)), str(len(runs)), history.runs[runs[-1]]]
        row += [str(len({line.cell for line in lines}))]
        row += [str(len({line.cell for line in lines if len(line.measured) > 1})), *_steps(history, lines)]
        rows.append(row)
    return Table(head, rows, frozenset({"data set", "newest"}))


def _steps(history: History, lines: Sequence[Line]) -> list[Field]:
    """Return how many changes of level were for the worse, and for the better."""
    verdicts = [
        step.row.verdict for line, at, _ in changes(history) if line in lines and (step := line.points[at].step)
    ]
    worse, better = (verdicts.count(verdict) for verdict in ("regressed", "improved"))
    return [Field(str(worse), worse, "bad" if worse else ""), Field(str(better), better, "good" if better else "")]


def _releases(history: History, sources: Sequence[Source]) -> Table:
    rows: list[list[Field | Text]] = []
    for at in reversed(range(len(sources))):
        source = sources[at]
        here = [line for line in history.lines if line.points[at].seeds]
        row: list[Field | Text] = [source.name, ", ".join(sorted({line.dataset for line in here}))]
        row += [str(len({line.cell for line in here})), str(len(source.run.trials)), _links(source)]
        rows.append(row)
    return Table(
        ["release", "data sets", "cells", "trials", "reports"], rows, frozenset({"release", "data sets", "reports"})
    )


def _links(source: Source) -> Text:
    if not source.reports:
        return ["none (", Code("python -m bench.report"), " makes it)"]
    links = [Link(report.name, link(report.page)) for report in source.reports]
    return [part for one in links for part in (", ", one)][1:]


def _outcome(found: Comparison) -> tuple[str, Tone]:
    """Return the outcome of a comparison in words, and its tone. Cells left out are no regression."""
    verdicts = {row.verdict for row in found.rows}
    if found.outcome == "regressed" and not verdicts & {"regressed", "newly failing"}:
        return "cells missing", _TONES["incomplete"]
    return found.outcome, _TONES[found.outcome]


def _matrix(
    sources: Sequence[Source], pairs: Mapping[tuple[int, int], Comparison], pages: Mapping[tuple[int, int], str]
) -> Table:
    heads = range(1, len(sources))
    rows: list[list[Field | Text]] = []
    for base in range(len(sources) - 1):
        row: list[Field | Text] = [sources[base].name]
        for head in heads:
            found = pairs.get((base, head))
            if found:
                word, tone = _outcome(found)
                row.append(Field(Link(word, link(pages[base, head])), None, tone))
            else:
                row.append("no shared cell" if head > base else "")
        rows.append(row)
    columns = [sources[head].name for head in heads]
    return Table(["base", *columns], rows, frozenset({"base", *columns}))


def _broken(history: History) -> list[Block]:
    found = breaks(history)
    return [Paragraph("Not comparable with the release before:"), Items([*found])] if found else []
