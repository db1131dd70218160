"""The simulation of changes of level follows the rules of the histories themselves."""

import numpy as np

import results
from bench.perf.levels import false_changes, follow
from tests.invented_runs import chosen as made


def test_the_simulation_finds_what_a_history_of_records_shows(tmp_path):
    """One σ is a point of mIoU, so that the margin of half a point is half a σ."""
    rng = np.random.default_rng(4)
    values = rng.normal(size=(8, 2, 4))
    values[:, 0] -= 0.9 * np.arange(8)[:, None]
    values[4:, 1] += 4
    runs = []
    for n, cells in enumerate(values):
        seeds = {
            f"cell{c}": {10 * n + s: (0.6 + 0.01 * value, None) for s, value in enumerate(cell)}
            for c, cell in enumerate(cells)
        }
        runs.append(results.read_run(made.made_run(tmp_path / f"{n}", seeds)))
    lines = [line for line in results.cell_history(runs).lines if line.metric == "miou"]
    shown = [
        ["" if step is None else "drift" if step.drift else "step" for line in lines for step in [line.points[n].step]]
        for n in range(1, 8)
    ]
    said = follow(values)
    assert shown == said
    assert {name for one in said for name in one} == {"", "step", "drift"}, "the example shows all of them"


def test_false_changes_are_few():
    shares = false_changes(3, 12)
    assert shares["either"] <= 0.25
    assert shares["drift"] <= 0.1
