"""Which windows were disturbed, by what, and what the throughput of a trial says of it; every number by hand."""

import dataclasses

import pytest

from bench.spec import TrialSpec
from bench.trial import disturbances
from bench.trial.machine_watch import Sample
from bench.trial.monitor import TrainingHistory
from bench.trial.throughput import throughput
from results import WindowState

START = Sample(wall=10, own=100, busy=1000, steal=5, throttled=2, cores=2, free=0, stood_still=0)
QUIET = {"seconds": 2.0, "own": 0.9, "others": 0.01, "steal": 0.0, "throttled": 0.0, "stood_still_s": 0.0, "cores": 2}


def after(seconds=2.0, own=3.6, others=0.0, **changes):
    """The sample behind a window from START on, in which the trial and others used so many CPU seconds."""
    moved = dataclasses.replace(START, wall=10 + seconds, own=100 + own, busy=1000 + own + others)
    return dataclasses.replace(moved, **changes)


def said(*changes, **options):
    """What disturbed each window; every change is made to a quiet one."""
    found = disturbances.find([WindowState(**{**QUIET, **change}) for change in changes], **options)
    return [one and str(one) for one in found]


def test_the_shares_of_a_window_are_of_its_seconds_times_its_cores():
    """Two cores for two seconds are four: 3.6 of them the trial's own, 0.4 others', 0.2 stolen, 0.1 withheld."""
    state = disturbances.between(START, after(others=0.4, steal=5.2, throttled=2.1))
    assert {name: round(value, 9) for name, value in state.items() if name not in ("gpus", "hand_over_ns")} == {
        "seconds": 2, "own": 0.9, "others": 0.1, "steal": 0.05, "throttled": 0.025, "stood_still_s": 0, "cores": 2
    }  # fmt: skip
    assert WindowState(**state).disturbed is None


def test_children_of_the_trial_are_its_own_and_rounding_is_no_negative_work():
    assert disturbances.between(START, after(own=3.6, others=-0.03))["others"] == 0


def test_work_on_cores_that_the_trial_leaves_free_takes_nothing_from_it():
    """A trial with 2 threads on 8 cores: others may use 6 for 2 s; of 13 CPU seconds one is on its own cores."""
    start, end = (dataclasses.replace(one, free=6) for one in (START, after(others=13)))
    assert disturbances.between(start, end)["others"] == pytest.approx(1 / 4)
    assert disturbances.between(start, dataclasses.replace(end, busy=1015.6))["others"] == pytest.approx(0, abs=1e-9)
    eager = dataclasses.replace(after(own=5, others=12), free=6)  # its helpers use one of these: 11 are left to others
    assert disturbances.between(start, eager)["others"] == pytest.approx(1 / 4)


@pytest.mark.parametrize("changes", [{"busy": None}, {"busy": 1000.0}])
def test_a_system_that_does_not_count_the_trial_says_nothing_of_others(changes):
    """/proc/stat cannot be read; or it stood still although the trial worked, as in some containers."""
    state = disturbances.between(START, after(**changes))
    assert (state["others"], state["own"]) == (None, pytest.approx(0.9))
    assert said({"others": None}) == [
        "what else ran on this machine is unknown (the system does not report the time of its cores)"
    ]


def test_others_may_take_a_twentieth_of_the_cores_and_what_the_clock_cannot_resolve():
    """In a window of 2 s the limit is 5 % and 0.02 s / 2 s; in one of 0.1 s it is 5 % and 20 %."""
    assert said({"others": 0.059}, {"others": 0.061}) == [None, "other work on this machine (6% of its cores)"]
    short = {"seconds": 0.1}
    assert said({**short, "others": 0.24}, {**short, "others": 0.26})[0] is None
    assert said({**short, "others": 0.26}) == ["other work on this machine (26% of its cores)"]


def test_others_hypervisor_and_quota_are_added_and_the_largest_is_named():
    part = {"others": 0.03, "steal": 0.025, "throttled": 0.02}
    assert said(part) == ["other work on this machine (3% of its cores)"]
    assert said({**part, "steal": 0.2}) == ["other machines on the same host (20% of its cores)"]
    assert said({**part, "throttled": 0.3}) == ["a CPU quota (30% of its cores)"]
    assert said({"others": None, "steal": None, "throttled": 0.3}) == ["a CPU quota (30% of its cores)"]


def test_a_process_that_stood_still_or_lost_a_core_was_disturbed():
    assert said({"stood_still_s": 3.14}) == ["the process was stopped (for 3.1 s)"]
    assert said({}, {"cores": 1}, {}) == [None, "the trial's cores changed (from 2 to 1)", None]
    assert said({"cores": 1}, cores=2) == ["the trial's cores changed (from 2 to 1)"], "before the first window ended"


def test_a_reference_that_moved_disturbs_every_window():
    assert said({}, {}, reference=[80, 73]) == [None, None]
    (one, two) = said({}, {"stood_still_s": 2}, reference=[80, 60])
    assert one == "the machine changed its speed (the reference moved from 80 to 60 GFLOP/s)"
    assert two == "the process was stopped (for 2.0 s)", "what is known of a window is said of it"
    assert said({}, reference=[80, 60, 80]) == [
        "the machine changed its speed (the reference moved between 60 and 80 GFLOP/s)"
    ]
    assert said({}, reference=[80]) == [None]


def test_a_window_whose_cores_were_placed_otherwise_than_in_most_is_disturbed():
    """230 ns is the usual time, the lower of the two in the middle; 345 is 1.5 times of it, and 346 is more."""
    near, far = {"hand_over_ns": [230, 230]}, {"hand_over_ns": [580, 590]}
    moved = "the cores of this machine were placed otherwise ({} ns for a hand-over, mostly 230 ns)".format
    assert said(near, far, near, far) == [None, moved(590), None, moved(590)]
    assert said(near, {"hand_over_ns": [230, 580]}, near)[1] == moved(580), "they moved within the window"
    assert said({"hand_over_ns": [230, 345]}, {"hand_over_ns": [230]}) == [None, None]
    assert said({"hand_over_ns": [230, 346]}, {"hand_over_ns": [230]}) == [moved(346), None]
    assert said({}, {"hand_over_ns": [None]}, far, far) == [None] * 4, "nothing is said of what is not known"
    assert said({**far, "others": 0.4}, near, near)[0] == "other work on this machine (40% of its cores)"


def test_a_window_has_the_hand_over_at_its_edges():
    start = dataclasses.replace(START, hand_over_ns=231.0)
    assert disturbances.between(start, after(hand_over_ns=590.0))["hand_over_ns"] == [231, 590]
    assert disturbances.between(start, after())["hand_over_ns"] == [231]
    assert disturbances.between(START, after())["hand_over_ns"] == []


def test_gpus_have_to_tell_that_they_are_the_trial_s_alone():
    alone = {"clock_mhz": 1980, "temperature_c": 50, "power_limit_w": 700, "other_processes": 0}
    found = said(
        {"gpus": [alone]},
        {"gpus": [{**alone, "clock_mhz": 1900}]},
        {"gpus": [{**alone, "other_processes": 2}]},
        {"gpus": [{**alone, "power_limit_w": 500}]},
        {"gpus": [{}]},
    )
    assert found == [
        None,
        None,
        "other work on a GPU (2 more processes)",
        "a GPU's power limit changed (from 700 to 500 W)",
        "what else ran on a GPU is unknown (NVML names no process)",
    ]


def speed(rates, *states, references=(), **options):
    """The throughput of a trial with these windows; states that are not given are quiet."""
    whole = [*states, *[{}] * (len(rates) - len(states))]
    history = TrainingHistory(
        windows=list(rates),
        states=[{**QUIET, **state} for state in whole],
        references=[{"gflops": value, "convolution": value, "product": value} for value in references],
    )
    return throughput(TrialSpec(), history, None, options.get("shared", False), options.get("cores"))


BUSY = {"others": 0.4}


def test_disturbed_windows_are_left_out_of_the_median():
    """Four windows at 101 images/s are left; with the four others the median would be 78."""
    rates = [101.0, 50.0, 101.0, 50.0, 101.0, 55.0, 101.0, 55.0]
    found = speed(rates, {}, BUSY, {}, BUSY, {}, BUSY, {}, {"stood_still_s": 2.0})
    assert (found["images_per_second"], found["comparable"], found["reason"]) == (101, True, None)
    told = [state.disturbed for state in found["states"]]
    assert told == [None, work := "other work on this machine (40% of its cores)", None, work, None, work, None, (
        "the process was stopped (for 2.0 s)"
    )]  # fmt: skip
    assert found["windows"] == rates, "they stay in the record"


def test_the_speed_is_that_of_the_placement_of_most_windows():
    """Four windows with the cores near each other at 61 images/s, three with them apart at 49."""
    near, far = {"hand_over_ns": [230.0, 232.0]}, {"hand_over_ns": [580.0, 582.0]}
    found = speed([61.0, 61.0, 49.0, 49.0, 49.0, 61.0, 61.0], near, near, far, far, far, near, near)
    assert (found["images_per_second"], found["comparable"], found["hand_over_ns"]) == (61, True, 230)
    found = speed([61.0, 61.0, 49.0, 49.0], near, near, far, far)
    assert found["comparable"] is False
    assert found["reason"] == (
        "the cores of this machine were placed otherwise (2 of 4 windows, 582 ns for a hand-over, mostly 232 ns)"
    )
    assert speed([61.0] * 4)["hand_over_ns"] is None


def test_with_fewer_than_three_windows_left_the_speed_cannot_be_compared():
    found = speed([50.0, 48.0, 100.0, 101.0, 47.0], BUSY, {"others": 0.2}, {}, {}, {"stood_still_s": 3.0})
    assert found["comparable"] is False
    assert found["reason"] == (
        "other work on this machine (2 of 5 windows, up to 40% of its cores); "
        "the process was stopped (1 of 5 windows, for 3.0 s)"
    )
    assert found["images_per_second"] is not None, "what was measured is shown all the same"


def test_what_was_not_disturbed_still_has_to_settle():
    found = speed([10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 50.0], *[{}] * 6, BUSY)
    assert found["reason"] == "the rate had not settled after 6 windows of 10 steps"


def test_speed_relative_to_the_reference_carries_over_the_drift_of_the_machine():
    """100 images/s beside 50 GFLOP/s are 200 images per 100 GFLOP, and so are 90 beside 45."""
    fast, slow = speed([100.0] * 4, references=[50, 50]), speed([90.0] * 4, references=[46, 44])
    assert fast["images_per_100_gflop"] == slow["images_per_100_gflop"] == pytest.approx(200)
    assert (fast["comparable"], slow["comparable"]) == (True, True)
    assert fast["reference"].gflops == [50, 50]
    assert speed([100.0] * 4)["images_per_100_gflop"] is None


def test_a_reference_that_moved_is_the_reason():
    found = speed([100.0] * 4, references=[80, 60])
    assert found["comparable"] is False
    assert found["reason"] == (
        "the machine changed its speed (4 of 4 windows, the reference moved from 80 to 60 GFLOP/s)"
    )
