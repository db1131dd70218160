"""The command is stopped, by signals and by death, and taken up again: what is kept, and what is recorded."""

import json
import os
import re
import shutil
import signal
import time

import psutil
import pytest

from bench import run
from tests.commands.here import call
from tests.faults.driver import LOSSES, Driver, gone, grid, listens_on


@pytest.fixture(scope="module")
def incomplete(tmp_path_factory):
    """The folder of a run of which cross-entropy is done; Dice and focal failed."""
    home = tmp_path_factory.mktemp("incomplete")
    status, output = Driver(home, *grid(), faults={"dice": "raise", "focal": "raise"}).end()
    assert status == 4, output
    return home


@pytest.fixture
def home(incomplete, tmp_path):
    """A copy of that folder."""
    shutil.copytree(incomplete, tmp_path, dirs_exist_ok=True)
    return tmp_path


def dice_runs(driver):
    """Its turn has come, and focal's has not: the record of its failure is gone."""
    return "dice" not in driver.statuses()


def test_a_stopped_run_keeps_what_is_done_records_what_ran_and_leaves_what_had_not_begun_again(home):
    left = {path: path.read_bytes() for path in home.glob("runs/r/trials/focal-*/*") if path.is_file()}
    assert {path.name for path in left} >= {"record.json", "log.txt"}

    for signals in ([signal.SIGTERM], [signal.SIGINT, signal.SIGINT]):
        again = Driver(home, "--resume", "runs/r", faults={"dice": "wait", "focal": "raise"})
        again.wait_for(lambda driver=again: dice_runs(driver))
        family = psutil.Process(again.process.pid).children(recursive=True)
        for number in signals:
            os.killpg(again.process.pid, number)
            time.sleep(0.1)
        status, output = again.end()
        assert status == 130, output
        assert again.statuses() == {"cross_entropy": "ok", "dice": "interrupted", "focal": "crashed"}
        assert {path: path.read_bytes() for path in left} == left
        assert json.loads((again.run / "run.json").read_text())["status"] == "interrupted"
        assert "--resume runs/r" in output
        if len(signals) == 1:  # a second one ends the process at once
            *_, report, further = output.strip().splitlines()
            assert report == "Report: runs/r/report/report.html"
            assert further == "Next: python -m bench.run --resume runs/r"
            assert "cross_entropy has the highest validation mIoU" in output
            assert (again.run / "report" / "report.html").is_file()
        gone(family)


def test_a_killed_driver_loses_what_ran_and_is_resumed(home, monkeypatch, capsys):
    driver = Driver(home, "--resume", "runs/r", faults={"dice": "wait"})
    driver.wait_for(lambda: dice_runs(driver))
    status, _, told = call(run.main, "--resume", "runs/r", cwd=home, patch=monkeypatch, capsys=capsys)
    assert (status, told.count("\n")) == (2, 1)
    assert "is being written by another process" in told
    family = psutil.Process(driver.process.pid).children(recursive=True)
    assert {address for process in family for address in listens_on(process)} == {"127.0.0.1"}
    driver.process.send_signal(signal.SIGKILL)
    driver.end()
    gone(family)
    assert driver.statuses() == {"cross_entropy": "ok", "focal": "crashed"}
    (kept,) = driver.run.glob("trials/cross_entropy-*/record.json")
    before = kept.read_bytes()

    status, output = Driver(home, "--resume", "runs/r", faults={}).end()
    assert status == 0, output
    assert "1 of 3 trials are complete and kept" in output
    assert "Last result" not in output, "Tune prints nothing of its own"
    # The last lines: who won, the report, what to do next.
    *_, verdict, report, further = output.strip().splitlines()
    assert "has the highest validation mIoU" in verdict
    assert report == "Report: runs/r/report/report.html"
    assert further.startswith("Next: python -m bench.run --resume runs/r --seeds 2"), "one seed decides nothing"
    assert driver.statuses() == dict.fromkeys(LOSSES, "ok")
    assert kept.read_bytes() == before

    # A record cut off, as no crash of ours leaves it, but a disk may; one that other code made; no place for a report.
    kept.write_bytes(before[: len(before) // 2])
    (other,) = driver.run.glob("trials/dice-*/record.json")
    other.write_bytes(re.sub(rb'"code": "\w+"', b'"code": "0123456789ab"', other.read_bytes()))
    status, _, told = call(run.main, "--resume", "runs/r", cwd=home, patch=monkeypatch, capsys=capsys)
    assert status == 2
    assert "1 complete trial was made by other code, versions or data (code 0123456789ab -> " in told
    shutil.rmtree(driver.run / "report")
    (driver.run / "report").write_text("a file in its place")
    status, output = Driver(home, "--resume", "runs/r", "--changed", "redo").end()
    assert status == 4, output
    assert "No report: FileExistsError" in output or "No report: NotADirectoryError" in output
    assert "All records are kept" in output
    assert "1 of 3 trials are complete and kept" in output
    assert driver.statuses() == dict.fromkeys(LOSSES, "ok")
    assert len(list(driver.run.glob("replaced/*/dice-*/record.json"))) == 1
