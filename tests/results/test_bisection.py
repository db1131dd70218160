"""The search for the commit that made a metric worse: exact histories by hand, and what it promises, simulated."""

import numpy as np
import pytest
from scipy import stats

from bench.perf import bisection as simulation
from results.statistics import SearchPlan, effect_across, replay
from results.statistics.turns import contrast, looks, noise


def run(plan, level, broken=(), most=10_000):
    """Search with `level(commit, turn, count)` as the score of a trial; return the search, the scores, the trials."""
    scores, trials = {}, []
    while (found := replay(plan, scores, broken)).next and len(trials) < most:
        commit, turn = found.next[0]
        scores[commit, turn] = level(commit, turn, len(trials))
        trials.append((commit, turn))
    return found, scores, trials


def verdicts(found):
    return {step.commit: step.verdict for step in found.steps[1:]}


def test_a_contrast_by_hand():
    table = np.array([[0.0, 1.0, 2.0], [0.0, 3.0, 2.0]])
    # Less the middle of the ends: 0 and 2. Their mean is 1, their variance 2, the error sqrt(2 / 2).
    alone = contrast(table, (-0.5, 1, -0.5))
    assert (alone.estimate, alone.error, alone.df) == (1, 1, 1)
    assert alone.half(0.025) == pytest.approx(stats.t.ppf(0.975, 1))
    # Residuals of the first turn: 1/3, -2/3, 1/3; of the second the opposite. Squares 12/9 on (2 - 1)(3 - 1).
    pooled = noise(table)
    assert (pooled.squares, pooled.df) == (pytest.approx(12 / 9), 2)
    # 1.5 * (2 / 3) = 1 is less than its own 2, which is kept, on the pooled degrees of freedom.
    assert contrast(table, (-0.5, 1, -0.5), pooled).error == pytest.approx(1)
    wider = noise(table) + noise(10 * table)
    assert (wider.squares, wider.df) == (pytest.approx(101 * 12 / 9), 4)
    assert contrast(table, (-0.5, 1, -0.5), wider).error == pytest.approx(np.sqrt(1.5 * wider.variance / 2))


def test_looks_are_few_and_end_with_the_last_turn():
    assert looks(3, 3) == (3,)
    assert looks(2, 16) == (2, 3, 4, 6, 8, 12, 16)
    assert looks(3, 20) == (3, 4, 6, 8, 12, 16, 20)


@pytest.mark.parametrize("commits", [1, 2, 3, 16, 21])
def test_without_noise_every_commit_is_found_by_halving(commits):
    for at in range(1, commits + 1):
        found, _, trials = run(SearchPlan(commits, 0.5), lambda commit, turn, count, at=at: float(commit >= at))
        assert (found.outcome, found.good, found.bad) == ("found", at - 1, at)
        assert len(trials) <= 3 * 2 + (commits - 1).bit_length() * 2 * 3


def test_the_trials_of_a_search_by_hand():
    fresh, _, trials = run(SearchPlan(4, 0.5), lambda commit, turn, count: float(commit >= 3))
    # Three turns of the ends, then two of (GOOD, 2, BAD), then two of (GOOD, 3, BAD); every other turn runs backwards.
    ends = [(0, 0), (4, 0), (4, 1), (0, 1), (0, 2), (4, 2)]
    assert trials == [
        *ends, (4, 3), (2, 3), (0, 3), (0, 4), (2, 4), (4, 4), (4, 5), (3, 5), (0, 5), (0, 6), (3, 6), (4, 6)
    ]  # fmt: skip
    assert verdicts(fresh) == {2: "good", 3: "bad"}
    kept, _, trials = run(SearchPlan(4, 0.5, fresh=False), lambda commit, turn, count: float(commit >= 3))
    assert trials == [*ends, (2, 0), (2, 1), (3, 0), (3, 1)]
    assert (kept.good, kept.bad) == (2, 3)


def test_a_steady_drift_cancels_in_every_turn_of_three():
    found, _, _ = run(SearchPlan(16, 0.5), lambda commit, turn, count: 20.0 * (commit >= 7) + 0.5 * count)
    assert (found.good, found.bad) == (6, 7)
    assert {step.turns for step in found.steps[1:]} == {2}


@pytest.mark.parametrize(("last", "outcome"), [(0.0, "none"), (0.49, "none"), (-3.0, "none"), (0.5, "found")])
def test_a_difference_below_the_margin_is_none(last, outcome):
    found, _, trials = run(SearchPlan(8, 0.5), lambda commit, turn, count: last * (commit >= 3))
    assert found.outcome == outcome
    assert found.differs == (outcome == "found")
    assert outcome == "found" or len(trials) == 6


def test_what_cannot_be_told_is_undecided_after_the_last_turn():
    rng = np.random.default_rng(0)
    found, _, trials = run(SearchPlan(8, 0.1, most_turns=8), lambda *_: rng.normal())
    assert (found.outcome, len(trials)) == ("undecided", 16)
    assert (found.good, found.bad) == (0, 8)
    assert not found.differs


def test_commits_that_cannot_be_built_widen_the_answer():
    plan = SearchPlan(16, 0.5)
    found, scores, _ = run(plan, lambda commit, turn, count: float(commit >= 9), broken=[7, 8, 9, 15])
    assert (found.outcome, found.good, found.bad, found.skipped) == ("found", 6, 10, (7, 8, 9))
    assert not {commit for commit, _ in scores} & {7, 8, 9, 15}


def test_a_commit_without_scores_is_skipped_after_two_turns():
    def level(commit, turn, count):
        return None if commit == 8 else float(commit >= 8)

    found, scores, _ = run(SearchPlan(16, 0.5), level)
    assert (found.good, found.bad, found.skipped) == (7, 9, (8,))
    assert verdicts(found)[8] == "skipped"
    assert sum(commit == 8 for commit, _ in scores) == 2


def test_one_lost_trial_costs_one_turn():
    found, scores, _ = run(SearchPlan(4, 0.5), lambda commit, turn, count: None if count == 7 else float(commit >= 3))
    assert (found.good, found.bad, found.skipped) == (2, 3, ())
    assert (0, 3) not in scores, "the rest of the turn of the lost trial is not run"


@pytest.mark.parametrize("end", [0, 4])
def test_an_end_without_scores_ends_the_search(end):
    found, _, _ = run(SearchPlan(4, 0.5), lambda commit, turn, count: None if commit == end else 1.0)
    assert (found.outcome, found.steps[-1].commit, found.steps[-1].verdict) == ("failed", end, "failed")
    later, _, _ = run(
        SearchPlan(4, 0.5), lambda commit, turn, count: None if commit == end and count > 6 else float(commit >= 3)
    )
    assert (later.outcome, later.steps[-1].commit) == ("failed", end)


def test_two_equal_steps_give_the_range_from_the_first_to_the_second():
    found, _, _ = run(SearchPlan(16, 0.5), lambda commit, turn, count: float((commit >= 5) + (commit >= 11)))
    assert (found.outcome, found.good, found.bad) == ("found", 4, 11)
    assert set(found.between) <= set(range(5, 11))
    assert found.between


def test_a_step_beyond_three_quarters_is_named_though_a_smaller_one_follows():
    found, _, _ = run(SearchPlan(16, 0.5), lambda commit, turn, count: 4.0 * (commit >= 5) + 1.0 * (commit >= 11))
    assert (found.good, found.bad) == (4, 5)


@pytest.mark.parametrize(("first", "answer"), [(0.2, (10, 11)), (0.3, (4, 11)), (0.7, (4, 11)), (0.8, (4, 5))])
def test_only_a_quarter_of_the_difference_may_lie_outside_the_answer(first, answer):
    def level(commit, turn, count):
        return first * (commit >= 5) + (1 - first) * (commit >= 11)

    found, _, _ = run(SearchPlan(16, 0.5), level)
    assert (found.good, found.bad) == answer


def test_worse_mended_and_worse_again_names_a_commit_that_made_it_worse():
    found, _, _ = run(SearchPlan(16, 0.5), lambda commit, turn, count: float(4 <= commit < 7 or commit >= 12))
    assert (found.good, found.bad) in ((3, 4), (11, 12))


def test_the_error_spent_never_exceeds_alpha():
    rng = np.random.default_rng(1)
    for _ in range(6):
        levels = np.concatenate([[0], rng.normal(2, 2, 30), [5]])
        found, _, _ = run(
            SearchPlan(31, 0.5, most_turns=4),
            lambda commit, turn, count, levels=levels: None if rng.random() < 0.05 else levels[commit] + rng.normal(),
            broken=rng.integers(1, 31, 6).tolist(),
        )
        assert found.steps[0].level == 0.05
        assert 0 <= sum(step.level for step in found.steps[1:]) <= 0.05 + 1e-12


def test_a_search_is_a_function_of_its_scores_alone():
    rng = np.random.default_rng(2)
    plan = SearchPlan(16, 0.5)
    done, scores, trials = run(plan, lambda commit, turn, count: 6.0 * (commit >= 12) + rng.normal())
    for end in range(len(trials)):
        assert replay(plan, {key: scores[key] for key in trials[:end]}).next[0] == trials[end]
    assert replay(plan, dict(reversed(scores.items()))) == done


def test_the_effect_across_an_answer_by_hand():
    # Both in one turn: differences 2 and 4, so 3 +- t(1) * 1; the pooled variance is that of the same differences.
    both = effect_across({(0, 0): 0.0, (2, 0): 2.0, (0, 1): 1.0, (2, 1): 5.0}, 0, 2)
    assert both.estimate == 3
    assert (both.low, both.high) == pytest.approx((3 - stats.t.ppf(0.975, 1), 3 + stats.t.ppf(0.975, 1)))
    # In turns of their own: 2 is worse than GOOD by 5, 1 by 1.
    apart = {(0, 0): 0.0, (1, 0): 1.0, (4, 0): 6.0, (0, 1): 3.0, (1, 1): 4.0, (4, 1): 9.0}
    apart |= {(0, 2): 1.0, (2, 2): 6.0, (4, 2): 7.0, (0, 3): 2.0, (2, 3): 7.0, (4, 3): 8.0}
    found = effect_across(apart, 1, 2)
    assert (found.estimate, found.low, found.high) == pytest.approx((4, 4, 4))
    assert np.isnan(effect_across({(0, 0): 0.0, (4, 0): 1.0}, 0, 4).low)


@pytest.mark.parametrize(
    "plan", [SearchPlan(0, 1), SearchPlan(3, 0), SearchPlan(3, 1, 2), SearchPlan(3, 1, 16, True, 0)]
)
def test_a_plan_out_of_its_ranges_is_refused(plan):
    with pytest.raises(ValueError, match="a search needs"):
        replay(plan, {})


def test_simulated_without_a_change_a_commit_is_named_in_one_search_in_twenty_at_most():
    rng = np.random.default_rng(3)
    world = simulation.World("no change", (0.0,) * 9)
    answers = [simulation.search(world, rng, most_turns=6) for _ in range(400)]
    wrong = np.mean([answer.kind == "wrong" for answer in answers])
    assert 0.005 <= wrong <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400), "the bar is the promise and two standard errors"


def test_simulated_with_a_large_change_the_commit_is_named():
    rng = np.random.default_rng(4)
    world = simulation.World("8", simulation.one_step(16, 8.0))
    answers = [simulation.search(world, rng) for _ in range(30)]
    assert np.mean([answer.kind == "named" for answer in answers]) > 0.9
    assert np.median([answer.trials for answer in answers]) < 3 * 17 * 2, "less than two turns of every commit"
