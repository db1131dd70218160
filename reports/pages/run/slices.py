"""mIoU per slice of the data set, such as site or time of day: a table per feature, a row per cell."""

from collections.abc import Mapping

import results
from reports.document import Block, Field, Heading, Paragraph, Table, Text
from reports.format import DASH, estimate, percent
from reports.pages.phrases import no_spread
from reports.summary import Summary
from results.statistics import Interval, intervals

Column = tuple[str, int]
"""Value of a feature, and number of its images. Trials that saw other images of it are in a column of their own."""
Scores = Mapping[str, Mapping[Column, Mapping[str, Mapping[int, float]]]]
"""{feature: {column: {cell: {seed: mIoU}}}}"""


def section(run: results.Run, summary: Summary) -> list[Block]:
    """Return the section on slices; empty if the data set of no trial names some."""
    scores = _scores(run, summary)
    parts = summary.parts or {"": summary}
    blocks = [block for name, part in parts.items() for block in _tables(part, scores, name)]
    return [Heading("Per slice"), Paragraph(_how(summary, scores)), *blocks] if blocks else []


def _scores(run: results.Run, summary: Summary) -> Scores:
    """Return the mIoU of each slice on the split that judges the cells, of trials whose scores are compared."""
    frame = results.slices(one for one in run.trials if one.record.status == "ok")
    frame = frame[(frame["split"] == summary.split) & frame["miou"].notna()]
    frame = frame[frame["scoring"] == frame["scoring"].max()]
    scores: dict[str, dict[Column, dict[str, dict[int, float]]]] = {}
    columns = ["feature", "value", "images", "cell", "seed", "miou"]
    for feature, value, images, cell, seed, miou in frame[columns].itertuples(index=False):
        scores.setdefault(feature, {}).setdefault((value, images), {}).setdefault(cell, {})[seed] = miou
    return scores


def _tables(summary: Summary, scores: Scores, dataset: str) -> list[Block]:
    """Return heading and table of each feature that the data set of a summary has.

    Args:
        dataset: its name, if the page has several.
    """
    blocks: list[Block] = []
    for feature, columns in scores.items():
        found = {column: _estimates(summary, cells) for column, cells in sorted(columns.items())}
        found = {column: of_cell for column, of_cell in found.items() if of_cell}
        cells = [cell for cell in summary.measured if any(cell.key in of_cell for of_cell in found.values())]
        rows: list[list[Field | Text]] = [
            [cell.label, *(_shown(summary, of_cell.get(cell.key)) for of_cell in found.values())] for cell in cells
        ]
        if rows:
            head = ["cell", *(f"{value} ({images})" for value, images in found)]
            blocks.append(Heading(f"{dataset}: {feature}" if dataset else feature, level=3))
            blocks.append(Table(head, rows, frozenset({"cell"}), cells=tuple(cell.key for cell in cells)))
    return blocks


def _estimates(summary: Summary, cells: Mapping[str, Mapping[int, float]]) -> dict[str, Interval]:
    """Return mean and interval of the cells of a summary that have the slice."""
    known = {cell.key for cell in summary.measured}
    return intervals({key: dict(seeds) for key, seeds in cells.items() if key in known})


def _shown(summary: Summary, interval: Interval | None) -> Field | Text:
    """Return the mean, with its interval if the number of seeds was fixed."""
    if interval is None:
        return DASH
    return Field(percent(interval.mean, 2) if summary.look else estimate(interval), interval.mean)


def _how(summary: Summary, scores: Scores) -> str:
    """Return how to read the tables."""
    methods = {
        interval.method
        for columns in scores.values()
        for cells in columns.values()
        for interval in intervals({key: dict(seeds) for key, seeds in cells.items()}).values()
    }
    told = "mIoU, percent, mean over the seeds"
    if not summary.look and methods & {"pooled", "own"}:
        told = "mIoU, percent, mean ± 95 % interval over the seeds, noise shared by the cells of a column"
    elif not summary.look:
        told += f" (no intervals: {no_spread(summary.seeds)})"
    return (
        f"{told}, on the images of the {summary.judged_on} split that have the value (their number). Compare cells "
        "within a column: classes that do not occur in a slice are left out of its mean. No difference is tested here."
    )
