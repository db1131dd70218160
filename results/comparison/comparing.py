"""Compare base with head, cell by cell: load, align, find what is comparable, judge, explain."""

import math

import numpy as np

from results.comparison import margins as rules
from results.comparison.alignment import align
from results.comparison.comparability import why_scores_differ
from results.comparison.explanations import environment_differences, unjudged
from results.comparison.margins import Margins
from results.comparison.types import VERDICTS, Comparison
from results.comparison.verdicts import metric_rows, stratum, trial_rows
from results.statistics.aggregates import probability_of_improvement
from results.statistics.gate import headline
from results.store import Run, StrPath, read_run


def compare(
    base: StrPath | Run, head: StrPath | Run, margins: Margins | StrPath | None = None, only: str = "*"
) -> Comparison:
    """Judge head against base.

    Rows join on cell and view. If the machine differs, speed and memory are not comparable, but mIoU is still judged. A
    run of one grid is judged against that grid of a release that holds several.

    Args:
        base, head: run folders, published releases (by version), globs, or runs already read.
        margins: the losses that matter; a YAML file, or its content. Default: results/comparison/margins.yaml.
        only: keep the cells whose label matches this pattern.

    Raises:
        ValueError: nothing to read on one side, no cell in common, or a bad margins file; one line.
    """
    if not isinstance(margins, Margins):
        margins = rules.read(str(rules.DEFAULT if margins is None else margins))
    old, new = (one if isinstance(one, Run) else read_run(one) for one in (base, head))
    aligned = align(old, new, only)
    rows = [row for pair in aligned.cells for row in trial_rows(pair)]
    rows += metric_rows(aligned.shared, margins)
    rows.sort(key=lambda row: (VERDICTS.index(row.verdict), not row.gate, row.label, row.metric, row.view))
    scored = {pair.cell: pair for pair in aligned.shared if not why_scores_differ(pair)}
    miou = {cell: pair.seeds("default", "miou") for cell, pair in scored.items()}
    wins = [probability_of_improvement([*a.values()], [*b.values()]) for a, b in miou.values() if a and b]
    guarded = [name for name, metric in margins.metrics.items() if metric.gate]
    return Comparison(
        base=aligned.base.side,
        head=aligned.head.side,
        rows=tuple(rows),
        headline=headline(miou, {cell: stratum(pair, "default", "miou") for cell, pair in scored.items()}),
        improvement=float(np.mean(wins)) if wins else math.nan,
        margins=margins,
        differences=environment_differences(aligned.base, aligned.head),
        added=tuple(aligned.added),
        retuned=aligned.retuned,
        unjudged=tuple(unjudged(rows, aligned.base, aligned.head, guarded)),
    )
