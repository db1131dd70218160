"""Runs that decide which seed comes next: by hand, replayed in any order, and by simulation of what they promise."""

import random
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench.perf import sequential as simulation
from results.statistics import blocks, boundaries, contenders, deciding, pooling, sequential
from results.statistics.sequential import Look, Plan, look, rehearse


def grid(table):
    return {f"c{i}": dict(enumerate(row)) for i, row in enumerate(table)}


def made(seed=0, cells=5, seeds=10, step=0.4, noise=1.0):
    rng = np.random.default_rng(seed)
    return -step * np.arange(cells)[:, None] + noise * rng.standard_normal((cells, seeds))


def test_a_fit_without_holes_is_the_analysis_of_variance():
    table = made(1, 4, 3)
    found = blocks.fit(table[None], np.ones((1, 4), bool))
    _, rest = pooling.mean_squares(table)
    assert (found.squares[0], found.df[0]) == (pytest.approx(6 * rest), 6)
    assert found.means[0] == pytest.approx(table.mean(1))
    # On average the cells' own variances are the shared one.
    assert found.own[0].mean() == pytest.approx(rest)


def test_a_fit_with_holes_is_least_squares():
    table = made(2, 4, 5) + 3 * np.arange(5)
    table[1, 0] = table[2, 3] = np.nan
    rows, columns = np.nonzero(~np.isnan(table))
    design = np.zeros((len(rows), 9))
    design[np.arange(len(rows)), rows] = design[np.arange(len(rows)), 4 + columns] = 1
    solved, *_ = np.linalg.lstsq(design, table[rows, columns], rcond=None)
    rest = table[rows, columns] - design @ solved
    found = blocks.fit(table[None], np.ones((1, 4), bool))
    assert (found.squares[0], found.df[0]) == (pytest.approx((rest**2).sum()), 18 - 8)
    assert found.means[0] - found.means[0, 0] == pytest.approx(solved[:4] - solved[0])


def test_seeds_that_explain_everything_leave_no_noise():
    table = np.array([[0.1, 0.7, 0.3], [0.2, 0.8, 0.4]])
    assert blocks.fit(table[None], np.ones((1, 2), bool)).squares[0] == 0


def test_the_first_look_by_hand():
    """Gains of 2, 1.5 and 1.5 from seed to seed leave +-1/6, +-1/12 and +-1/12: squares of 1/12 on 2 degrees.

    The shared variance is 1/24, the own ones 1/12, 1/48 and 1/48; a pair's error is the root of 5/96, its own.
    """
    found = look(Plan("best", 0.0, 2, 2), grid([[10.0, 12.0], [7.0, 8.5], [4.0, 5.5]]))
    z = boundaries.constant("best", 3, 2, 2)
    half = stats.t.isf(stats.norm.sf(z), 2) * np.sqrt(5 / 96)
    assert found.intervals["c1"] == sequential.Bounds(3.25, pytest.approx(3.25 - half), pytest.approx(3.25 + half))
    assert found.out == {
        "c1": sequential.Out(2, "c0", pytest.approx(3.25 - half)),
        "c2": sequential.Out(2, "c0", pytest.approx(6.25 - half)),
    }
    assert (found.leader, found.seeds, found.trials, found.ended) == ("c0", 2, 6, "decided")


def test_the_boundary_falls_with_the_looks_to_its_constant():
    plan = Plan("best", 0.0, 2, 10)
    found = sequential.boundary(plan, 7)
    assert len(found) == 9
    assert found[-1] == boundaries.constant("best", 7, 2, 10)
    assert found[0] == pytest.approx(found[-1] * 5**0.25)


@pytest.mark.parametrize(("cells", "seeds"), [(2, 3), (7, 3), (12, 5)])
def test_the_constant_of_a_single_look_is_that_of_the_quadrature(cells, seeds):
    exact = boundaries.single_look(cells, (cells - 1) * (seeds - 1))
    assert boundaries.constant("best", cells, seeds, seeds) == pytest.approx(exact, abs=0.04)


def test_two_equal_cells_have_students_t():
    assert boundaries.single_look(2, 4) == pytest.approx(stats.norm.isf(0.05), abs=0.01)
    assert boundaries.constant("ok", 1, 5, 5) == pytest.approx(stats.norm.isf(0.05), abs=0.05)


def test_the_committed_constants_come_out_of_the_simulation_again():
    drawn = boundaries.simulated.__wrapped__(3, 0.05, 6000)
    for key in (("best", 2, 10), ("alarm", 3, 10), ("ok", 2, 5), ("pairs", 2, 20)):
        assert drawn[key] == pytest.approx(boundaries.constant(key[0], 3, *key[1:]), abs=0.09), key


@pytest.mark.slow
def test_the_committed_table_is_what_the_script_writes():
    assert boundaries.TABLE.read_text() == boundaries._write()


def test_what_the_table_does_not_hold_is_refused():
    for cells, plan, why in (
        (41, Plan(), "41 cells; a sequential plan has 2 to 40"),
        (1, Plan(), "1 cells; a sequential plan has 2 to 40"),
        (7, Plan(last=21), "seeds 2 to 21"),
        (7, Plan(first=6), "seeds 6 to 10"),
        (7, Plan(first=1), "seeds 1 to 10"),
        (7, Plan("release"), "a release needs a margin above 0"),
        (7, Plan(budget=13), "a budget of 13 trials is below the first round: 7 cells x 2 seeds"),
        (7, Plan(alpha=1.0), "alpha 1: expected a chance between 0 and 1"),
    ):
        with pytest.raises(ValueError, match=why):
            sequential.check(plan, cells)
    sequential.check(Plan("release", 0.01), 1)
    sequential.check(Plan(budget=14), 7)


def played(plan, table, order, at_once=1):
    """Play a plan as a run does, its trials ending in any order, `at_once` of them between two looks."""
    scores = {name: {} for name in grid(table)}
    while (found := look(plan, scores)).next:
        for name, seed in order([*found.next])[:at_once]:
            scores[name][seed] = float(table[int(name[1:])][seed])
    return found


@pytest.mark.parametrize("question", ["best", "release", "groups"])
def test_no_order_slot_or_stop_changes_a_decision(question):
    rng = random.Random(0)
    for seed in range(6):
        table = made(seed) if question != "release" else made(seed, step=0.3, noise=0.6)
        plan = Plan(question, 0.5, 2, 10)
        straight = played(plan, table, lambda names: names)
        for at_once in (1, 3, 40):
            again = played(plan, table, lambda names: rng.sample(names, len(names)), at_once)
            assert again == straight
        # A record of a seed that nobody asked for is not seen.
        assert look(plan, grid(table)) == straight


def test_next_asks_round_by_round_for_cells_that_are_left_alone():
    table = made(3, 4, 10, step=0.0)
    table[3] -= 50
    plan, scores = Plan("best", 0.0, 2, 10), {name: {} for name in grid(table)}
    first = look(plan, scores)
    assert (first.seeds, first.ended) == (0, None)
    assert first.next == tuple((f"c{i}", seed) for seed in (0, 1) for i in range(4))
    scores = {name: {s: v for s, v in of.items() if s < 2} for name, of in grid(table).items()}
    second = look(plan, scores)
    assert [*second.out] == ["c3"]
    assert second.next == tuple((f"c{i}", 2) for i in range(3))


def test_a_plan_ends_at_its_limit_its_budget_and_its_hours():
    table = grid(made(4, 4, 10, step=0.0))
    limit = look(Plan("best", 0.0, 2, 4), table)
    assert (limit.ended, limit.seeds, limit.trials) == ("limit", 4, 16)
    spent = look(Plan("best", 0.0, 2, 10, budget=15), table)
    assert (spent.ended, spent.seeds, spent.trials) == ("budget", 3, 12)
    hours = {(name, seed): 0.25 for name in table for seed in range(10)}
    assert look(Plan("best", 0.0, 2, 10, hours=2.5), table, hours).seeds == 3, "2 hours after 2 seeds, 3 after 3"
    # The boundary does not relax where the budget ends.
    assert (
        spent.intervals
        == look(Plan("best", 0.0, 2, 10), {n: {s: of[s] for s in range(3)} for n, of in table.items()}).intervals
    )


def test_a_leader_within_the_margin_ends_a_race_between_equals():
    table = made(5, 3, 10, step=0.0, noise=0.01)
    found = look(Plan("best", 1.0, 2, 10), grid(table))
    assert (found.ended, found.seeds, len(found.left)) == ("decided", 2, 3)
    assert 0 < found.at_most < 1.0


def test_failures_are_no_scores_and_a_cell_that_fails_often_is_set_aside_and_not_worse():
    table = grid(made(6, 4, 10, step=0.0))
    once = {name: {**of, 1: None} if name == "c2" else of for name, of in table.items()}
    assert not look(Plan("best", 0.0, 2, 4), once).failed
    always = {name: dict.fromkeys(of) if name == "c2" else of for name, of in table.items()}
    found = look(Plan("best", 0.0, 2, 4), always)
    assert (found.failed, found.out) == ({"c2": 2}, {})
    assert found.left == ("c0", "c1", "c3")
    assert found.trials == 8 + 3 * 2
    third = {name: {**of, 1: None, 4: None} if name == "c2" else of for name, of in table.items()}
    assert look(Plan("best", 0.0, 2, 6), third).failed == {"c2": 5}, "two of five are a third"
    nothing = look(Plan("best", 0.0, 2, 4), {name: dict.fromkeys(of) for name, of in table.items()})
    assert (nothing.ended, len(nothing.failed)) == ("failed", 4)


@pytest.mark.filterwarnings("error")
def test_ties_and_constant_cells_decide_nothing_by_themselves():
    same = {name: dict.fromkeys(range(10), 0.5) for name in "ab"}
    assert look(Plan("best", 0.0, 2, 3), same).ended == "limit"
    apart = {"a": dict.fromkeys(range(10), 0.5), "b": dict.fromkeys(range(10), 0.4)}
    found = look(Plan("best", 0.0, 2, 3), apart)
    assert (found.ended, found.out) == ("limit", {}), "no noise is known"
    mixed = {**apart, "c": {s: 0.6 + 0.01 * (s % 3) for s in range(10)}}
    assert [*look(Plan("best", 0.0, 2, 10), mixed).out] == ["b", "a"] or look(Plan(), mixed).out


def test_a_release_by_hand():
    """Steps of -2, -3, -4 and 0, 1, -1: the shared variance is 1 on 4 degrees of freedom."""
    steps = {"worse": {0: -2.0, 1: -3.0, 2: -4.0}, "same": {0: 0.0, 1: 1.0, 2: -1.0}}
    plan = Plan("release", 0.5, 3, 3)
    found = look(plan, steps)
    half = {k: stats.t.isf(stats.norm.sf(boundaries.constant(k, 2, 3, 3)), 4) / np.sqrt(3) for k in ("alarm", "ok")}
    assert found.out == {"worse": sequential.Out(3, "", pytest.approx(3 - half["alarm"]))}
    assert (found.ended, found.left) == ("decided", ("same",))
    assert found.intervals["same"].low == pytest.approx(-half["ok"])
    assert found.intervals["same"].high == pytest.approx(half["alarm"])


def test_a_release_with_a_noisier_cell_by_hand():
    """Variances 1, 1 and 49 with 2 degrees each: F is 49 on 2 and 4, p .0015. Its own error has 2 degrees."""
    steps = {"a": {0: 0.0, 1: 1.0, 2: -1.0}, "b": {0: 1.0, 1: 0.0, 2: -1.0}, "noisy": {0: 7.0, 1: 0.0, 2: -7.0}}
    found = look(Plan("release", 0.5, 3, 3), steps)
    z = boundaries.constant("alarm", 3, 3, 3)
    for cell, variance, df in (("noisy", 49, 2), ("a", 51 / 3, 6)):
        half = stats.t.isf(stats.norm.sf(z), df) * np.sqrt(variance / 3)
        assert found.intervals[cell].high == pytest.approx(half)


def test_the_distance_from_a_noisier_cell_by_hand():
    """Its own error, with 2 degrees, and the larger of both of the other one; the shared one has 8."""
    bend, swing = np.array([1.0, -2.0, 1.0]), np.array([-1.0, 0.0, 1.0])
    table = np.array([bend, -bend, bend, -bend, 9 * swing]) + np.array([[0.0], [0.0], [0.0], [0.0], [50.0]])
    rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    own = (rest**2).sum(1) / 2 * 5 / 4
    assert stats.f.sf(own[4] / own[:4].mean(), 2, 8) < deciding.AT_A_LOOK
    parts = np.array([own[4], max(own[0], (rest**2).sum() / 8)]) / 3
    df = parts.sum() ** 2 / (parts**2 / [2, 8]).sum()
    seen = deciding.look_best(table[None], deciding.begin(1, 5), 1.0)
    assert seen.high[0, 0] - 50 == pytest.approx(stats.t.isf(stats.norm.sf(1.0), df) * np.sqrt(parts.sum()))
    two = deciding.look_groups(table[None], deciding.begin(1, 5), lambda cells: np.full(cells.shape, 1.0), 0.0)
    assert two.high[0, 0] == pytest.approx(seen.high[0, 0])
    calm = deciding.look_best(table[None, :4], deciding.begin(1, 4), 1.0)
    assert np.nanmax(calm.high) == pytest.approx(t_of(1.0, 6) * np.sqrt(2 * larger_of(table[:4]) / 3))


def t_of(z, df):
    return stats.t.isf(stats.norm.sf(z), df)


def larger_of(table):
    """The larger of the shared variance and of the cells' own, all of which are the same here."""
    rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    return max((rest**2).sum() / 6, (rest[0] ** 2).sum() / 2 * 4 / 3)


def test_a_cell_that_repeats_itself_to_the_bit_is_ok_at_once():
    steps = {"same": dict.fromkeys(range(5), 0.0), "noisy": {0: -0.4, 1: 0.6, 2: 0.1, 3: -0.3, 4: 0.2}}
    found = look(Plan("release", 0.01, 2, 5), steps)
    assert found.ok == {"same": 2}
    assert (found.left, found.ended) == (("noisy",), "limit")
    assert look(Plan("release", 0.01, 2, 5), {"same": steps["same"]}).ended == "decided"


def test_groups_end_when_every_pair_is_settled():
    table = np.array([[0.0, 0.1], [1000.0, 1000.3], [2000.1, 2000.0]])
    found = look(Plan("groups", 0.0, 2, 10), grid(table))
    assert (found.ended, found.seeds) == ("decided", 2)
    assert found.apart == (("c0", "c1"), ("c0", "c2"), ("c1", "c2"))


def test_pairs_are_told_apart_in_steps():
    """The third cell is far off. The other two are then a pair of two cells, whose boundary is below that of three.

    Their distance lies between the two boundaries: the interval of all cells, cut at zero, would hold zero.
    """
    wiggle = np.array([[1.0, -1.0, 0.5, -0.5, 0.0], [-0.8, 1.1, -0.1, 0.3, -0.5], [0.2, 0.3, -0.9, 0.6, -0.2]])
    variance = blocks.fit(wiggle[None], np.ones((1, 3), bool))
    error = np.sqrt(max(2 * variance.squares[0] / variance.df[0], variance.own[0, :2].sum()) / 5)
    two, three = (
        float(boundaries.t_value(boundaries.constant("pairs", cells, 5, 5), variance.df[0])) for cells in (2, 3)
    )
    gap = error * (two + three) / 2
    found = look(Plan("groups", 0.0, 5, 5), grid(wiggle + np.array([[gap], [0.0], [-1000.0]])))
    assert found.apart == (("c0", "c1"), ("c0", "c2"), ("c1", "c2"))
    assert found.intervals["c1"].low == 0.0
    near = look(Plan("groups", 0.0, 5, 5), grid(wiggle + np.array([[0.98 * error * two], [0.0], [-1000.0]])))
    assert near.apart == (("c0", "c2"), ("c1", "c2"))
    lone = look(Plan("groups", 0.0, 5, 5), grid(wiggle + np.array([[gap], [0.0], [gap / 2]])))
    assert ("c0", "c1") not in lone.apart, "no step without a first one"


@pytest.mark.parametrize("sizes", [(2, 1, 1, 1, 1, 1), (4, 3)], ids=str)
def test_steps_keep_the_promise_where_some_cells_are_equal(sizes):
    grids = 1200
    assert simulation.partly_equal(sizes, grids) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / grids)


def test_a_ratio_of_trials_by_hand():
    """Plans that decide 40, 60 and 80 % in 10, 20 and 30 trials: 70 % take 25, a quarter of 100."""
    shares, trials = np.array([[0.4], [0.6], [0.8]]).repeat(20, 1), np.array([[10.0], [20.0], [30.0]]).repeat(20, 1)
    found = simulation.ratio(np.full(20, 0.7), shares, trials, 100)
    assert (found.value, found.error) == (pytest.approx(0.25), pytest.approx(0.0))
    assert simulation.ratio(np.full(20, 0.73), shares, trials, 100, less=0.03).value == pytest.approx(0.25)
    assert np.isnan(simulation.ratio(np.full(20, 0.9), shares, trials, 100).value)
    half = np.where(np.arange(20) % 2, 0.6, 0.8)  # each group of grids has one kind: a jackknife over ten
    assert simulation.ratio(half, shares, trials, 100).error == pytest.approx(np.sqrt(0.9 * 10) * 0.05 / 9, rel=0.01)


@pytest.mark.parametrize("question", ["best", "release", "groups"])
def test_what_is_simulated_is_what_decides(question):
    y = np.stack([made(seed) for seed in range(30)])
    plan = Plan(question, 0.5, 2, 10)
    found = rehearse(plan, y)
    for one in range(30):
        alone = look(plan, grid(y[one]))
        assert alone.trials == found.trials[one]
        assert (alone.ended == "decided") == found.decided[one]
        assert {f"c{i}" for i in np.flatnonzero(found.verdict[one] < 0)} == set(alone.out)


@pytest.mark.parametrize("noise", [simulation.NOISES[0], simulation.NOISES[1]], ids=lambda noise: noise.name)
def test_the_promises_are_kept(noise):
    grids = 1200
    found = simulation.errors(noise, 7, 2, 10, grids)
    bar = 0.05 + 2 * np.sqrt(0.05 * 0.95 / grids)
    assert max(vars(found).values()) <= bar


def test_a_boundary_that_ignores_the_looks_breaks_the_promise(monkeypatch):
    monkeypatch.setattr(sequential, "constant", lambda *plan: 1.96)
    assert simulation.errors(simulation.NOISES[0], 7, 2, 10, 600).alarm > 0.12


def test_a_noisy_cell_is_not_lent_the_error_of_the_others():
    for wild in (3.0, 6.0):
        y = replace(simulation.NOISES[0], wild=wild).draw(np.random.default_rng(8), 1200, 7, 10)
        alarms = rehearse(Plan("release", 1e-9, 3, 10), y).verdict < 0
        assert alarms.any(1).mean() <= 0.06, "0.19 with the shared error alone"
        out = rehearse(Plan("best", 0.0, 3, 10), y).verdict < 0
        assert out.mean(0).max() <= 0.056 + 2 * np.sqrt(0.05 * 0.95 / 1200), "0.08 by the larger of both alone"


def test_the_surely_not_best_of_a_fixed_grid_are_those_of_a_plan_with_one_look():
    table = made(9, 6, 4, step=0.8)
    found = contenders(grid(table))
    z = boundaries.single_look(6, 15)
    seen = deciding.look_best(table[None], deciding.begin(1, 6), z)
    assert {f"c{i}" for i in np.flatnonzero(seen.state.verdict[0] < 0)} == set(found.out)
    assert set(found.left) | set(found.out) == set(grid(table))
    assert found.at_most == pytest.approx(seen.at_most[0])
    assert all(low > 0 for low in found.out.values())


def test_without_noise_or_shared_seeds_nothing_is_surely_not_best():
    lone = contenders({"a": {0: 0.9}, "b": {0: 0.1}, "none": {}})
    assert (lone.leader, lone.left, lone.out) == ("a", ("a", "b"), {})
    assert np.isnan(lone.at_most)
    apart = contenders({"a": {0: 0.9, 1: 0.91}, "b": {2: 0.1, 3: 0.11}})
    assert apart.left == ("a", "b")
    assert contenders({}).left == ()
    few = contenders({"a": {0: 0.611, 1: 0.599}, "b": {0: 0.570, 1: 0.575}})  # one degree of freedom without the seeds
    assert few.left == ("a", "b")
    assert np.isnan(few.at_most)


def test_the_best_of_equal_cells_is_left_out_once_in_twenty():
    rng, lost, draws = np.random.default_rng(10), 0, 600
    for _ in range(draws):
        table = rng.standard_normal((7, 3)) + rng.standard_normal(3)
        lost += "c0" in contenders(grid(table)).out
    assert lost / draws <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / draws)


def test_an_empty_look_has_not_ended():
    assert Look().ended is None
