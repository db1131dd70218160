"""Published records played as runs that decide: by hand on small tables."""

import numpy as np
import pytest

from bench.perf.replay import Scores, lines, made_up, orders, replay
from tests.invented_runs.chosen import made_run


def test_all_orders_or_a_thousand():
    assert orders(3).tolist() == [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    many = orders(8)
    assert many.shape == (1000, 8)
    assert (np.sort(many, 1) == np.arange(8)).all()


def test_a_far_loser_is_left_out_after_two_seeds_in_every_order():
    """c is 50 points behind two equal cells with a noise of a tenth of a point: 2 x 3 + 2 trials of 9."""
    table = np.array([[0.701, 0.700, 0.7004], [0.7002, 0.7009, 0.7], [0.2001, 0.2, 0.2008]])
    found = replay(Scores("made", ("a", "b", "c"), table), margin=0.0)
    assert (found.orders, found.decided, found.out, found.best_lost) == (6, 0.0, 1.0, 0.0)
    assert found.trials == pytest.approx(8 / 9)
    assert found.simulated == pytest.approx(8 / 9, abs=0.01), "the two equal ones are told apart by error alone"
    ended = replay(Scores("made", ("a", "b", "c"), table), margin=0.05)
    assert (ended.decided, ended.trials, ended.close) == (1.0, pytest.approx(6 / 9), 1.0)


def test_made_up_scores_are_like_those_of_the_grid():
    """Cells 0.2 and 0.5; seeds 0.01 up and down; noise 0.002 up and down: squares 8 x 0.002^2 over 3 degrees."""
    seeds, noise = np.array([0.01, -0.01, 0.01, -0.01]), np.array([0.002, 0.002, -0.002, -0.002])
    made = made_up(np.array([0.2 + seeds + noise, 0.5 + seeds - noise]), 20000)
    assert made.mean((0, 2)) == pytest.approx([0.2, 0.5], abs=0.001)
    gap = made[:, 1] - made[:, 0]
    assert gap.var() == pytest.approx(2 * 8 * 0.002**2 / 3, rel=0.03)
    middle = made.mean(1)
    assert middle.var(1, ddof=1).mean() == pytest.approx(4 * 0.01**2 / 3, rel=0.03)


def test_grids_of_a_release_are_read_and_cells_that_lack_a_seed_are_left_out(tmp_path):
    from bench.perf.replay import published

    cells = {"a": {s: (0.7 + 0.001 * s, 40.0) for s in range(3)}, "b": {s: (0.6 - 0.001 * s, 40.0) for s in range(3)}}
    made_run(tmp_path / "1.0.0" / "losses", {**cells, "c": {0: (0.5, 40.0), 1: None, 2: (0.5, 40.0)}})
    made_run(tmp_path / "1.0.0" / "two", {label: {0: of[0], 1: of[1]} for label, of in cells.items()})
    (one,) = published(tmp_path)
    assert (one.name, one.cells) == ("1.0.0 losses", ("a", "b"))
    assert one.table == pytest.approx(np.array([[0.7, 0.701, 0.702], [0.6, 0.599, 0.598]]))
    assert [*lines([one], 0.005)][-1].startswith("| mean | | | ")
