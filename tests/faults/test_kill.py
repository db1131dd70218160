"""A real grid with real workers: one is killed, the rest is kept, and --resume runs only what is missing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import results

PROJECT = Path(__file__).resolve().parents[2]
TINY = [
    "--preset", "smoke", "--seeds", "1", "--gpus-per-trial", "0", "--out", "runs", "--name", "r",
    *(x for field in (
        "train.epochs=2", "train.steps_per_epoch=2", "train.batch_size=2", "data.size=64", "data.crop=64",
        "data.train_limit=4", "data.val_limit=3", "data.test_limit=2", "eval.pictures=1", "model.weights=none",
        "model.aspp_channels=16", "model.decoder_channels=16", "eval.window_steps=1",
    ) for x in ("--set", field)),
]  # fmt: skip


def _start(cwd, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(
        [sys.executable, "-m", "bench.run", *arguments],
        cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def _wait_for(condition, process, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        if process.poll() is not None:
            pytest.fail(f"ended early with {process.returncode}: {process.stdout.read()}")
        time.sleep(0.1)
    return pytest.fail("timed out")


def _worker(driver, trial_log):
    """The process that writes a trial's log: its standard output is that file."""
    for process in psutil.Process(driver.pid).children(recursive=True):
        try:
            if os.path.realpath(f"/proc/{process.pid}/fd/1") == str(trial_log.resolve()):
                return process
        except (OSError, psutil.Error):
            continue
    return None


def _records(run):
    return {path.parent.name: path.read_bytes() for path in run.glob("trials/*/record.json")}


def test_a_killed_worker_costs_its_own_trial_only(tmp_path):
    run = tmp_path / "runs" / "r"
    driver = _start(tmp_path, "--grid", "losses", "--only", "loss=cross_entropy,dice", *TINY)
    try:
        log = _wait_for(lambda: next(iter(run.glob("trials/dice-*/log.txt")), None), driver)
        _wait_for(lambda: _worker(driver, log), driver).send_signal(signal.SIGKILL)
        output = driver.communicate(timeout=180)[0]
    finally:
        if driver.poll() is None:
            driver.kill()
    assert driver.returncode == 4, output
    before = _records(run)
    statuses = {
        results.read(path.parent).label: results.read(path.parent).status for path in run.glob("trials/*/record.json")
    }
    assert statuses == {"cross_entropy": "ok", "dice": "crashed"}
    assert "--resume" in output
    assert json.loads((run / "run.json").read_text())["status"] == "incomplete"
    table = results.load(run)
    assert set(table.status) == {"ok", "crashed"}

    again = _start(tmp_path, "--resume", str(run))
    output = again.communicate(timeout=240)[0]
    assert again.returncode == 0, output
    assert "1 of 2 trials are complete and kept" in output
    after = _records(run)
    assert {results.read(run / "trials" / name).status for name in after} == {"ok"}
    kept = [name for name in before if name.startswith("cross_entropy")]
    assert [after[name] for name in kept] == [before[name] for name in kept]
    assert (run / "report" / "report.md").exists()


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path):
    run = tmp_path / "runs" / "r"
    driver = _start(tmp_path, "--grid", "losses", "--only", "loss=cross_entropy,dice", *TINY)
    try:
        _wait_for(lambda: next(iter(run.glob("trials/*/log.txt")), None), driver)
        driver.send_signal(signal.SIGINT)
        output = driver.communicate(timeout=60)[0]
    finally:
        if driver.poll() is None:
            driver.kill()
    assert driver.returncode == 130, output
    assert f"--resume {Path('runs') / 'r'}" in output
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    assert {results.read(run / "trials" / name).status for name in _records(run)} == {"interrupted"}
