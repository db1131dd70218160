"""Time to a target by hand: medians with censored seeds, the test, the migration, tables and comparisons."""

import json
import math
from pathlib import Path

import pytest

import results
from results import record as schema
from results.statistics import Time, median_time, shares, slower
from tests.invented_runs import chosen as made


def times(text):
    """`10 20+ 30`: seeds that reached the target after 10 and 30, and one that ended at 20 without it."""
    return [Time(float(part.rstrip("+")), not part.endswith("+")) for part in text.split()]


@pytest.mark.parametrize(
    ("seeds", "median"),
    [
        ("10 20 30", 20),  # nobody censored: the usual median
        ("10 20", 15),
        ("10 20+ 30", 30),  # 2/3 are left after 10; the one at 20 counts no more, so 30 leaves none of one
        ("10 20 30+ 40+", 20),  # one half is left after 20, and nobody reaches it later
        ("10 20+ 30+", math.inf),  # 2/3 are left for ever
        ("20+ 20+", math.inf),
        ("10 12+ 14+ 16 18 20", 18),  # 5/6, then 5/6 of 2/3, then of 1/3: at 16 more than one half is left
        ("10", 10),
        ("10 10 10+", 10),  # censored at the same time as others: later than they
    ],
)
def test_medians_by_hand(seeds, median):
    found = median_time(times(seeds))
    assert found.median == median
    assert (found.reached, found.seeds) == (seeds.count(" ") + 1 - seeds.count("+"), seeds.count(" ") + 1)


def test_an_early_end_is_no_fast_seed():
    """Leaving the censored seed out, or taking its end for its time, would give 10 or 12."""
    assert median_time(times("10 12+ 14 16")).median == 14


def test_one_half_is_not_missed_by_rounding():
    """By the product of 12 shares, 0.5000000000000001 of 24 seeds are left."""
    half = [Time(10.0 * place, place <= 12) for place in range(1, 25)]
    assert median_time(half).median == 120


def test_the_interval_of_three_seeds_spans_them_and_is_open_if_the_last_did_not_reach_it():
    found = median_time(times("10 20 30"))
    assert (found.low, found.high) == (10, 30)
    found = median_time(times("10 20 30+"))
    assert (found.low, found.high) == (10, math.inf)
    assert math.isnan(median_time(times("10")).low)
    assert math.isnan(median_time([]).median)


def test_shares_by_hand():
    at, share = shares(times("10 20+ 30 40"))
    assert at.tolist() == [10, 30, 40]
    assert share.tolist() == pytest.approx([1 / 4, 1 - 3 / 4 / 2, 1])
    assert [len(part) for part in shares(times("20+"))] == [0, 0]


def test_the_exact_test_by_hand():
    # Three against three, all of head later: 1 of the 20 ways to split six seeds.
    assert slower(times("10 20 30"), times("40 50 60")) == pytest.approx(1 / 20)
    assert slower(times("40 50 60"), times("10 20 30")) == pytest.approx(1)
    # That head ended at 35 without the target says that it took longer than each seed of base.
    assert slower(times("10 20 30"), times("35+ 35+ 35+")) == pytest.approx(1 / 20)
    # The same at the very step at which base reached it.
    assert slower(times("35 35 35"), times("35+ 35+ 35+")) == pytest.approx(1 / 20)
    # One that ended before says nothing: then the lead is not the largest one possible.
    assert slower(times("10 20 30"), times("5+ 35+ 35+")) > 1 / 20
    assert slower(times("10 20"), times("10 20")) > 0.4
    assert math.isnan(slower([], times("10")))


def _with(target, **more):
    return made.record("dice", 0, (0.5, 10.0), target=target, **more)


REACHED = {
    "metric": "miou",
    "value": 0.6,
    "reached": True,
    "epoch": 3,
    "steps": 30,
    "seconds": 9.0,
    "cpu_seconds": 17.0,
}


def test_a_target_of_an_old_record_is_read_with_its_steps():
    def old(target):
        history = [{"epoch": epoch, "step": 10 * epoch, "images": 80 * epoch} for epoch in (1, 2, 3)]
        own = json.loads(_with(None, history=history, clocks={"train_s": 12.5}).model_dump_json())
        del own["clocks"]["cpu_s"]
        return schema.migrate({**own, "schema_version": 5, "target": target})["target"]

    reached = old({"miou": 0.6, "seconds": 8.0, "epoch": 2})
    assert reached == {"metric": "miou", "value": 0.6, "reached": True, "epoch": 2, "steps": 20, "seconds": 8.0}
    missed = old({"miou": 0.6, "seconds": None, "epoch": None})
    assert missed == {"metric": "miou", "value": 0.6, "reached": False, "epoch": 3, "steps": 30, "seconds": 12.5}
    assert old(None) is None


def test_times_of_records_leave_out_what_failed_and_censor_what_diverged():
    missed = {**REACHED, "reached": False, "steps": 90}
    crashed = results.Record(trial="x", cell="c", label="x", seed=3, status="crashed")
    records = [_with(REACHED), _with(missed), made.record("dice", 2, None), crashed]
    assert results.times_to_target(records) == [Time(30, True), Time(90, False), Time(math.inf, False)]
    assert results.times_to_target(records, "cpu_seconds")[0] == Time(17, True)
    assert results.target_of(records) == ("miou", 0.6)
    assert results.times_to_target([_with(None)]) == []


def test_the_table_has_no_time_of_a_seed_that_did_not_reach_it(tmp_path):
    results.write(tmp_path / "a", _with(REACHED))
    results.write(tmp_path / "b", made.record("dice", 1, (0.4, 10.0), target={**REACHED, "reached": False}))
    frame = results.trials(results.iterate([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert frame["target_reached"].tolist() == [True, False]
    assert frame["target_value"].tolist() == [0.6, 0.6]
    assert frame["target_steps"].fillna(-1).tolist() == [30, -1]
    assert frame["target_cpu_seconds"].fillna(-1).tolist() == [17, -1]


def _run(folder, cells, rates=(40.0, 41.0, 42.0)) -> Path:
    """{label: times} to a run; the time is in steps."""
    for label, text in cells.items():
        for seed, time in enumerate(times(text)):
            target = {**REACHED, "reached": time.reached, "steps": int(time.value), "seconds": time.value / 10}
            pair = (0.6 + 0.001 * seed, rates[seed % 3])
            results.write(folder / "trials" / f"{label}-s{seed}", made.record(label, seed, pair, target=target))
    manifest = {"cells": [{"cell": made.key(label), "label": label, "seeds": [*range(3)]} for label in cells]}
    (folder / "run.json").write_text(json.dumps(manifest))
    return folder


def _steps(base, head):
    return {row.label: row for row in results.compare(base, head).rows if row.metric == "target_steps"}


def test_more_steps_to_the_target_are_a_regression_and_equally_many_are_not(tmp_path):
    base = _run(tmp_path / "base", {"dice": "100 104 108", "bce": "100 104 108"})
    head = _run(tmp_path / "head", {"dice": "150 154 158", "bce": "100 104 108"})
    found = _steps(base, head)
    assert {label: row.verdict for label, row in found.items()} == {"dice": "regressed", "bce": "ok"}
    assert found["dice"].change == pytest.approx(0.48, abs=0.01)
    assert not [row for row in results.compare(base, base).rows if row.metric == "target_steps" and row.change]


def test_a_head_that_does_not_reach_the_target_regressed_and_seeds_that_did_do_not_hide_it(tmp_path):
    base = _run(tmp_path / "base", {"dice": "100 104 108"})
    head = _run(tmp_path / "head", {"dice": "300+ 300+ 300+"})
    row = _steps(base, head)["dice"]
    assert (row.verdict, row.seeds, row.base) == ("regressed", (3, 3), 104)
    assert "not all seeds reached miou 0.6: base 3 of 3, head 0 of 3" in row.reason
    assert math.isnan(row.head)
    assert _steps(head, base)["dice"].verdict == "improved"
    # One of three is not enough for a verdict; the two that were as fast as base say nothing of it either.
    some = _run(tmp_path / "some", {"dice": "100 104 300+"})
    assert _steps(base, some)["dice"].verdict == "inconclusive"
