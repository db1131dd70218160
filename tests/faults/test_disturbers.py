"""A real trial that is stopped, loses a core, and gets a busy process beside it: what its record says of each."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import results

PROJECT = Path(__file__).resolve().parents[2]
WINDOW, STEPS = 15, 165
SETTINGS = (
    "train.epochs=1", f"train.steps_per_epoch={STEPS}", "train.batch_size=4", f"eval.window_steps={WINDOW}",
    "data.size=64", "data.crop=64", "data.train_limit=8", "data.val_limit=2", "data.test_limit=2", "eval.pictures=0",
    "model.backbone=resnet18", "model.separable=false", "model.aspp_channels=16", "model.decoder_channels=16",
)  # fmt: skip
STOPPED = 1.5
FIRST, SECOND = 22, 90  # steps at which the trial is stopped

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2, reason="it takes a core away from two"
)


def _give(process: int, cores: set[int]) -> None:
    """Let all threads of a process use these cores."""
    for thread in os.listdir(f"/proc/{process}/task"):
        os.sched_setaffinity(int(thread), cores)


def _after(trial: subprocess.Popen, step: int) -> None:
    """Wait until the trial says that it did so many steps."""
    for line in trial.stdout:
        if (found := re.search(r"step (\d+)", line)) and int(found[1]) >= step:
            return
    raise AssertionError("the trial ended before")


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    """The throughput of a trial: stopped and left with one core; stopped again, and both cores beside a busy process.

    All is arranged while the trial is stopped, so that it meets every disturber however slow this test is.
    """
    out = tmp_path_factory.mktemp("disturbed") / "trial"
    command = [sys.executable, "-u", PROJECT / "tests/faults/thin.py", "tiny", json.dumps(
        ["--out", str(out), *(part for setting in SETTINGS for part in ("--set", setting))]
    )]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    both = set(sorted(os.sched_getaffinity(0))[:2])
    started: list[subprocess.Popen] = []
    try:
        trial = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, both),
        )  # fmt: skip
        started.append(trial)
        for step, cores in ((FIRST, {min(both)}), (SECOND, both)):
            _after(trial, step)
            trial.send_signal(signal.SIGSTOP)
            time.sleep(STOPPED)
            _give(trial.pid, cores)
            if cores == both:
                started.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            trial.send_signal(signal.SIGCONT)
        trial.stdout.read()
        assert trial.wait(timeout=300) == 0
    finally:
        for process in started:
            process.kill()
            process.wait()
    return results.read(out).throughput


def test_each_stop_is_told_by_the_window_that_it_met(disturbed):
    stopped = [state for state in disturbed.states if state.stood_still_s]
    assert len(stopped) == 2
    for state in stopped:
        assert re.fullmatch(r"the process was stopped \(for \d\.\d s\)", state.disturbed)
        assert STOPPED * 0.9 <= state.stood_still_s <= state.seconds


def test_windows_with_one_core_of_two_are_told(disturbed):
    first, second = (place for place, state in enumerate(disturbed.states) if state.stood_still_s)
    between = disturbed.states[first + 1 : second]
    assert len(between) >= 3
    assert {state.cores for state in between} == {1}
    assert {state.disturbed for state in between} == {"the trial's cores changed (from 2 to 1)"}


def test_windows_beside_a_busy_process_are_told(disturbed):
    """Two cores, of which a busy process takes a quarter at least, whatever else runs."""
    second = [place for place, state in enumerate(disturbed.states) if state.stood_still_s][1]
    beside = disturbed.states[second + 1 :]
    assert len(beside) >= 3
    for state in beside:
        assert state.cores == 2
        assert re.fullmatch(r"other work on this machine \(\d+% of its cores\)", state.disturbed)
        assert state.others > 0.25


def test_the_speed_of_such_a_trial_cannot_be_compared_and_the_record_says_why(disturbed):
    assert len(disturbed.states) == len(disturbed.windows) == STEPS // WINDOW - 1
    assert sum(state.disturbed is None for state in disturbed.states) < 3
    assert not disturbed.comparable
    assert f"the process was stopped (2 of {STEPS // WINDOW - 1} windows, " in disturbed.reason
    assert "the trial's cores changed (" in disturbed.reason
    assert "other work on this machine (" in disturbed.reason
    assert len(disturbed.reference.gflops) == 2
