"""What a record says of throughput."""

import pytest

from bench.spec import TrialSpec
from bench.trial.monitor import TrainingHistory
from bench.trial.throughput import throughput

STEADY = [20.0, 99.0, 100.0, 101.0, 100.0, 100.0]
QUIET = {"seconds": 1.0, "own": 0.9, "others": 0.0, "steal": 0.0, "stood_still_s": 0.0, "cores": 2}


def _of(windows, resident=None, shared=False):
    history = TrainingHistory(windows=windows, states=[QUIET] * len(windows))
    return throughput(TrialSpec(), history, resident, shared)


def test_the_rate_is_the_median_of_the_steady_windows():
    found = _of(STEADY)
    assert found["images_per_second"] == 100.0
    assert found["windows"] == STEADY
    assert (found["comparable"], found["reason"]) == (True, None)


def test_the_input_share_is_what_resident_data_would_save():
    assert _of(STEADY, resident=125.0)["input_share"] == pytest.approx(0.2)
    assert _of(STEADY, resident=90.0)["input_share"] == 0.0  # faster than resident is noise, not a gain
    assert _of(STEADY)["input_share"] is None


@pytest.mark.parametrize(
    ("windows", "shared", "reason"),
    [
        (STEADY, True, "side by side"),
        ([10.0, 20.0, 40.0, 80.0, 160.0, 320.0], False, "had not settled after 6 windows"),
        ([100.0, 100.0], False, "only 2 steady windows"),
        ([], False, "had not settled after 0 windows"),
    ],
)
def test_what_cannot_be_compared_says_why(windows, shared, reason):
    found = _of(windows, shared=shared)
    assert found["comparable"] is False
    assert reason in found["reason"]
