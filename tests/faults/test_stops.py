"""The command is stopped, by signals and by death, and taken up again: what is kept, and what is recorded."""

import json
import os
import re
import shutil
import signal
import time

import psutil

from tests.faults.driver import LOSSES, Driver, gone, grid, listens_on, started_waiting


def test_a_trial_that_is_recorded_but_does_not_end_counts_as_recorded_and_its_place_is_freed(tmp_path):
    driver = Driver(tmp_path, *grid(), faults={"cross_entropy": "stay", "dice": "stay"})  # one at a time
    driver.wait_for(lambda: any(driver.run.glob("trials/dice-*/log.txt")))
    family = psutil.Process(driver.process.pid).children(recursive=True)
    status, output = driver.end()
    assert status == 0, output
    assert driver.statuses() == dict.fromkeys(LOSSES, "ok")
    # The last lines: who won, the report, what to do next.
    *_, verdict, report, further = output.strip().splitlines()
    assert "has the highest validation mIoU" in verdict
    assert report == "Report: runs/r/report/report.html"
    assert further.startswith("Next: python -m bench.run --resume runs/r --seeds 2"), "one seed decides nothing"
    (log,) = driver.run.glob("trials/cross_entropy-*/log.txt")
    assert "It was complete, but its process had not exited after 1 s and was killed" in log.read_text()
    gone(family)


def test_a_stopped_run_keeps_what_is_done_records_what_ran_and_leaves_what_had_not_begun_again(tmp_path):
    faults = {"dice": "raise", "focal": "raise"}
    status, output = Driver(tmp_path, *grid(), faults=faults).end()
    assert status == 4, output
    left = {path: path.read_bytes() for path in tmp_path.glob("runs/r/trials/focal-*/*") if path.is_file()}
    assert {path.name for path in left} >= {"record.json", "log.txt"}

    for signals in ([signal.SIGTERM], [signal.SIGINT, signal.SIGINT]):
        again = Driver(tmp_path, "--resume", "runs/r", faults={**faults, "dice": "wait"})
        again.wait_for(lambda run=again: "dice" not in run.statuses())  # its turn: focal's has not come
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


def test_a_killed_driver_loses_what_ran_and_is_resumed(tmp_path):
    driver = Driver(tmp_path, *grid(), faults={"dice": "wait"})
    driver.wait_for(lambda: started_waiting(driver))
    second = Driver(tmp_path, "--resume", "runs/r")
    status, output = second.end()
    assert (status, output.count("\n")) == (2, 1)
    assert "is being written by another process" in output
    family = psutil.Process(driver.process.pid).children(recursive=True)
    assert {address for process in family for address in listens_on(process)} == {"127.0.0.1"}
    driver.process.send_signal(signal.SIGKILL)
    driver.end()
    gone(family)
    assert driver.statuses() == {"cross_entropy": "ok"}
    (kept,) = driver.run.glob("trials/cross_entropy-*/record.json")
    before = kept.read_bytes()

    status, output = Driver(tmp_path, "--resume", "runs/r", faults={}).end()
    assert status == 0, output
    assert "1 of 3 trials are complete and kept" in output
    assert driver.statuses() == dict.fromkeys(LOSSES, "ok")
    assert kept.read_bytes() == before

    # A record cut off, as no crash of ours leaves it, but a disk may; one that other code made; no place for a report.
    kept.write_bytes(before[: len(before) // 2])
    (other,) = driver.run.glob("trials/dice-*/record.json")
    other.write_bytes(re.sub(rb'"code": "\w+"', b'"code": "0123456789ab"', other.read_bytes()))
    status, output = Driver(tmp_path, "--resume", "runs/r", "--seeds", 2).end()
    assert status == 2
    assert "1 complete trials were made by other code, versions or data (code 0123456789ab -> " in output
    shutil.rmtree(driver.run / "report")
    (driver.run / "report").write_text("a file in its place")
    status, output = Driver(tmp_path, "--resume", "runs/r", "--seeds", 2, "--changed", "redo").end()
    assert status == 4, output
    assert "No report: FileExistsError" in output or "No report: NotADirectoryError" in output
    assert "All records are kept" in output
    assert "1 of 6 trials are complete and kept" in output
    assert json.loads((driver.run / "run.json").read_text())["command"].endswith(
        "--name r && python -m bench.run --resume runs/r --seeds 2"
    )
    assert driver.statuses() == dict.fromkeys(LOSSES, "ok")
    assert len(list(driver.run.glob("trials/*/record.json"))) == 6
    assert len(list(driver.run.glob("replaced/*/dice-*/record.json"))) == 1
