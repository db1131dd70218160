"""The real command with real processes and trials that train nothing: searches, deaths, full and read-only disks."""

import json
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import results
from bench import run
from tests.commands.here import call
from tests.faults.driver import Driver, gone, grid

HERE = Path(__file__).resolve().parent


def _by_label(run):
    return {record.label: record for path in run.glob("trials/*") if (record := results.read(path))}


def test_a_search_gives_every_cell_its_own_rate_and_says_what_it_cost(tmp_path, monkeypatch, capsys):
    grid = "search: {log: [1.0e-4, 1.0e-2, 3], epochs: 1}\naxes: {loss: [cross_entropy, dice]}\n"
    (tmp_path / "tuned.yaml").write_text(grid)
    arguments = ("--grid", "tuned.yaml", "--preset", "smoke", "--seeds", 1, "--gpus-per-trial", 0, "--name", "r")
    driver = Driver(tmp_path, *arguments, faults={"dice": "raise"})
    status, output = driver.end()
    assert status == 4, output
    assert "Incomplete: 3 of 6 trials of the search failed" in output
    assert json.loads((driver.run / "run.json").read_text())["status"] == "incomplete"
    assert not _by_label(driver.run), "no cell is trained before the search has chosen for all"

    (candidate,) = driver.run.glob("search/trials/cross_entropy-*0.0001*/record.json")
    candidate.write_bytes(re.sub(rb'"code": "\w+"', b'"code": "0123456789ab"', candidate.read_bytes()))
    for more, reason in [
        ((), "1 complete trial was made by other code, versions or data (code 0123456789ab -> "),
        (("--changed", "redo", "--grid", "losess"), "did you mean 'losses'"),
    ]:
        status, _, told = call(run.main, "--resume", "runs/r", *more, cwd=tmp_path, patch=monkeypatch, capsys=capsys)
        assert status == 2, told
        assert reason in told
    assert b"0123456789ab" in candidate.read_bytes(), "a command that is refused moves nothing"
    others = {path: path.read_bytes() for path in driver.run.glob("search/trials/cross_entropy-*/record.json")}
    status, output = Driver(tmp_path, "--resume", "runs/r", "--changed", "redo", faults={}).end()
    assert status == 0, output
    assert {path for path, content in others.items() if path.read_bytes() != content} == {candidate}
    assert b"0123456789ab" not in candidate.read_bytes()
    assert len(list(driver.run.glob("search/replaced/*/cross_entropy-*/record.json"))) == 1
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


def test_every_trial_ends_in_a_record(tmp_path):
    """A trial that is recorded but does not end counts as recorded, and its place is freed for the next."""
    faults = {
        "cross_entropy": "stay", "dice": "wait", "focal": "oom", "bce": "kill", "tversky": "raise", "dice_bce": "nan",
        "focal_tversky": "oom elsewhere",
    }  # fmt: skip
    arguments = grid("--stall-timeout", 10, "--on-oom", "shrink", "--max-concurrent", 2, losses=faults)
    driver = Driver(tmp_path, *arguments, faults=faults)
    driver.wait_for(lambda: any(driver.run.glob("trials/bce-*/log.txt")))
    family = psutil.Process(driver.process.pid).children(recursive=True)
    status, output = driver.end()
    assert status == 4, output
    gone(family)
    assert driver.statuses() == {
        "cross_entropy": "ok",
        "dice": "timeout",
        "focal": "oom",
        "focal batch 4": "ok",
        "bce": "crashed",
        "tversky": "crashed",
        "dice_bce": "diverged",
        "focal_tversky": "oom",
        "focal_tversky batch 4": "ok",
    }
    errors = {record.label: record.error for path in driver.run.glob("trials/*") if (record := results.read(path))}
    assert errors["dice"].message == "no sign of life for 10 s"
    assert "in worker" in errors["dice"].detail["log"]  # the stacks
    assert errors["bce"].detail["signal"] == "SIGKILL"
    assert errors["tversky"].message == "RuntimeError: raised in the trial"
    assert "in worker" in errors["tversky"].detail["log"]  # the traceback
    cells = {results.read(path).label: results.read(path).cell for path in driver.run.glob("trials/focal-*")}
    assert len(set(cells.values())) == 2
    (log,) = driver.run.glob("trials/cross_entropy-*/log.txt")
    assert "It was complete, but its process had not exited after 1 s and was killed" in log.read_text()


def _small_disk(tmp_path, option):
    """A command prefix that mounts a tmpfs of 1 MiB over tmp_path/runs, in a mount namespace of its own."""
    (tmp_path / "runs").mkdir()
    script = f'mount -t tmpfs -o size=1m,{option} none {tmp_path / "runs"} && exec "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    return prefix


def test_a_read_only_place_is_refused_before_anything_starts(tmp_path):
    status, output = Driver(tmp_path, *grid(), prefix=_small_disk(tmp_path, "ro")).end()
    assert (status, output.count("\n")) == (2, 1)
    assert "is not a writable folder: Read-only file system" in output


@pytest.mark.parametrize("resumed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_full_disk_stops_the_run_and_spoils_nothing(tmp_path, resumed):
    # In one namespace: the run that fills its disk, what is there then, room again, and the rest.
    again = f"{sys.executable} {HERE / 'fault_trials.py'} --resume runs/r" if resumed else "true"
    script = f"""
"$@"; echo "first $?"
ls runs/r/trials/*/record.json
cp -r runs/r {tmp_path / "kept"}
rm runs/r/trials/*/junk
{again}; echo "second $?"
"""
    faults = {"dice": "fill"}
    prefix = (*_small_disk(tmp_path, "rw"), "env", f"ROOM={tmp_path / 'filled'}", "sh", "-c", script, "sh")
    _, output = Driver(tmp_path, *grid(losses=("cross_entropy", "dice")), faults=faults, prefix=prefix).end()
    first, second = output.split("\nfirst ")
    assert second.startswith("4\n"), output
    assert "can no longer be written: No space left on device" in first.replace("\n", " ")
    assert "1 of 2 trials are complete and kept" in first.replace("\n", " ")
    assert "cross_entropy" in second.splitlines()[1]
    kept = results.read_run(tmp_path / "kept")
    assert [(one.record.label, one.record.status) for one in kept.trials] == [("cross_entropy", "ok")]
    assert {cell["label"] for cell in json.loads((tmp_path / "kept" / "run.json").read_text())["cells"]} == {
        "cross_entropy", "dice",
    }  # fmt: skip
    assert second.rstrip().endswith("second 0"), output
    assert ("1 of 2 trials are complete and kept" in second) == resumed
