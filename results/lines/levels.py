"""The level of a line: the runs since its last change together, as one base of the gate's test."""

from collections.abc import Mapping, Sequence

from results.comparison.comparability import not_comparable
from results.comparison.margins import Margins
from results.comparison.types import Aligned, ComparisonRow, Key, LoadedRun
from results.comparison.verdicts import judge
from results.lines.types import Point

# Share of the margins' alpha that the tests against the levels of one release have. They come on top of those against
# the release before, and with every release anew; a drift that is small at first grows, and is found all the same.
ALPHA_SHARE = 0.2


def level_of(points: Sequence[Point]) -> list[int]:
    """List the columns of the last level."""
    last = max((point.level for point in points), default=-1)
    return [column for column, point in enumerate(points) if point.seeds and point.level == last]


def against_level(
    head: LoadedRun, levels: Mapping[Key, Mapping[int, LoadedRun]], margins: Margins
) -> dict[Key, tuple[ComparisonRow, tuple[int, ...]]]:
    """Judge a run against the level of each line.

    A drift by less than the margin from one run to the next passes every comparison of neighbours. Against the level it
    adds up. The runs of a level differ among themselves, too; their values enter the test as those of one run, so that
    this variance is part of the noise.

    Args:
        head: the newest run.
        levels: {(cell, view, metric): {column: run} of its level}; runs that are not comparable are left out.
        margins: the rules.

    Returns:
        {(cell, view, metric): (its row, columns of the runs)}, of the lines of which two or more runs are comparable.
    """
    margins = margins.model_copy(update={"alpha": ALPHA_SHARE * margins.alpha})
    found: dict[Key, tuple[ComparisonRow, tuple[int, ...]]] = {}
    for gate in (True, False):  # as in a comparison, metrics that can fail the gate are corrected for their own tests
        pairs: dict[Key, Aligned] = {}
        columns: dict[Key, tuple[int, ...]] = {}
        for (cell, view, metric), runs in levels.items():
            if margins.metrics[metric].gate != gate:
                continue
            known = {
                at: run for at, run in runs.items() if not not_comparable(Aligned(cell, run, head), view, metric, gate)
            }
            if len(known) > 1:
                key = cell, view, metric
                pairs[key] = Aligned(cell, _together([*known.values()], key), head)
                columns[key] = tuple(known)
        rows = {(row.cell, row.view, row.metric): row for row in judge(pairs, margins)}
        found |= {key: (row, columns[key]) for key, row in rows.items()}
    return found


def _together(runs: Sequence[LoadedRun], key: Key) -> LoadedRun:
    """Return the values of one line in all runs as those of one; its seeds are below zero, so none is one of head's."""
    cell = key[0]
    values = [value for run in runs for value in run.seeds(*key).values()]
    return LoadedRun(
        side=runs[-1].side,
        labels={cell: runs[-1].labels[cell]},
        records={cell: [record for run in runs for record in run.of(cell)]},
        measured={key: {-1 - number: value for number, value in enumerate(values)}},
        planned=frozenset({cell}),
        shrunk=frozenset(),
    )
