"""Counting what repetitions of a comparison of equal code say about speed."""

import pytest

import results
from bench.perf.false_alarms import Counted, count, drawn, exact_interval, repetitions, report
from tests.invented_runs import chosen


def test_the_exact_interval_of_a_proportion():
    # Clopper and Pearson: 0 of n ends at 1 - (a/2)^(1/n); 1 of 1 begins at a/2. The middle is from published tables.
    assert exact_interval(0, 50) == pytest.approx((0.0, 1 - 0.025 ** (1 / 50)))
    assert exact_interval(1, 1) == pytest.approx((0.025, 1.0))
    assert exact_interval(5, 50) == pytest.approx((0.0333, 0.2181), abs=5e-5)
    low, high = exact_interval(45, 50)
    assert (1 - high, 1 - low) == pytest.approx(exact_interval(5, 50))


def test_the_words_name_counts_and_intervals():
    text = report(Counted(judged=50, alarms=1, praises=0, unjudged=2), 3)
    assert "called slower, a false alarm: 1, 2.0% (95 % interval 0.1% to 10.6%)" in text
    assert "not judged, because other work disturbed the trials: 2 more" in text
    assert report(Counted(0, 0, 0, 4), 3).startswith("Not measured")


def test_repetitions_are_judged_apart_and_alarms_are_counted(tmp_path):
    noise = (0.0, 0.4, -0.4, 0.3, -0.2, -0.1, -0.3, 0.2, 0.1, 0.0, 0.4)

    def rates(slower):
        return {
            label: {
                seed: (0.5 + some / 100, 100.0 + sign * some - slower.get(seed, 0)) for seed, some in enumerate(noise)
            }
            for label, sign in (("a", 1), ("b", -1))
        }

    base = results.read_run(chosen.made_run(tmp_path / "base", rates({})))
    # Seeds 3 to 5 are slower by about 10 %, and 6 to 8 faster.
    changed = {3: 10.0, 4: 10.5, 5: 9.5, 6: -10.0, 7: -10.5, 8: -9.5}
    head = results.read_run(chosen.made_run(tmp_path / "head", rates(changed)))
    cut = list(repetitions(base, head, 3))
    assert [sorted({one.record.seed for one in run.trials}) for run, _ in cut] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert count(repetitions(base, head, 3)) == Counted(judged=3, alarms=1, praises=1, unjudged=0)

    def unknown(run):
        speed = {"images_per_second": 100.0, "comparable": False, "reason": "other work on this machine"}
        return results.read_run(chosen.made_run(tmp_path / run, rates({}), throughput=speed))

    assert count(repetitions(unknown("one"), unknown("other"), 5)) == Counted(judged=0, alarms=0, praises=0, unjudged=2)


def test_drawn_comparisons_exchange_the_sides_of_a_seed_whole(tmp_path):
    def run(side, plus):
        rates = {label: {seed: (0.5, 100.0 + 10 * seed + plus) for seed in range(6)} for label in ("a", "b")}
        return results.read_run(chosen.made_run(tmp_path / side, rates))

    base, head = run("base", 0), run("head", 1)
    both = [*drawn(base, head, 3, 200)]
    assert len(both) == 200
    turned = set()
    for one, other in both:
        speeds = [
            {(t.record.seed, t.record.label): t.record.throughput.images_per_second for t in side.trials}
            for side in (one, other)
        ]
        assert speeds[0].keys() == speeds[1].keys()
        assert len(speeds[0]) == 6, "three seeds of two cells"
        sides = {seed: {speeds[0][seed, label] - 100 - 10 * seed for label in "ab"} for seed, _ in speeds[0]}
        assert all(len(found) == 1 for found in sides.values()), "both cells of a seed change sides together"
        assert all(speeds[0][key] + speeds[1][key] == 201 + 20 * key[0] for key in speeds[0])
        turned.update((seed, *found) for seed, found in sides.items())
    assert turned == {(seed, side) for seed in range(6) for side in (0.0, 1.0)}
    assert not [*drawn(base, head, 7, 10)]
