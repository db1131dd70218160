"""The drift of a machine, from trials that are there."""

import pytest

from bench.core import UsageError
from bench.perf.drift import of_runs
from tests.invented_runs import chosen, folder


def _speed(rate, reference, reason=None):
    return {
        "images_per_second": rate, "windows": [rate] * 4, "comparable": reason is None, "reason": reason,
        "reference": {"version": 2, "gflops": [reference, reference]},
    }  # fmt: skip


def _run(where, speeds):
    records = [
        chosen.record(
            "dice", seed, (0.5, 1.0), throughput=speed, started=f"2026-05-01T{10 + seed:02}:30:00+00:00",
        )
        for seed, speed in speeds.items()
    ]  # fmt: skip
    planned = [{"cell": chosen.key("dice"), "label": "dice", "seeds": list(speeds)}]
    return folder.write_folder(where, records, planned, grid="losses")


def test_the_drift_is_that_of_undisturbed_trials_of_all_runs_together(tmp_path):
    # Speed and reference drift together: all of it is removed. The disturbed trial would widen both.
    one = _run(tmp_path / "one", {0: _speed(10.0, 50.0), 1: _speed(12.0, 60.0), 2: _speed(1.0, 50.0, "other work")})
    other = _run(tmp_path / "other", {3: _speed(14.0, 70.0), 4: _speed(16.0, 80.0)})
    first, rate, relative, removed, _ = of_runs([one, other])
    assert first == "dice: 4 trials in 4.0 hours, 1 left out"
    assert rate == "images/s: quartiles 11.5 and 14.5, median 13.0; apart by 23.1%"
    assert relative == "images per 100 GFLOP: quartiles 20.0 and 20.0, median 20.0; apart by 0.0%"
    assert removed == "The reference removes 100% of the spread."


def test_trials_whose_cores_were_placed_otherwise_are_told_apart(tmp_path):
    """Three trials at 60, 61 and 62 images/s, two at 49: quartiles 49 and 61 of all, 60.5 and 61.5 of the three."""
    rates = {0: (60.0, 230.0), 1: (49.0, 580.0), 2: (61.0, 232.0), 3: (49.0, 583.0), 4: (62.0, 231.0)}
    speeds = {seed: {**_speed(rate, 50.0), "hand_over_ns": ns} for seed, (rate, ns) in rates.items()}
    lines = of_runs([_run(tmp_path / "r", {**speeds, 5: _speed(60.0, 50.0)})])  # the sixth did not measure it
    assert lines[1] == "images/s: quartiles 51.8 and 60.8, median 60.0; apart by 15.0%"
    assert lines[4] == (
        "images/s of the 3 of 5 trials with a hand-over near 232 ns: quartiles 60.5 and 61.5, median 61.0; "
        "apart by 1.6%, 92% less"
    )


def test_a_cell_without_four_undisturbed_trials_has_no_drift(tmp_path):
    few = _run(tmp_path / "few", {seed: _speed(10.0, 50.0, "other work" if seed else None) for seed in range(6)})
    with pytest.raises(UsageError, match="four undisturbed trials"):
        of_runs([few])
