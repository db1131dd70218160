import time

import numpy as np
import pytest

from bench.trial import PhaseTimer, throughput
from bench.trial.throughput import steady_windows


def test_inner_phases_are_not_counted_twice():
    timer = PhaseTimer()
    with timer.phase("train"):
        time.sleep(0.02)
        with timer.phase("eval"):
            time.sleep(0.05)
        time.sleep(0.02)
    spent = timer.as_dict()
    assert spent["eval_s"] >= 0.05
    assert 0.04 <= spent["train_s"] < 0.05 + 0.04
    assert spent["total_s"] == pytest.approx(spent["train_s"] + spent["eval_s"], abs=0.01)


def test_a_part_is_measured_inside_its_phase_which_keeps_its_seconds():
    timer = PhaseTimer()
    with timer.phase("init"):
        for _ in range(2):
            with timer.part("data"):
                time.sleep(0.02)
    with timer.part("resident"):
        time.sleep(0.02)
    spent = timer.as_dict()
    assert spent["init_s"] >= timer.of_part("data") >= 0.04
    assert timer.of_part("resident") >= 0.02
    assert spent["total_s"] >= spent["init_s"] + timer.of_part("resident")
    assert timer.of_part("pictures") == 0


def test_moved_seconds_keep_the_total():
    timer = PhaseTimer()
    timer.add("train", 5.0)
    timer.move("train", "compile", 2.0)
    spent = timer.as_dict()
    assert (spent["train_s"], spent["compile_s"]) == (3.0, 2.0)
    assert spent["total_s"] == pytest.approx(5.0, abs=0.1)


@pytest.mark.filterwarnings("error")
def test_warm_up_windows_are_dropped():
    steady = [100.0, 101, 99, 100, 102, 98, 100, 101]
    assert steady_windows([20.0, 60.0, 90.0, *steady]) == steady
    assert steady_windows([2.0, 2.64]) == [2.64]  # one window has no halves to compare, and no warning tells of them


@pytest.mark.parametrize("windows", [5, 11, 40])
def test_noise_of_one_percent_is_a_steady_state(windows):
    rng = np.random.default_rng(0)
    kept = [len(steady_windows(rng.normal(100, 1, windows).tolist())) for _ in range(200)]
    assert min(kept) >= windows // 2


def test_noise_of_eight_percent_is_a_steady_state_most_of_the_time(monkeypatch):
    """As nine windows on a shared machine: by the halves alone more than a quarter of such trials has no rate."""
    rng = np.random.default_rng(1)
    drawn = rng.normal(36, 0.08 * 36, (400, 9)).tolist()
    assert np.mean([bool(steady_windows(rates)) for rates in drawn]) > 0.85
    monkeypatch.setattr(throughput, "ONE_WAY", 1.1)  # every order goes one way then: the halves alone decide
    assert np.mean([bool(steady_windows(rates)) for rates in drawn]) < 0.75


def test_rates_that_sink_have_no_steady_state_for_all_their_noise():
    rng = np.random.default_rng(2)
    sinking = (np.linspace(40, 26, 9) * rng.normal(1, 0.02, (200, 9))).tolist()
    assert max(len(steady_windows(rates)) for rates in sinking) == 0


@pytest.mark.parametrize("rates", [[2.0**-i for i in range(12)], [float(i) for i in range(12)], [], [5.0]])
def test_ever_changing_rates_have_no_steady_state(rates):
    assert steady_windows(rates) == []
