"""The worth of a budget by hand: Kendall's tau, its interval, and verdicts that hold, dissolve or turn round."""

import math

import numpy as np
import pytest
from scipy import stats

import results
from results.statistics import kendall_tau, worth
from tests.invented_runs import chosen as made

NEAR = (-0.001, 0.0, 0.001)


def scores(**means):
    """Three seeds around each mean, so close that all means differ by more than the noise."""
    return {name: {seed: mean + step for seed, step in enumerate(NEAR)} for name, mean in means.items()}


def test_tau_by_hand_and_as_scipy():
    assert kendall_tau([1, 2, 3, 4], [1, 2, 3, 4]) == 1
    assert kendall_tau([1, 2, 3, 4], [4, 3, 2, 1]) == -1
    assert kendall_tau([1, 2, 3, 4], [2, 1, 3, 4]) == pytest.approx(4 / 6)  # five pairs agree, one does not
    assert kendall_tau([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / math.sqrt(2 * 3))  # one pair is tied
    assert math.isnan(kendall_tau([1, 1], [1, 2]))
    assert math.isnan(kendall_tau([1], [1]))
    first, second = np.random.default_rng(0).integers(0, 5, (2, 9))
    assert kendall_tau(first, second) == pytest.approx(stats.kendalltau(first, second).statistic)


def test_verdicts_by_hand():
    """Of three pairs a beats b at both, c turns round with b, and a and c cannot be told apart in the end."""
    early = scores(a=0.5, b=0.4, c=0.3)
    final = {**scores(a=0.7, b=0.6), "c": {0: 0.7005, 1: 0.6995, 2: 0.7}}
    first, last = worth({1.0: final, 0.1: early})
    assert (first.share, first.pairs, first.verdicts) == (0.1, 3, 3)
    assert (first.held, first.dissolved, first.turned) == (1, 1, 1)
    assert first.share_turned == pytest.approx(1 / 3)
    assert (last.share, last.tau, last.verdicts, last.held, last.turned) == (1.0, 1.0, 2, 2, 0)


def test_the_interval_is_that_of_the_seeds():
    certain = worth({0.1: scores(a=0.5, b=0.4, c=0.3), 1.0: scores(a=0.7, b=0.6, c=0.5)})[0]
    assert (certain.tau, certain.low, certain.high) == (1, 1, 1)
    # b beats a at one early seed of three: samples of that seed alone turn the pair round.
    early = {"a": {0: 0.5, 1: 0.5, 2: 0.4}, "b": {0: 0.4, 1: 0.4, 2: 0.5}}
    open_ = worth({0.1: early, 1.0: scores(a=0.7, b=0.6)})[0]
    assert (open_.tau, open_.low, open_.high) == (1, -1, 1)
    assert (open_.verdicts, open_.turned) == (0, 0)
    assert math.isnan(open_.share_turned)


@pytest.mark.filterwarnings("error")
def test_methods_of_equal_scores_have_no_tau_and_no_interval():
    alike = {"a": {0: 0.5, 1: 0.6}, "b": {0: 0.5, 1: 0.6}}
    row = worth({0.1: alike, 1.0: {"a": {0: 0.7, 1: 0.8}, "b": {0: 0.6, 1: 0.7}}})[0]
    assert np.isnan([row.tau, row.low, row.high]).all()
    assert (row.pairs, row.verdicts) == (1, 0)
    # Of a sample with one seed alone the methods are equal: it has no tau, and the others count.
    early = {"a": {0: 0.5, 1: 0.7}, "b": {0: 0.5, 1: 0.6}}
    row = worth({0.1: early, 1.0: {"a": {0: 0.7, 1: 0.8}, "b": {0: 0.6, 1: 0.7}}})[0]
    assert (row.tau, row.low, row.high) == (1, 1, 1)


def test_what_a_budget_lacks_is_left_out_of_its_row():
    early = {**scores(a=0.5, b=0.4), "c": {7: 0.9}}
    row = worth({0.1: early, 1.0: scores(a=0.7, b=0.6, c=0.5)})[0]
    assert (row.pairs, row.tau) == (1, 1)  # c has no seed in common
    one = worth({0.1: {"a": {0: 0.5}, "b": {0: 0.4}}, 1.0: {"a": {0: 0.7}, "b": {0: 0.6}}})[0]
    assert math.isnan(one.low)
    assert worth({}) == []


def _training(loss, epochs, final, seed=0, steps=10, **more):
    """A record of a training whose mIoU rises evenly to `final`."""
    history = [
        {"epoch": epoch, "step": steps * epoch, "images": 1, "val": {"miou": final * epoch / epochs}}
        for epoch in range(1, epochs + 1)
    ]
    axes = {"loss": loss, "epochs": epochs}
    found = made.record(f"{loss}-{epochs}", seed, (final, 1.0), epochs=epochs, history=history, **more)
    return found.model_copy(update={"axes": axes})


def test_trainings_of_their_own_length_and_states_of_the_longest_are_two_kinds():
    records = [
        _training(loss, epochs, final + 0.001 * seed, seed)
        for loss, ends in {"dice": (0.3, 0.5), "bce": (0.4, 0.4)}.items()
        for epochs, final in zip((10, 100), ends, strict=True)
        for seed in range(3)
    ]
    own, cut = results.courses(records)
    assert (own.kind, own.dataset, own.steps, own.seeds, own.tuned) == ("own schedule", "d", 1000, 3, False)
    assert [(row.share, row.tau, row.turned) for row in own.rows] == [(0.1, -1.0, 1), (1.0, 1.0, 0)]
    assert cut.kind == "cut short"
    assert [row.share for row in cut.rows] == [0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0]
    assert {row.tau for row in cut.rows} == {1.0}  # the curves never cross


def test_what_a_target_ended_or_a_search_tuned_is_kept_apart():
    ended = {"metric": "miou", "value": 0.1, "reached": True}
    plain = [_training("dice", epochs, 0.5, seed) for epochs in (10, 100) for seed in range(2)]
    short = _training("dice", 20, 0.5, target=ended)
    short = short.model_copy(update={"spec": {**short.spec, "train": {**short.spec["train"], "until": {"miou": 0.1}}}})
    tuned = [_training("dice", epochs, 0.5, seed, tuning={"field": "f"}) for epochs in (10, 100) for seed in range(2)]
    found = results.courses([*plain, short, *tuned])
    assert [(one.tuned, one.kind, len(one.rows)) for one in found] == [
        (False, "own schedule", 2), (False, "cut short", 7), (True, "own schedule", 2), (True, "cut short", 7),
    ]  # fmt: skip
    assert results.courses([_training("dice", 1, 0.5)]) == []
