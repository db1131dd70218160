"""The gate's rules against hand computations, SciPy, and simulations of what they promise."""

import numpy as np
import pytest
from scipy import stats

from bench.perf import gate as simulation
from results import statistics
from results.statistics import aggregates, changes, decide
from results.statistics.gate import Change, headline


def seeds(values, start=0):
    return dict(enumerate(values, start=start))


def change(estimate, error, df=8, n=3):
    half, t = stats.t.ppf(0.95, df) * error, estimate / error
    return Change(
        estimate, estimate - half, estimate + half, stats.t.cdf(t, df), stats.t.sf(t, df), error, df, (n, n), "pooled"
    )


def test_a_pooled_change_by_hand():
    # Each of the four groups of three has variance 1: s = 1 on 8 degrees of freedom, error sqrt(2/3).
    found = changes({"a": (seeds([1, 2, 3]), seeds([0, 1, 2], 3)), "b": (seeds([5, 6, 7]), seeds([5, 6, 7], 3))})
    error = np.sqrt(2 / 3)
    assert (found["a"].estimate, found["a"].error, found["a"].df) == pytest.approx((-1, error, 8))
    assert found["a"].low == pytest.approx(-1 - stats.t.ppf(0.95, 8) * error)
    assert found["a"].p_worse == pytest.approx(stats.t.cdf(-1 / error, 8))
    assert (found["b"].estimate, found["b"].p_worse) == pytest.approx((0, 0.5))


def test_one_cell_alone_is_scipys_t_test():
    a, b = [0.70, 0.72, 0.71, 0.75], [0.68, 0.66, 0.71, 0.69]
    free = changes({"c": (seeds(a), seeds(b, 9))})["c"]
    assert free.p_worse == pytest.approx(stats.ttest_ind(b, a, alternative="less").pvalue)


@pytest.mark.parametrize("b", [[0.69, 0.70, 0.70, 0.73, 0.69], [0.75, 0.68, 0.72, 0.66, 0.71]])
def test_shared_seeds_are_paired_whether_they_happen_to_correlate_or_not(b):
    a = [0.70, 0.72, 0.71, 0.75, 0.70]
    assert np.corrcoef(a, b)[0, 1] > 0.8 or np.corrcoef(a, b)[0, 1] < -0.5
    paired = changes({"c": (seeds(a), seeds(b))})["c"]
    assert (paired.method, paired.df) == ("paired", 4)
    assert paired.p_worse == pytest.approx(stats.ttest_rel(b, a, alternative="less").pvalue)
    # With fewer degrees of freedom pairing costs more than it is likely to win.
    few = changes({"c": (seeds(a[:4]), seeds(b[:4]))})["c"]
    assert (few.method, few.df) == ("pooled", 6)


def test_a_wild_cell_of_paired_seeds_keeps_its_own_variance():
    rng = np.random.default_rng(0)
    cells = {i: (seeds(rng.normal(size=4)), seeds(rng.normal(size=4))) for i in range(6)}
    cells["outlier"] = (seeds(rng.normal(size=4)), seeds(100 * rng.normal(size=4)))
    found = changes(cells)
    base, head = ([*side.values()] for side in cells["outlier"])
    assert (found["outlier"].df, found[0].df) == (3, 18)
    assert found["outlier"].p_worse == pytest.approx(stats.ttest_rel(head, base, alternative="less").pvalue)


def test_a_wild_cell_keeps_its_own_variance():
    rng = np.random.default_rng(0)
    cells = {i: (seeds(rng.normal(size=4)), seeds(rng.normal(size=4), 4)) for i in range(6)}
    cells["outlier"] = (seeds(rng.normal(size=4)), seeds(100 * rng.normal(size=4), 4))
    found = changes(cells)
    assert {found[i].method for i in range(6)} == {"pooled"}
    assert found["outlier"].method == "welch"
    expected = stats.ttest_ind(
        *([*side.values()] for side in cells["outlier"][::-1]), equal_var=False, alternative="less"
    )
    assert found["outlier"].p_worse == pytest.approx(expected.pvalue)


def test_numbers_without_noise_are_facts():
    same = seeds([0.5, 0.6, 0.7])
    found = changes({"same": (same, dict(same)), "fell": (seeds([0.5] * 3), seeds([0.4] * 3, 3))})
    verdicts = decide(found, {"same": 0.005, "fell": 0.005})
    assert (found["same"].method, verdicts["same"].verdict) == ("identical", "ok")
    assert (found["fell"].method, verdicts["fell"].verdict, verdicts["fell"].p) == ("constant", "regressed", 0.0)
    lone = changes({"lone": ({0: 0.5}, {1: 0.4})})
    verdict = decide(lone, {"lone": 0.005})["lone"]
    assert (lone["lone"].method, verdict.verdict, verdict.more_seeds) == ("none", "inconclusive", 0)
    assert np.isnan(verdict.p)


def test_the_four_verdicts_and_their_edges():
    found = {
        "worse": change(-2.0, 0.2), "within": change(-0.4, 0.05), "better": change(2.0, 0.2), "open": change(0.0, 1.0),
        "ok": change(0.0, 0.2),
    }  # fmt: skip
    verdicts = {name: one.verdict for name, one in decide(found, dict.fromkeys(found, 0.5)).items()}
    assert verdicts == {
        "worse": "regressed", "within": "ok", "better": "improved", "open": "inconclusive", "ok": "ok"
    }  # fmt: skip
    # The same estimate is a regression only from the margin on, however sure it is.
    assert decide({"a": change(-0.5, 0.01)}, {"a": 0.5})["a"].verdict == "regressed"
    assert decide({"a": change(-0.499, 0.01)}, {"a": 0.5})["a"].verdict == "inconclusive"


def test_holm_decides_and_the_rest_are_suspects():
    one = change(-1.0, 0.46)  # p = .031 one-sided
    assert one.p_worse == pytest.approx(0.031, abs=0.001)
    assert decide({"a": one}, {"a": 0.5})["a"].verdict == "regressed"
    pair = decide({"a": one, "b": one}, dict.fromkeys("ab", 0.5))
    assert pair["a"].p == pytest.approx(2 * one.p_worse)
    assert (pair["a"].verdict, pair["a"].suspect) == ("inconclusive", True)
    many = decide({"a": one, **{i: change(1.0, 1.0) for i in range(9)}}, dict.fromkeys(["a", *range(9)], 0.5))
    assert not many["a"].suspect, "p 0.031 is the best of ten: Benjamini and Hochberg ask for 0.010"


def test_the_smallest_loss_is_seen_with_the_stated_power():
    decided = decide({i: change(0.0, 1.0) for i in range(5)}, dict.fromkeys(range(5), 0.1))[0]
    assert statistics.power_of_t(8, 0.05 / 5, decided.smallest) == pytest.approx(0.8)
    # Where the margin is the harder hurdle, it is the estimate that must pass it.
    wide = decide({0: change(0.0, 0.1)}, {0: 1.0})[0]
    assert wide.smallest == pytest.approx(1.0 + stats.t.ppf(0.8, 8) * 0.1)
    assert statistics.power_of_t(8, 0.05, wide.smallest / 0.1, least=1.0 / 0.1) == pytest.approx(0.8, abs=0.02)


def test_the_seeds_it_asks_for_decide():
    decided = decide({0: change(0.0, np.sqrt(2 / 3), df=28)}, {0: 0.5})[0]
    n = 3 + decided.more_seeds
    # 12.4 (sigma / margin)^2 by the normal formula (bench page 2b), a little more with t.
    assert 12.4 * 4 <= n <= 13.5 * 4
    rng = np.random.default_rng(1)
    ok = [
        changes({0: (seeds(rng.normal(size=n)), seeds(rng.normal(size=n), n))})[0].low > -0.5 for _ in range(600)
    ]  # fmt: skip
    assert np.mean(ok) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("shared", [None, 0.0, 0.6])
@pytest.mark.parametrize("n", [3, 5, 10])
def test_an_unchanged_release_raises_a_false_alarm_at_most_once_in_twenty(n, shared):
    found = simulation.simulate(n, 0, draws=400, shared=shared)
    assert found.alarms <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


@pytest.mark.parametrize(("n", "loss"), [(3, 3.0), (5, 2.0), (10, 1.0), (10, 2.0)])
def test_the_power_is_what_the_formula_says(n, loss):
    found, expected = simulation.simulate(n, loss, draws=400).power, simulation.formula(n, loss)
    assert expected - 0.06 <= found <= expected + 0.09, "Holm's later steps may add a little"


def test_the_headline_by_hand():
    cells = {"a": (seeds([1, 2, 3]), seeds([2, 3, 4], 3)), "b": (seeds([6, 5, 7]), seeds([6, 8, 4], 3))}
    found = headline(cells)
    # Differences 1 and 0; variances 1, 1, 1, 4 with 2 degrees each; error of each difference sqrt(7/4 (1/3 + 1/3)).
    assert (found.estimate, found.df) == pytest.approx((0.5, 8))
    assert found.error == pytest.approx(np.sqrt(2 * 7 / 4 * 2 / 3) / 2)


def test_a_wild_cell_brings_its_own_noise_into_the_headline():
    orders = [[1, 2, 3], [2, 3, 1], [3, 1, 2], [2, 1, 3]]  # that do not move together
    calm = {i: (seeds(orders[i % 4]), seeds(orders[i % 4], 3)) for i in range(8)}
    found = headline({**calm, "outlier": (seeds([0, 200, 100]), seeds([1, 2, 3], 3))})
    # 17 sides of variance 1 and 34 degrees of freedom, one of variance 100^2 and 2; 3 seeds each, 9 cells.
    own, common = 100**2 / 3, 17 / 3
    assert found.error == pytest.approx(np.sqrt(own + common) / 9)
    assert found.df == pytest.approx((own + common) ** 2 / (own**2 / 2 + common**2 / 34))


def test_data_sets_lend_each_other_no_noise_in_the_headline():
    cells = {"a": (seeds([1, 2, 3]), seeds([2, 3, 4], 3)), "b": (seeds([10, 12, 14]), seeds([10, 12, 14], 3))}
    found = headline(cells, {"a": "cats", "b": "streets"})
    assert found.error == pytest.approx(np.sqrt(1 * 2 / 3 + 4 * 2 / 3) / 2)
    assert found.df == pytest.approx((2 / 3 + 8 / 3) ** 2 / ((2 / 3) ** 2 / 4 + (8 / 3) ** 2 / 4))


def test_cells_that_move_together_raise_few_more_alarms():
    """Both releases shuffle anew, each all its cells alike: every cell of a seed gains or loses together."""
    rng, alarms, draws = np.random.default_rng(5), 0, 500
    for _ in range(draws):
        sides = [rng.normal(size=3) * np.sqrt(0.9) + rng.normal(size=(14, 3)) * np.sqrt(0.1) for _ in range(2)]
        cells = {i: (seeds(sides[0][i]), seeds(sides[1][i])) for i in range(14)}
        alarms += changes(cells)[0].p_worse <= 0.05
    assert alarms / draws <= 0.08, "0.11, if cells counted as repetitions"


def test_a_headline_over_cells_that_move_together_counts_seeds_not_cells():
    rng, alarms = np.random.default_rng(3), 0
    for _ in range(400):
        sides = [rng.normal(size=5) * 0.9 + rng.normal(size=(10, 5)) * 0.45 for _ in range(2)]
        found = headline({i: (seeds(sides[0][i]), seeds(sides[1][i], 5)) for i in range(10)})
        alarms += found.p_worse <= 0.05
    assert alarms / 400 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400), "the pooled error would cry wolf in a quarter"


def test_probability_best_of_two_is_a_t_probability():
    cells = {"a": [0.70, 0.72, 0.74], "b": [0.69, 0.71, 0.73]}
    shared = statistics.pool(cells)
    found = aggregates.probability_best(statistics.intervals(cells), shared)
    expected = stats.t.cdf(0.01 / (shared.sd * np.sqrt(2 / 3)), shared.df)
    assert found["a"] == pytest.approx(expected, abs=0.015)
    assert sum(found.values()) == pytest.approx(1)
    lone = {"a": [0.7], "b": [0.6]}
    assert all(np.isnan(one) for one in aggregates.probability_best(statistics.intervals(lone), None).values())


def test_probability_best_of_cells_with_a_noise_of_their_own_or_none():
    cells = {"a": [1, 2, 3], "b": [4, 5, 6], "c": [2, 3, 4], "outlier": [0, 50, 100], "same": [20, 20, 20], "none": []}
    found = aggregates.probability_best(statistics.intervals(cells), statistics.pool(cells))
    assert [*found] == ["a", "b", "c", "outlier", "same"]
    # The outlier's mean is t(2) around 50, the other one is 20 in every draw; a, b and c are far below.
    assert found["outlier"] == pytest.approx(stats.t.cdf((50 - 20) / stats.sem([0, 50, 100]), 2), abs=0.015)
    assert found["same"] == pytest.approx(1 - found["outlier"])


def test_of_two_equal_cells_without_noise_the_first_is_the_best():
    cells = {"a": [1, 2, 3], "first": [9, 9], "second": [9, 9]}
    found = aggregates.probability_best(statistics.intervals(cells), statistics.pool(cells))
    assert found == {"a": pytest.approx(0, abs=0.01), "first": pytest.approx(1, abs=0.01), "second": 0}


def test_aggregates_of_little_or_nothing():
    assert np.isnan(aggregates.probability_of_improvement([], [1.0]))
    assert np.isnan(aggregates.probability_of_improvement([1.0], []))
    assert np.isnan(aggregates.performance_profile([[], []], [0.5, 1.0])).tolist() == [True, True]
    assert aggregates.performance_profile([[1.0, 2.0], []], [1.0]).tolist() == [0.5], "above, and not at, a threshold"
    for tasks, value in ([[], []], np.nan), ([[0.5], [0.6, 0.7]], 0.6), ([[0.5, 0.5], [], [0.5, 0.5]], 0.5):
        found = aggregates.interquartile_mean(tasks)
        assert found.value == pytest.approx(value, nan_ok=True)
        assert np.isnan([found.low, found.high]).all(), "nothing that could be resampled"


def test_aggregates_by_hand():
    assert aggregates.probability_of_improvement([1, 2], [2, 3]) == pytest.approx((2 + 1 + 0.5) / 4)
    found = aggregates.interquartile_mean([[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 100.0]])
    assert found.value == pytest.approx((2 + 3 + 4 + 5) / 4)  # an outlier of 100 does not move it
    assert found.low < found.value < found.high
    # Task one: 2 of 4 above 1.5; task two: both; each task counts half.
    assert aggregates.performance_profile([[0, 1, 2, 3], [4, 5]], [1.5, 4.5]) == pytest.approx([0.75, 0.25])


def test_the_interval_of_an_interquartile_mean_covers():
    rng = np.random.default_rng(2)
    found = [aggregates.interquartile_mean(rng.normal(size=(4, 5)), draws=400) for _ in range(150)]
    assert 0.87 <= np.mean([one.low <= 0 <= one.high for one in found]) <= 1.0


@pytest.mark.parametrize("seeds", [(2, 8), (8, 2)])
def test_the_seeds_still_needed_are_counted_from_the_side_that_has_fewest(seeds):
    """Normal noise of 1: z(0.95) + z(0.8) = 2.4865; within the margin 2 (2.4865 / 0.5)^2 = 49.5 seeds a side decide.

    Beyond it the loss itself is what is to be seen, after Holm: z(0.975) + z(0.8) = 2.8016, 2 * 2.8016^2 = 15.7 seeds.
    """
    error = float(np.sqrt(1 / 2 + 1 / 8))
    half = float(stats.norm.ppf(0.95)) * error
    found = {
        name: Change(d, d - half, d + half, float(stats.norm.cdf(d / error)), 0.5, error, 1e9, seeds, "pooled")
        for name, d in {"even": 0.0, "lost": -1.0}.items()
    }
    decisions = decide(found, dict.fromkeys(found, 0.5))
    assert {name: one.verdict for name, one in decisions.items()} == dict.fromkeys(found, "inconclusive")
    assert {name: one.more_seeds for name, one in decisions.items()} == {"even": 50 - 2, "lost": 16 - 2}


@pytest.mark.parametrize("n", [2, 4])
def test_two_cells_that_move_together_are_judged_by_the_seeds_averages(n):
    rng = np.random.default_rng(5)
    sides = []
    for start in (0, 10):
        common, own = rng.normal(0, 0.02, n), rng.normal(0, 1e-5, n)
        sides.append([{start + i: 0.7 + sign * own[i] + common[i] for i in range(n)} for sign in (1, -1)])
    found = headline({name: (base, head) for name, base, head in zip("ab", *sides, strict=True)})
    base, head = ([np.mean([cell[seed] for cell in side]) for seed in side[0]] for side in sides)
    expected = stats.ttest_ind(head, base, equal_var=False)
    interval = expected.confidence_interval(0.9)
    assert (found.method, found.df) == ("welch", pytest.approx(expected.df))
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_equal_values_are_a_change_of_exactly_nothing():
    values = {0: 0.7, 1: 0.71}
    nothing = Change(0.0, 0.0, 0.0, 1.0, 1.0, 0.0, np.inf, (2, 2), "identical")
    assert changes({"a": (values, values)})["a"] == nothing
    assert headline({"a": (values, values)}) == nothing


def test_two_seeds_that_do_not_vary_state_a_fact_of_a_cell_and_no_noise_of_a_grid():
    cells = {name: ({0: 0.5, 1: 0.5}, {5: 0.6, 6: 0.6}) for name in "ab"}
    one = changes(cells)["a"]
    assert (one.method, one.p_worse, one.p_better) == ("constant", 1.0, 0.0)
    assert (one.low, one.estimate, one.high) == pytest.approx((0.1, 0.1, 0.1))
    assert headline(cells).method == "none"


@pytest.mark.parametrize(("f", "method"), [(6.9, "pooled"), (7.0, "welch")])
def test_cells_move_together_when_the_f_test_of_the_seeds_says_so_at_5_percent(f, method):
    """Three cells on three seeds: F(2, 4) = 6.944 is the bound. The mean squares are 3 t^2 and 6 / 4, so F is 2 t^2."""
    assert 6.9 < stats.f.isf(0.05, 2, 4) < 7.0
    rest = np.array([[1, -1, 0], [-1, 0, 1], [0, 1, -1]])
    base = 0.7 + 0.001 * (rest + np.sqrt(f / 2) * np.array([1, 0, -1]))
    head = 0.7 + 0.001 * rest
    cells = {
        name: (dict(enumerate(base[row])), {5 + seed: value for seed, value in enumerate(head[row])})
        for row, name in enumerate("abc")
    }
    assert headline(cells).method == method


def test_a_cell_whose_pairs_all_differ_by_the_same_is_judged_unpaired():
    """Its differences have no spread, and that of the other cells is not theirs."""
    noise = [0.002, -0.001, 0.003, -0.004]
    cells = {
        name: (
            {seed: 0.5 + 0.01 * seed for seed in range(4)},
            {seed: 0.5 + 0.01 * seed + step[seed] for seed in range(4)},
        )
        for name, step in {"a": noise, "b": noise[::-1], "c": [0.0625] * 4}.items()
    }
    cells["c"] = ({seed: seed / 64 for seed in range(4)}, {seed: seed / 64 + 0.0625 for seed in range(4)})  # exact
    assert {name: one.method for name, one in changes(cells).items()} == {"a": "paired", "b": "paired", "c": "pooled"}


def test_a_weak_common_effect_of_the_seeds_counts_in_a_mean_over_many_cells_and_not_between_two():
    """F(2, 38) = 4 has p = 0.027, and the correlation is 3 / 23: enough for the headline, too little for blocks."""
    rest = np.random.default_rng(0).normal(size=(20, 3))
    rest -= rest.mean(axis=0) + rest.mean(axis=1, keepdims=True) - rest.mean()
    table = rest + np.sqrt(4 * (rest**2).sum() / 38 / 20) * np.array([-1, 0, 1])
    assert statistics.seed_correlation(table) == pytest.approx(3 / 23)
    cells = {str(row): seeds(values) for row, values in enumerate(table)}
    ranking = statistics.rank(cells)
    assert (ranking.method, ranking.pool.df) == ("pooled", 40)
    assert statistics.degrees_of_freedom(cells) == 40
    found = headline({name: (cell, seeds(table[int(name)] + 0.1, 3)) for name, cell in cells.items()})
    means = table.mean(axis=0)
    assert found.estimate == pytest.approx(0.1)
    assert (found.method, found.df) == ("welch", pytest.approx(4))
    assert found.error == pytest.approx(np.sqrt(2) * stats.sem(means)), "of 3 means of seeds, not of 60 trials"
