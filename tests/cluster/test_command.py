"""`bench.run --address` on a cluster of several nodes, with real processes and trials that train nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import results

FAULTS = Path(__file__).resolve().parents[1] / "faults"


def _command(cluster, cwd, *arguments):
    environment = {**os.environ, "PYTHONPATH": f"{FAULTS.parents[1]}:{FAULTS}"}
    return subprocess.Popen(
        [sys.executable, str(FAULTS / "fault_trials.py"), *arguments, "--address", cluster.address],
        cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def _wait_for(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)


def _records(run):
    return [results.read(path) for path in run.glob("trials/*/record.json")]


def test_a_lost_node_costs_its_trial_and_the_rest_of_the_cluster_finishes_the_run(cluster, faults, tmp_path):
    faults.write_text(json.dumps({"dice": "wait", "focal": "wait"}))
    run = tmp_path / "runs" / "r"
    only = ("--only", "loss=dice,focal", "--preset", "smoke", "--seeds", "1", "--gpus-per-trial", "0")
    driver = _command(cluster, tmp_path, "--grid", "losses", *only, "--name", "r")
    _wait_for(lambda: len(list(run.glob("trials/*/log.txt"))) == 2, driver)  # a trial on each node
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    _wait_for(lambda: _records(run), driver)
    driver.send_signal(signal.SIGINT)
    output = driver.communicate(timeout=120)[0]
    assert driver.returncode == 130, output
    assert f"--resume runs/r --address {cluster.address}" in output
    ends = {(record.status, record.error.kind) for record in _records(run)}
    assert ends == {("crashed", "lost"), ("interrupted", "KeyboardInterrupt")}

    faults.write_text("{}")
    again = _command(cluster, tmp_path, "--resume", str(run))
    output = again.communicate(timeout=120)[0]
    assert again.returncode == 0, output
    assert {record.status for record in _records(run)} == {"ok"}
    assert (run / "report" / "report.md").is_file()
    assert not (run / ".tune").exists()
