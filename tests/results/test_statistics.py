"""Each statistic against a hand computation, SciPy, or a simulation of what it promises."""

import numpy as np
import pytest
from scipy import stats

from results import statistics
from results.statistics.multiplicity import discovered
from results.statistics.ranking import letters


def seeds(values, first=0):
    return dict(enumerate(values, start=first))


def test_pool_by_hand():
    # Squared deviations 2 and 8 with 2 + 2 degrees of freedom.
    pool = statistics.pool({"a": [1, 2, 3], "b": [2, 4, 6]})
    assert pool.variance == pytest.approx(10 / 4)
    assert (pool.df, pool.unpooled) == (4, ())


def test_outliers_and_constant_cells_keep_out_of_the_pool():
    cells = {"a": [1, 2, 3], "b": [4, 5, 6], "c": [2, 3, 4], "outlier": [0, 50, 100], "same": [7, 7, 7], "one": [3]}
    pool = statistics.pool(cells)
    assert set(pool.unpooled) == {"outlier", "same"}
    assert (pool.variance, pool.df) == (pytest.approx(1.0), 6)
    found = statistics.intervals(cells)
    assert {name: one.method for name, one in found.items()} == {
        "a": "pooled", "b": "pooled", "c": "pooled", "one": "pooled", "outlier": "own", "same": "constant"
    }  # fmt: skip
    assert np.isnan(found["same"].low)
    low, high = stats.t.interval(0.95, 2, loc=50, scale=stats.sem([0, 50, 100]))
    assert (found["outlier"].low, found["outlier"].high) == (pytest.approx(low), pytest.approx(high))


def test_a_large_spread_that_two_seeds_show_by_chance_stays_in_the_pool():
    """4.5 times the median, and F(1, 6) = 20.25 has p = 0.0041: no 1 % over four cells."""
    cells = {"a": [1, 2, 3], "b": [4, 5, 6], "c": [2, 3, 4], "wide": [0, 4.5 * np.sqrt(2)]}
    assert 0.01 / 4 < stats.f.sf(4.5**2, 1, 6) < 0.01
    pool = statistics.pool(cells)
    assert (pool.unpooled, pool.df) == ((), 7)
    assert pool.variance == pytest.approx((3 * 2 + 4.5**2) / 7)


def test_a_cell_that_is_seen_to_be_noisier_has_its_own_interval_and_stays_in_the_pool():
    """Variances 1, 1 and 9: F is 9 on 2 and 4 degrees, p .040. With 1, 1 and 4 it is 4, p .11."""
    cells = {"a": [1, 2, 3], "b": [4, 5, 6], "noisy": [0, 3, 6]}
    assert (statistics.pool(cells).noisier, statistics.pool(cells).unpooled) == (("noisy",), ())
    found = statistics.intervals(cells)
    assert {name: one.method for name, one in found.items()} == {"a": "pooled", "b": "pooled", "noisy": "own"}
    assert (found["noisy"].low, found["noisy"].high) == pytest.approx(stats.t.interval(0.95, 2, 3, np.sqrt(9 / 3)))
    assert (found["a"].low, found["a"].high) == pytest.approx(stats.t.interval(0.95, 6, 2, np.sqrt(11 / 3 / 3)))
    calmer = statistics.intervals({**cells, "noisy": [1, 3, 5]})["noisy"]
    assert calmer.method == "pooled"
    assert calmer.high == pytest.approx(stats.t.interval(0.95, 6, 3, np.sqrt(4 / 3))[1]), "its own, if that is larger"


def test_who_is_noisier_by_hand():
    from results.statistics.pooling import noisier

    squares, free = {"a": 2.0, "b": 2.0, "c": 18.0}, {"a": 2, "b": 2, "c": 2}
    p = stats.f.sf(9 / 1, 2, 4)
    assert noisier(squares, free, p + 1e-9) == ("c",)
    assert noisier(squares, free, p - 1e-9) == noisier(squares, free, 0.0) == ()
    more = stats.f.sf((18 / 5) / 1, 5, 4)
    assert noisier(squares, {**free, "c": 5}, more + 1e-9) == ("c",)
    assert noisier(squares, {**free, "c": 5}, more - 1e-9) == ()
    assert noisier({"alone": 3.0}, {"alone": 2}) == noisier({}, {}) == ()


def test_the_pair_of_a_noisier_cell_by_hand():
    """By their own seeds. Squares 2, 2, 2 and 32: F is 16 on 2 and 6 degrees. The shared variance is 38 / 8."""
    cells = {"a": {0: 1.0, 1: 2.0, 2: 3.0}, "b": {3: 2.0, 4: 3.0, 5: 4.0}, "c": {6: 3.0, 7: 4.0, 8: 5.0}}
    ranking = statistics.rank({**cells, "noisy": {9: 0.0, 10: 4.0, 11: 8.0}})
    values = {name: [*of.values()] for name, of in cells.items()} | {"noisy": [0.0, 4.0, 8.0]}
    assert (ranking.method, ranking.pool.df, ranking.pool.noisier) == ("pooled", 8, ("noisy",))
    own, shared = 16 / 3, 38 / 8 / 3
    df = (own + shared) ** 2 / (own**2 / 2 + shared**2 / 8)
    found = statistics.between(values, "a", "noisy", ranking.pool)
    assert (found.method, found.df) == ("welch", pytest.approx(df))
    assert found.p == pytest.approx(2 * stats.t.sf(2 / np.sqrt(own + shared), df))
    calm = statistics.between(values, "a", "b", ranking.pool)
    assert (calm.method, calm.df, calm.p) == ("pooled", 8, pytest.approx(2 * stats.t.sf(1 / np.sqrt(2 * shared), 8)))


def test_the_pair_of_a_noisier_cell_by_hand_where_the_seeds_are_taken_out():
    """Four cells with little noise and one with much, but no outlier: the own variances are those of what is left."""
    swing = np.array([-1.0, 0.0, 1.0])
    bend = np.array([1.0, -2.0, 1.0]) / 3
    table = np.array([bend, -bend, bend, -bend, 2 * swing])
    ranking = statistics.rank({f"c{i}": seeds(row + 5) for i, row in enumerate(table)})
    rest = table - table.mean(0)
    own = (rest**2).sum(1) / 2 * 5 / 4
    assert ranking.pool.own == pytest.approx({f"c{i}": one for i, one in enumerate(own)})
    assert stats.f.sf(own[4] / (own[:4].sum() / 4), 2, 8) < 0.05
    assert ranking.pool.noisier == ("c4",)
    shared = (rest**2).sum() / 8
    noisy, calm = own[4] / 3, max(own[0], shared) / 3
    values = {f"c{i}": [*row + 5] for i, row in enumerate(table)}
    found = statistics.between(values, "c0", "c4", ranking.pool)
    assert found.df == pytest.approx((noisy + calm) ** 2 / (noisy**2 / 2 + calm**2 / 8))
    assert found.high - found.low == pytest.approx(2 * stats.t.isf(0.025, found.df) * np.sqrt(noisy + calm))


@pytest.mark.parametrize("same", [True, False])
def test_a_shared_noise_is_known_as_well_as_that_of_ten_cells_at_most(same):
    rng = np.random.default_rng(0)
    grids = {k: {f"c{i}": seeds(rng.normal(size=3), 0 if same else 3 * i) for i in range(k)} for k in (9, 14)}
    df = {k: statistics.rank(grid).pool.df for k, grid in grids.items()}
    assert df == {9: 8 * 2 if same else 9 * 2, 14: 10 * 2}


@pytest.mark.parametrize("wide", [4.5, 50.0])
@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_the_unit_of_the_values_decides_no_outlier(wide, scale):
    cells = {"a": [1, 2, 3], "b": [4, 5, 6], "c": [2, 3, 4], "wide": [0, wide * np.sqrt(2)]}
    one, other = statistics.pool(cells), statistics.pool({name: scale * np.array(cell) for name, cell in cells.items()})
    assert other.unpooled == one.unpooled == (() if wide < 10 else ("wide",))
    assert other.sd == pytest.approx(scale * one.sd)


def test_one_cell_gives_the_ordinary_t_interval_and_one_seed_gives_none():
    values = [0.70, 0.72, 0.71, 0.75]
    found = statistics.intervals({"a": values})["a"]
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 3, np.mean(values), stats.sem(values)))
    lone = statistics.intervals({"a": [0.7], "b": [0.6]})["a"]
    assert (lone.mean, lone.method) == (0.7, "none")
    assert np.isnan(lone.low)


def test_two_seeds_are_enough_for_a_spread_and_two_equal_ones_have_none():
    found = statistics.intervals({"a": [0.5, 0.5], "b": [0.6, 0.7]})
    assert (found["a"].method, found["a"].sd) == ("constant", 0.0)
    assert found["b"].sd == pytest.approx(0.1 / np.sqrt(2))
    low, high = stats.t.interval(0.95, 1, 0.65, 0.05)
    assert (found["b"].low, found["b"].high) == pytest.approx((low, high))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("values", "method"), [([0.7], "none"), ([0.7, 0.7], "constant"), ([0.6, 0.8], "pooled")])
def test_a_cell_that_measured_nothing_has_no_interval_and_takes_none_from_the_others(values, method):
    for cells in ({"a": values, "b": []}, {"a": seeds(values), "b": {}}):
        found = statistics.intervals(cells)
        assert (found["a"].mean, found["a"].n, found["a"].method) == (pytest.approx(0.7), len(values), method)
        assert (found["b"].n, found["b"].method) == (0, "none")
        assert np.isnan([found["b"].mean, found["b"].low, found["b"].high, found["b"].sd]).all()


def test_the_power_of_a_test_that_asks_for_a_least_estimate_too():
    """Without noise in the error, whichever of the two bounds is higher decides."""
    for alpha, least in ((0.05, 1.0), (0.05, 2.5), (0.3, 1.0)):
        bound = max(stats.norm.ppf(1 - alpha), least)
        assert statistics.power_of_t(1e7, alpha, 2.0, least) == pytest.approx(stats.norm.sf(bound - 2), abs=1e-4)
    assert statistics.power_of_t(4, 0.05, 3.0, 1e-9) == pytest.approx(statistics.power_of_t(4, 0.05, 3.0), abs=1e-4)


def test_cells_are_told_apart_at_alpha_and_below():
    ranking = statistics.Ranking(("a", "b", "c"), {}, {("a", "b"): 0.05, ("c", "a"): 0.051}, None, "pooled", 0.0)
    assert not ranking.indistinguishable("a", "b")
    assert not ranking.indistinguishable("b", "a")
    assert ranking.indistinguishable("a", "c")
    assert ranking.indistinguishable("b", "c"), "nothing is known"


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng, hits = np.random.default_rng(1), []
    for _ in range(400):
        found = statistics.intervals({str(cell): rng.normal(size=3) for cell in range(7)})
        hits += [one.low <= 0 <= one.high for one in found.values()]
    assert 0.93 <= np.mean(hits) <= 0.97


def test_differences_equal_scipys():
    a, b = [0.70, 0.72, 0.71, 0.75], [0.60, 0.63, 0.61, 0.66]
    for shared, expected in (
        (statistics.pool({"a": a, "b": b}), stats.ttest_ind(b, a)),
        (None, stats.ttest_ind(b, a, equal_var=False)),
    ):
        found = statistics.difference(a, b, shared)
        interval = expected.confidence_interval(0.95)
        assert found.estimate == pytest.approx(-0.095)
        assert found.p == pytest.approx(expected.pvalue)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_numbers_without_noise_allow_no_test_unless_they_are_equal():
    found = statistics.difference([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
    assert (found.estimate, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)
    shifted = statistics.difference([0.5, 0.5, 0.5], [0.6, 0.6, 0.6])
    assert shifted.method == "none"
    assert np.isnan(shifted.p)


def test_holm_by_hand():
    # Sorted .01 .02 .03 .04 times 4 3 2 1 = .04 .06 .06 .04, then never falling.
    assert statistics.holm([0.04, 0.01, float("nan"), 0.03, 0.02]) == pytest.approx(
        [0.06, 0.04, float("nan"), 0.06, 0.06], nan_ok=True
    )


def test_the_false_discovery_rate_by_hand():
    # Sorted .01 .03 .04 .8 times 4/1 4/2 4/3 4/4 = .04 .06 .0533 .8; the largest that passes takes the smaller along.
    p = np.array([0.04, np.nan, 0.01, 0.8, 0.03])
    assert discovered(p, 0.05).tolist() == [False, False, True, False, False]
    assert discovered(p, 0.054).tolist() == [True, False, True, False, True]
    assert discovered(np.array([0.05]), 0.05).tolist() == [True], "at the rate itself"
    assert discovered(np.array([np.nan, np.nan]), 1.0).tolist() == [False, False]


@pytest.mark.parametrize(("sd", "n", "df"), [(0.0, 3, 4), (1.0, 0, 4), (1.0, 3, 0), (float("nan"), 3, 4)])
def test_without_noise_seeds_or_degrees_of_freedom_no_difference_is_known_to_be_detectable(sd, n, df):
    assert np.isnan(statistics.smallest_detectable(sd, n, df))


@pytest.mark.parametrize(("n", "sigmas"), [(3, 2.03), (5, 1.57), (10, 1.11)])
def test_smallest_detectable_tends_to_the_normal_formula(n, sigmas):
    assert statistics.smallest_detectable(1.0, n, 1e6, sides=1) == pytest.approx(sigmas, abs=0.005)


def test_smallest_detectable_is_found_with_the_stated_power():
    d = statistics.smallest_detectable(2.0, 3, 4)
    rng = np.random.default_rng(3)
    p = stats.ttest_ind(rng.normal(0, 2, (20_000, 3)), rng.normal(d, 2, (20_000, 3)), axis=1).pvalue
    assert np.mean(p < 0.05) == pytest.approx(0.8, abs=0.01)


def test_seed_correlation_by_hand():
    assert statistics.seed_correlation([[1, 2, 3], [4, 5, 6]]) == pytest.approx(1.0)
    assert statistics.seed_correlation([[1, 2, 3], [3, 2, 1]]) == pytest.approx(-1.0)


def test_ranking_names_groups_that_cannot_be_told_apart():
    noise = np.array([-0.01, 0.0, 0.01])
    turns = {"low": (0.5, [1, 2, 0]), "b": (0.70, [2, 0, 1]), "a": (0.702, [0, 1, 2]), "mid": (0.6, [0, 2, 1])}
    cells = {name: seeds(mean + noise[turn]) for name, (mean, turn) in turns.items()}
    ranking = statistics.rank(cells)
    assert ranking.order == ("a", "b", "mid", "low")
    assert ranking.groups == {"a": "a", "b": "a", "mid": "b", "low": "c"}
    assert ranking.method == "blocked"


def test_shared_seeds_that_move_all_cells_are_taken_out():
    common = np.array([-0.05, 0.0, 0.05, 0.02])
    wiggle = np.array([0.001, -0.001, 0.001, -0.001])
    cells = {"a": seeds(0.70 + common + wiggle), "b": seeds(0.69 + common - wiggle), "c": seeds(0.68 + common)}
    ranking = statistics.rank(cells)
    assert ranking.method == "blocked"
    assert ranking.correlation > 0.9
    assert len(set(ranking.groups.values())) == 3, "10 times the remaining noise apart"


def test_two_shared_seeds_are_enough_to_be_taken_out():
    """The steps 1.00, 1.02 and 1.01 have a variance of 0.01^2, twice that of what is left."""
    cells = {"a": {0: 3.0, 1: 4.0}, "b": {0: 5.0, 1: 6.02}, "c": {0: 1.0, 1: 2.01}}
    ranking = statistics.rank(cells)
    assert (ranking.method, ranking.pool.df) == ("blocked", 2)
    assert ranking.pool.variance == pytest.approx(0.01**2 / 2)


def test_seeds_that_explain_everything_leave_no_noise_to_test_with():
    """Always 1 apart: without the seeds nothing would be left, and any difference would count."""
    ranking = statistics.rank({"b": {0: 1.0, 1: 3.0, 2: 5.0}, "a": {0: 0.0, 1: 2.0, 2: 4.0}})
    assert (ranking.method, ranking.correlation, ranking.pool.variance) == ("pooled", 1.0, 4.0)
    assert ranking.groups == {"b": "a", "a": "a"}


def test_equal_means_are_in_the_order_of_their_names():
    assert statistics.rank({"c": {0: 1.0, 1: 2.0}, "a": {0: 2.0, 1: 1.0}, "b": {0: 3.0}}).order == ("b", "a", "c")


def test_a_constant_cell_stays_apart_where_the_seeds_are_taken_out():
    common = np.array([-0.05, 0.0, 0.05, 0.02])
    wiggle = np.array([0.001, -0.001, 0.001, -0.001])
    cells = {"a": seeds(0.70 + common + wiggle), "b": seeds(0.69 + common - wiggle), "same": seeds([0.5] * 4)}
    ranking = statistics.rank(cells)
    assert (ranking.method, ranking.pool.unpooled) == ("blocked", ("same",))
    found = statistics.between({name: [*cell.values()] for name, cell in cells.items()}, "same", "a", ranking.pool)
    assert found.p == pytest.approx(stats.ttest_1samp(0.70 + common + wiggle, 0.5).pvalue), "its own noise alone"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sides", [([], [0.5, 0.6]), ([0.5, 0.6], []), ([], [])])
def test_nothing_is_no_side_of_a_difference(sides):
    found = statistics.difference(*sides)
    assert found.method == "none"
    assert np.isnan([found.estimate, found.low, found.high, found.p]).all()


def test_one_seed_tells_nothing_apart():
    ranking = statistics.rank({"a": {0: 0.9}, "b": {0: 0.1}, "failed": {}})
    assert ranking.order == ("a", "b")
    assert ranking.groups == {"a": "a", "b": "a"}


def test_letters_of_a_chain():
    assert letters(["a", "b", "c"], {("a", "c")}) == {"a": "a", "b": "ab", "c": "b"}


def test_degrees_of_freedom_by_hand():
    apart = {"a": {0: 1.0, 1: 2.0, 2: 3.0}, "b": {3: 1.0, 4: 5.0}}
    assert statistics.degrees_of_freedom(apart) == 2 + 1
    # Means of seeds 1.5, 3, 6: their mean square 2 * 10.5 / 2; what is left, four times 0.5^2 over 2 degrees.
    together = {"a": {0: 1.0, 1: 2.0, 2: 6.0}, "b": {0: 2.0, 1: 4.0, 2: 6.0}}
    assert statistics.degrees_of_freedom(together) == pytest.approx(2 * (10.5 + 0.5) ** 2 / (10.5**2 + 0.5**2))


def test_intervals_of_cells_that_move_together_cover_the_truth():
    rng, draws, inside = np.random.default_rng(2), 500, 0
    for _ in range(draws):
        table = rng.normal(size=(7, 3)) * np.sqrt(0.1) + rng.normal(size=3) * np.sqrt(0.9)
        found = statistics.intervals({str(i): dict(enumerate(row)) for i, row in enumerate(table)})["0"]
        inside += found.low <= 0 <= found.high
    assert inside / draws >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / draws), "87 %, if cells counted as repetitions"


def test_many_groups_have_names_that_are_no_part_of_each_other():
    rng = np.random.default_rng(0)
    cells = {f"c{i:02}": {seed: i + 1e-3 * rng.normal() for seed in range(3)} for i in range(60)}
    ranking = statistics.rank(cells)
    names = [ranking.groups[name] for name in ranking.order]
    assert names[:2] + names[25:27] + names[51:53] == ["a", "b", "z", "A", "Z", "(53)"]
    assert not any(ranking.indistinguishable(a, b) for a in cells for b in cells if a != b)


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_ranking_raises_a_false_alarm_in_at_most_one_grid_of_twenty(correlation):
    rng, alarms = np.random.default_rng(5), 0
    for _ in range(500):
        table = rng.normal(size=(7, 3)) * np.sqrt(1 - correlation) + rng.normal(size=3) * np.sqrt(correlation)
        ranking = statistics.rank({str(cell): seeds(row) for cell, row in enumerate(table)})
        alarms += min(ranking.p.values()) <= 0.05
    assert alarms / 500 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 500)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["same seeds", "other seeds", "no noise"])
def test_all_pairs_at_once_have_the_p_values_of_each_pair(kind):
    rng = np.random.default_rng(8)
    cells = {f"c{i}": seeds(rng.normal(0.01 * i, 0.01, 3)) for i in range(6)}
    cells |= {"noisy": seeds([0.0, 0.03, -0.04]), "outlier": seeds([0.0, 5.0, 9.0])}
    cells |= {"same": seeds([0.5] * 3), "twin": seeds([0.5] * 3)}
    if kind == "other seeds":
        cells |= {"more": seeds(rng.normal(0.02, 0.01, 5)), "one": {0: 0.02}}
    elif kind == "no noise":
        cells = {"a": {0: 0.5}, "b": {0: 0.4}, "c": seeds([0.5, 0.5])}
    ranking = statistics.rank(cells)
    assert ranking.method == {"same seeds": "blocked", "other seeds": "pooled", "no noise": "none"}[kind]
    assert kind == "no noise" or ranking.pool.noisier == ("noisy",)
    values = {name: [*one.values()] for name, one in cells.items()}
    alone = [statistics.between(values, worse, better, ranking.pool).p for better, worse in ranking.p]
    adjusted = dict(zip(ranking.p, statistics.holm(alone).tolist(), strict=True))
    assert dict(ranking.p.items()) == pytest.approx(adjusted, nan_ok=True, rel=1e-12)
    assert len(ranking.p) == len(cells) * (len(cells) - 1) // 2
    assert ranking.tests == sum(not np.isnan(p) for p in adjusted.values())
    for pair, p in adjusted.items():
        assert ranking.p[pair] == pytest.approx(p, nan_ok=True)
        assert pair[::-1] not in ranking.p


def test_so_many_cells_get_no_letters_and_are_told_apart_all_the_same():
    cells = {f"c{i:03}": seeds(i + np.array([0.0, 0.001, 0.003])) for i in range(201)}
    cells["c000"] = seeds([0.0, 0.003, 0.001])
    ranking = statistics.rank(cells)
    assert ranking.groups == {}
    assert not ranking.indistinguishable("c000", "c200")
