"""The real command with real processes and trials that train nothing: signals, deaths, full and read-only disks."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import results

HERE = Path(__file__).resolve().parent
LOSSES = ("cross_entropy", "dice", "focal")


class Driver:
    """`bench.run` in a process group of its own, as a terminal would start it."""

    def __init__(self, cwd, *arguments, faults=None, prefix=()):
        if faults is not None:
            (cwd / "faults.json").write_text(json.dumps(faults))
        environment = {**os.environ, "PYTHONPATH": f"{HERE.parents[1]}:{HERE}", "FAULTS": str(cwd / "faults.json")}
        self.run = cwd / "runs" / "r"
        self.process = subprocess.Popen(
            [*prefix, sys.executable, str(HERE / "fault_trials.py"), *map(str, arguments)],
            cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip

    def wait_for(self, condition):
        deadline = time.monotonic() + 120
        while not (found := condition()):
            assert self.process.poll() is None, self.process.stdout.read()
            assert time.monotonic() < deadline, "timed out"
            time.sleep(0.05)
        return found

    def end(self):
        try:
            return self.process.wait(120), self.process.stdout.read()
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)

    def statuses(self):
        found = {}
        for path in self.run.glob("trials/*/record.json"):
            record = results.read(path)
            found[record.label] = record.status
        return found


def _grid(*arguments, losses=LOSSES):
    return (
        "--grid", "losses", "--only", f"loss={','.join(losses)}", "--seeds", 1, "--gpus-per-trial", 0, "--name", "r",
        *arguments,
    )  # fmt: skip


def _started_waiting(driver):
    """Cross-entropy is done and Dice, which waits, has begun."""
    logs = driver.run.glob("trials/dice-*/log.txt")
    return driver.statuses().get("cross_entropy") == "ok" and any(logs)


def _gone(processes):
    """Workers and trials end with the driver; Ray's agents, which hold nothing, look for it for a minute more."""
    deadline = time.monotonic() + 30
    while alive := [p for p in processes if _runs(p)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.1)


def _runs(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE and not process.name().endswith("Agent")
    except psutil.NoSuchProcess:
        return False


def _listens_on(process):
    try:
        connections = process.net_connections()
    except psutil.NoSuchProcess:
        return []
    return [c.laddr.ip.removeprefix("::ffff:") for c in connections if c.status == psutil.CONN_LISTEN]


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT]])
def test_a_stopped_run_keeps_what_is_done_and_records_what_ran(tmp_path, signals):
    driver = Driver(tmp_path, *_grid(), faults={"dice": "wait"})
    driver.wait_for(lambda: _started_waiting(driver))
    family = psutil.Process(driver.process.pid).children(recursive=True)
    for number in signals:
        os.killpg(driver.process.pid, number)
        time.sleep(0.1)
    status, output = driver.end()
    assert status == 130, output
    assert driver.statuses() == {"cross_entropy": "ok", "dice": "interrupted"}
    assert json.loads((driver.run / "run.json").read_text())["status"] == "interrupted"
    assert "--resume runs/r" in output
    _gone(family)


def test_what_a_failed_trial_left_stays_until_it_begins_again(tmp_path):
    faults = {"dice": "raise", "focal": "raise"}
    driver = Driver(tmp_path, *_grid(), faults=faults)
    status, output = driver.end()
    assert status == 4, output
    left = {path: path.read_bytes() for path in driver.run.glob("trials/focal-*/*") if path.is_file()}
    assert {path.name for path in left} >= {"record.json", "log.txt"}

    again = Driver(tmp_path, "--resume", "runs/r", faults={**faults, "dice": "wait"})
    again.wait_for(lambda: "crashed" not in again.statuses().get("dice", ""))  # its turn: focal's has not come
    again.process.send_signal(signal.SIGINT)
    status, output = again.end()
    assert status == 130, output
    assert again.statuses() == {"cross_entropy": "ok", "dice": "interrupted", "focal": "crashed"}
    assert {path: path.read_bytes() for path in left} == left


def test_a_killed_driver_loses_what_ran_and_is_resumed(tmp_path):
    driver = Driver(tmp_path, *_grid(), faults={"dice": "wait"})
    driver.wait_for(lambda: _started_waiting(driver))
    second = Driver(tmp_path, "--resume", "runs/r")
    status, output = second.end()
    assert (status, output.count("\n")) == (2, 1)
    assert "is being written by another process" in output
    family = psutil.Process(driver.process.pid).children(recursive=True)
    assert {address for process in family for address in _listens_on(process)} == {"127.0.0.1"}
    driver.process.send_signal(signal.SIGKILL)
    driver.end()
    _gone(family)
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
    assert "1 complete trials were made differently (code 0123456789ab -> " in output
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


def _by_label(run):
    return {record.label: record for path in run.glob("trials/*") if (record := results.read(path))}


def test_a_search_gives_every_cell_its_own_rate_and_says_what_it_cost(tmp_path):
    grid = "search: {log: [1.0e-4, 1.0e-2, 3], epochs: 1}\naxes: {loss: [cross_entropy, dice]}\n"
    (tmp_path / "tuned.yaml").write_text(grid)
    arguments = ("--grid", "tuned.yaml", "--preset", "smoke", "--seeds", 1, "--gpus-per-trial", 0, "--name", "r")
    driver = Driver(tmp_path, *arguments, "--max-concurrent", 2)
    status, output = driver.end()
    assert status == 0, output
    records = _by_label(driver.run)
    rates = {label: record.spec["train"]["learning_rate"] for label, record in records.items()}
    assert rates == {"cross_entropy": 1e-3, "dice": 1e-2}
    assert "dice: train.learning_rate 0.01 is at the edge of the search" in output
    tuning = records["dice"].tuning
    assert (tuning["chosen"], tuning["search_steps"], tuning["training_steps"]) == (1e-2, 3 * 15, 2 * 15)
    assert [entry["value"] for entry in tuning["candidates"]] == [1e-4, 1e-3, 1e-2]
    assert {results.read(path).seed for path in driver.run.glob("search/trials/*")} == {1000}
    assert [results.read(path).seed for path in driver.run.glob("trials/*")] == [0, 0]
    cells = {entry["cell"] for entry in json.loads((driver.run / "run.json").read_text())["cells"]}
    assert cells == {record.cell for record in records.values()}

    (candidate,) = driver.run.glob("search/trials/dice-*0.0001*/record.json")
    candidate.write_bytes(re.sub(rb'"code": "\w+"', b'"code": "0123456789ab"', candidate.read_bytes()))
    status, output = Driver(tmp_path, "--resume", "runs/r").end()
    assert status == 2
    assert "1 complete trials were made differently (code 0123456789ab -> " in output
    status, output = Driver(tmp_path, "--resume", "runs/r", "--changed", "redo", "--grid", "losess").end()
    assert status == 2, output
    assert "did you mean 'losses'" in output
    assert b"0123456789ab" in candidate.read_bytes(), "a command that is refused moves nothing"
    (tmp_path / "faults.json").write_text('{"dice": "raise"}')
    status, output = Driver(tmp_path, "--resume", "runs/r", "--changed", "redo").end()
    assert status == 4, output
    assert "Incomplete: 1 of 6 trials of the search failed" in output
    assert {label: record.spec["train"]["learning_rate"] for label, record in _by_label(driver.run).items()} == rates
    assert json.loads((driver.run / "run.json").read_text())["status"] == "incomplete"
    status, output = Driver(tmp_path, "--resume", "runs/r", faults={}).end()
    assert status == 0, output
    assert b"0123456789ab" not in candidate.read_bytes()
    assert len(list(driver.run.glob("search/replaced/*/dice-*/record.json"))) == 1


def test_every_trial_ends_in_a_record(tmp_path):
    faults = {"cross_entropy": "", "dice": "wait", "focal": "oom", "bce": "kill", "tversky": "raise", "dice_bce": "nan"}
    arguments = _grid("--stall-timeout", 2, "--on-oom", "shrink", "--max-concurrent", 2, losses=faults)
    driver = Driver(tmp_path, *arguments, faults=faults)
    status, output = driver.end()
    assert status == 4, output
    assert driver.statuses() == {
        "cross_entropy": "ok",
        "dice": "timeout",
        "focal": "oom",
        "focal batch 4": "ok",
        "bce": "crashed",
        "tversky": "crashed",
        "dice_bce": "diverged",
    }
    errors = {record.label: record.error for path in driver.run.glob("trials/*") if (record := results.read(path))}
    assert errors["dice"].message == "no sign of life for 2 s"
    assert "in worker" in errors["dice"].detail["log"]  # the stacks
    assert errors["bce"].detail["signal"] == "SIGKILL"
    assert errors["tversky"].message == "RuntimeError: raised in the trial"
    assert "in worker" in errors["tversky"].detail["log"]  # the traceback
    cells = {results.read(path).label: results.read(path).cell for path in driver.run.glob("trials/focal*")}
    assert len(set(cells.values())) == 2


def _small_disk(tmp_path, option):
    """A command prefix that mounts a tmpfs of 1 MiB over tmp_path/runs, in a mount namespace of its own."""
    (tmp_path / "runs").mkdir()
    script = f'mount -t tmpfs -o size=1m,{option} none {tmp_path / "runs"} && exec "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    return prefix


def test_a_read_only_place_is_refused_before_anything_starts(tmp_path):
    status, output = Driver(tmp_path, *_grid(), prefix=_small_disk(tmp_path, "ro")).end()
    assert (status, output.count("\n")) == (2, 1)
    assert "is not a writable folder: Read-only file system" in output


def test_a_full_disk_stops_the_run_and_spoils_nothing(tmp_path):
    # In one namespace: the run that fills its disk, what is there then, room again, and the rest.
    script = f"""
"$@"; echo "first $?"
ls runs/r/trials/*/record.json
rm runs/r/trials/*/junk
{sys.executable} {HERE / "fault_trials.py"} --resume runs/r; echo "second $?"
"""
    faults = {"dice": "fill"}
    prefix = (*_small_disk(tmp_path, "rw"), "env", f"ROOM={tmp_path / 'filled'}", "sh", "-c", script, "sh")
    _, output = Driver(tmp_path, *_grid(losses=("cross_entropy", "dice")), faults=faults, prefix=prefix).end()
    first, second = output.split("first ")
    assert second.startswith("4\n"), output
    assert "cannot be written any more: No space left on device" in first.replace("\n", " ")
    assert "cross_entropy" in second.splitlines()[1]
    assert "1 of 2 trials are complete and kept" in second
    assert second.rstrip().endswith("second 0"), output
