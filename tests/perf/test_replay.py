"""Published records played as runs that decide: by hand on small tables."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import results
from bench.core import UsageError, cli
from bench.perf.replay import Scores, lines, made_up, main, of_run, orders, replay
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
    assert [*lines([one, one], 0.005)][-1].startswith("| mean | | | ")


def scores(mean, seeds, noise=0.0001):
    """A cell of `made_run` with normal noise."""
    values = mean + noise * np.random.default_rng(round(1e4 * mean)).standard_normal(seeds)
    return {seed: (float(value), 40.0) for seed, value in enumerate(values)}


def test_a_run_of_ten_seeds_is_replayed_in_a_thousand_orders(tmp_path, capsys):
    """c is 30 points behind a and goes after 2 seeds; a and b, within the margin, end it there: 6 of 30 trials."""
    made_run(tmp_path / "r", {"a": scores(0.7, 10), "b": scores(0.6995, 10), "c": scores(0.4, 10)})
    found = of_run(str(tmp_path / "r"))
    assert (found.name, found.cells, found.table.shape) == ("r", ("a", "b", "c"), (3, 10))
    *_, row = lines([found], margin=0.02)
    assert row.startswith("| r | 3, 10 | 1000 | 20 % | ")
    once = replay(found, margin=0.02)
    assert (once.decided, once.best_lost, once.close) == (1.0, 0.0, 1.0)
    later = replay(found, margin=0.02, first=3)
    assert later.trials == pytest.approx(9 / 30)


@pytest.mark.parametrize(
    ("cells", "options", "why"),
    [
        ({"a": scores(0.7, 2), "b": scores(0.6, 2)}, (), "needs two cells or more with a score of the same three"),
        ({"a": scores(0.7, 3)}, (), "needs two cells or more"),
        ({"a": scores(0.7, 21), "b": scores(0.6, 21)}, (), "r: seeds 2 to 21; the first look is at 2 to 5"),
        ({"a": scores(0.7, 4), "b": scores(0.6, 4)}, ("--first", "5"), "r: seeds 5 to 4"),
        ({}, (), "no such file or folder"),
    ],
)
def test_what_cannot_be_replayed_is_one_line(tmp_path, cells, options, why):
    if cells:
        made_run(tmp_path / "r", cells)
    done = CliRunner().invoke(cli.app(main), [str(tmp_path / "r"), *options])
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert why in said
    assert said.count("error:") <= 1


def test_a_run_that_decided_is_no_fixed_grid(tmp_path):
    folder = made_run(tmp_path / "r", {"a": scores(0.7, 4), "b": scores(0.6, 4)})
    manifest = results.read_manifest(folder)
    until = {"question": "best", "margin": 0.01, "seeds": [2, 10], "alpha": 0.05, "budget": None, "hours": None}
    until |= {"cells": {"a": "a", "b": "b"}, "against": "", "base": {}}
    (folder / "run.json").write_text(json.dumps({**manifest, "until": until}))
    with pytest.raises(UsageError, match="asked for its seeds itself"):
        of_run(str(folder))
