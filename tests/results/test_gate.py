"""The gate's rules against hand computations, SciPy, and simulations of what they promise."""

import numpy as np
import pytest
from scipy import stats

from bench.perf import gate as simulation
from bench.perf import uneven
from results import statistics
from results.statistics import aggregates, changes, decide, gate, power
from results.statistics.gate import Change, headline


def seeds(values, start=0):
    return dict(enumerate(values, start=start))


def change(estimate, error, df=8, n=3, method="pooled"):
    half, t = stats.t.ppf(0.95, df) * error, estimate / error
    return Change(
        estimate, estimate - half, estimate + half, stats.t.cdf(t, df), stats.t.sf(t, df), error, df, (n, n), method
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
    # Whatever else either side ran.
    more = changes({"c": (seeds([*a, 0.9, 0.2]), seeds(b))})["c"]
    assert (more.method, more.df, more.seeds) == ("paired", 4, (7, 5))
    assert more.p_worse == pytest.approx(paired.p_worse)
    # With one degree of freedom nothing could be seen.
    few = changes({"c": (seeds(a[:2]), seeds(b[:2]))})["c"]
    assert (few.method, few.df) == ("pooled", 2)


def test_shared_seeds_and_further_ones_of_both_sides_join_by_their_numbers():
    """Steps 1, 2, 3: 2 +- sqrt(1/3) on 2 degrees. Others: 4 less 1, each of variance 2; all four groups have 7 df."""
    base, head = {0: 0.0, 1: 0.0, 2: 0.0, 10: 0.0, 11: 2.0}, {0: 1.0, 1: 2.0, 2: 3.0, 20: 3.0, 21: 5.0}
    found = changes({"c": (base, head)})["c"]
    weight = 3 / (3 + 2 * 2 / 4)
    pooled = (0.8 * 4 + np.var([1, 2, 3, 3, 5], ddof=1) * 4) / 8
    parts = weight**2 / 3, (1 - weight) ** 2 * max(pooled, 2.0) * (1 / 2 + 1 / 2)
    assert found.method == "paired"
    assert found.estimate == pytest.approx(weight * 2 + (1 - weight) * 3)
    assert found.error == pytest.approx(np.sqrt(sum(parts)))
    assert found.df == pytest.approx(sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 8))


def test_head_that_repeats_base_on_the_seeds_that_both_have_has_not_changed():
    x = {0: 0.700, 1: 0.716, 2: 0.734, 3: 0.720, 4: 0.733}
    found = changes({"a": (x, {seed: x[seed] for seed in (0, 1, 2)})})["a"]
    assert (found.method, found.estimate, found.seeds) == ("identical", 0.0, (5, 3))
    assert changes({"a": (x, {0: x[0]})})["a"].method == "identical", "all that head has"
    assert changes({"a": (x, {0: x[0], 7: 0.71, 8: 0.70})})["a"].method == "pooled", "one equal value may be chance"


def test_a_noisy_cell_has_the_larger_of_the_shared_and_its_own_variance():
    """Steps of variance 1, 1 and 4 (F 4 on 2 and 4 degrees, p .11): the shared one is 2."""
    steps = {"a": [0, 1, 2], "b": [1, 0, 2], "noisy": [0, 2, 4]}
    found = changes({name: (seeds([0, 0, 0]), seeds(values)) for name, values in steps.items()})
    assert {name: one.error**2 * 3 for name, one in found.items()} == pytest.approx({"a": 2, "b": 2, "noisy": 4})
    assert {one.df for one in found.values()} == {6}


def test_a_cell_that_is_seen_to_be_noisier_is_judged_alone():
    """Variances 1, 1 and 9: F is 9 on 2 and 4 degrees, p .033."""
    steps = {"a": [0, 1, 2], "b": [1, 0, 2], "noisy": [0, 3, 6]}
    found = changes({name: (seeds([0, 0, 0]), seeds(values)) for name, values in steps.items()})
    assert (found["noisy"].error ** 2 * 3, found["noisy"].df) == pytest.approx((9, 2))
    assert (found["a"].error ** 2 * 3, found["a"].df) == pytest.approx((11 / 3, 6)), "it stays in what the others share"


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
    assert [found[i].method for i in range(6)].count("pooled") >= 4
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


@pytest.mark.parametrize(("cells", "seeds_", "same"), [(7, 3, True), (14, 5, False)])
def test_the_smallest_loss_that_one_release_names_is_seen_in_four_of_five_of_the_next(cells, seeds_, same):
    world, rng, draws = uneven.World("equal", cells, (seeds_, seeds_), same), np.random.default_rng(11), 1500
    one, (base, head) = uneven.judge(*uneven.draw(world, rng, draws), same), uneven.draw(world, rng, draws)
    losses = []
    for error, df in zip(one.error[:, 0], np.broadcast_to(one.df, one.error.shape)[:, 0], strict=True):
        found = {0: change(0.0, error, df, seeds_, "paired" if same else "pooled")}
        found |= {cell: change(0.0, 1.0) for cell in range(1, cells)}
        losses.append(gate.smallest_loss(found[0], 0.5, 0.05 / cells, 0.8))
    head[:, 0] -= np.array(losses)[:, None]
    seen = uneven.regressed(uneven.judge(base, head, same), 0.5)[:, 0].mean()
    assert seen == pytest.approx(0.8, abs=0.035)


def test_where_the_margin_is_the_harder_hurdle_the_estimate_must_pass_it():
    wide = decide({0: change(0.0, 0.1)}, {0: 1.0})[0]
    assert wide.smallest == pytest.approx(1.0 + stats.t.ppf(0.8, 8) * 0.1)
    assert statistics.power_of_t(8, 0.05, wide.smallest / 0.1, least=1.0 / 0.1) == pytest.approx(0.8, abs=0.02)


def test_a_known_noise_is_seen_as_the_noncentral_t_says():
    """With many degrees of freedom of both, nothing is estimated."""
    assert power.seen_shift(1e6, 1e6, 0.05, 0.8) == pytest.approx(stats.norm.isf(0.05) + stats.norm.isf(0.2), abs=0.01)


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
    # The larger of two errors costs some, Holm's later steps add a little.
    assert expected - 0.18 <= found <= expected + 0.09


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
    assert {name: one.method for name, one in changes(cells).items()} == {"a": "paired", "b": "paired", "c": "welch"}


def test_a_weak_common_effect_of_the_seeds_counts_in_a_mean_over_many_cells_and_not_between_two():
    """F(2, 38) = 4 has p = 0.027, and the correlation is 3 / 23: enough for the headline alone."""
    rest = np.random.default_rng(0).normal(size=(20, 3))
    rest -= rest.mean(axis=0) + rest.mean(axis=1, keepdims=True) - rest.mean()
    table = rest + np.sqrt(4 * (rest**2).sum() / 38 / 20) * np.array([-1, 0, 1])
    assert statistics.seed_correlation(table) == pytest.approx(3 / 23)
    cells = {str(row): seeds(values) for row, values in enumerate(table)}
    ranking = statistics.rank(cells)
    assert (ranking.method, ranking.pool.df) == ("blocked", 20), "ten cells at most"
    assert statistics.degrees_of_freedom(cells) == 40
    found = headline({name: (cell, seeds(table[int(name)] + 0.1, 3)) for name, cell in cells.items()})
    means = table.mean(axis=0)
    assert found.estimate == pytest.approx(0.1)
    assert (found.method, found.df) == ("welch", pytest.approx(4))
    assert found.error == pytest.approx(np.sqrt(2) * stats.sem(means)), "of 3 means of seeds, not of 60 trials"


@pytest.mark.parametrize(("cells", "same", "df"), [(6, True, 12), (7, True, 14), (12, True, 14), (12, False, 28)])
def test_a_shared_variance_counts_as_that_of_seven_cells_at_most(cells, same, df):
    """A paired cell of 3 seeds has 2 degrees of freedom of its own, one whose sides ran other seeds has 4."""
    values = np.random.default_rng(1).standard_normal((2, cells, 3))
    found = changes({c: (dict(enumerate(values[0, c])), dict(enumerate(values[1, c], 0 if same else 9)))
                     for c in range(cells)})  # fmt: skip
    assert {round(one.df, 9) for one in found.values() if one.df > 4} == {df}
