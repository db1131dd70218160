"""All charts of a run, by the names of the PNG figures whose place they take in HTML."""

from collections.abc import Callable, Mapping

import results
from reports.charts import awaited, ranked, scaled, scattered, tabled
from reports.document import Key, Plot
from reports.figures.theme import numbers
from reports.summary import Summary


def keys(summary: Summary) -> tuple[Key, ...]:
    """Return how each cell of a report is shown, in the order of the cells."""
    looks = numbers(cell.label for cell in summary.cells)
    return tuple(Key(cell.key, cell.label, looks[cell.label]) for cell in summary.cells)


def draw(run: results.Run, summary: Summary, alts: Mapping[str, str]) -> dict[str, Plot]:
    """Draw the charts {name of the PNG: chart} that are asked for.

    Args:
        run, summary: the run and its summary.
        alts: {name of a PNG: its text alternative}; a chart is drawn for each of them that has one.
    """
    known = {key.cell: key for key in keys(summary)}
    makers: dict[str, Callable[[str], Plot | None]] = {
        "miou.png": lambda alt: ranked.miou(summary, known, alt),
        "best.png": lambda alt: ranked.best(summary, known, alt),
        "throughput.png": lambda alt: scattered.throughput(summary, known, alt),
        "views.png": lambda alt: scattered.views(summary, known, alt),
        "curves.png": lambda alt: scattered.curves(run, summary, known, alt),
        "classes.png": lambda alt: tabled.classes(run, summary, known, alt),
        "confusion.png": lambda alt: tabled.confusion(run, summary, known, alt),
        "gradient.png": lambda alt: ranked.gradient(summary, known, alt),
        "steps.png": lambda alt: ranked.steps(summary, known, alt),
        "memory.png": lambda alt: ranked.memory(summary, known, alt),
        "targets.png": lambda alt: awaited.reached(summary, known, alt),
        "scaling.png": lambda alt: scaled.scaling(summary, alt),
    }
    drawn = {name: makers[name](alt) for name, alt in alts.items() if name in makers}
    return {name: plot for name, plot in drawn.items() if plot is not None}
