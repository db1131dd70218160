"""`bench.run --address` on a cluster of several nodes, with real processes and trials that train nothing."""

import json
import signal

import pytest

import results
from tests.faults.driver import Driver


def _records(run):
    return [results.read(path) for path in run.glob("trials/*/record.json")]


@pytest.mark.slow  # its parts: a lost node in test_schedule.py, a run that is resumed in tests/faults
def test_a_lost_node_costs_its_trial_and_the_rest_of_the_cluster_finishes_the_run(cluster, faults, tmp_path):
    faults.write_text(json.dumps({"dice": "wait", "focal": "wait"}))  # what trials of the nodes do
    address = ("--address", cluster.address)
    only = ("--only", "loss=dice,focal", "--preset", "smoke", "--seeds", "1", "--gpus-per-trial", "0")
    driver = Driver(tmp_path, "--grid", "losses", *only, "--name", "r", *address)
    driver.wait_for(lambda: len(list(driver.run.glob("trials/*/log.txt"))) == 2)  # a trial on each node
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    driver.wait_for(lambda: _records(driver.run))
    driver.wait_for(lambda: any("has left the cluster" in out.read_text() for out in tmp_path.glob("output-*.txt")))
    driver.process.send_signal(signal.SIGINT)
    status, output = driver.end()
    assert status == 130, output
    assert f"once it is back, run there `ray start --address={cluster.address}`" in output.replace("\n", " ")
    assert f"--resume runs/r --address {cluster.address}" in output
    ends = {(record.status, record.error.kind) for record in _records(driver.run)}
    assert ends == {("crashed", "lost"), ("interrupted", "KeyboardInterrupt")}

    faults.write_text("{}")
    status, output = Driver(tmp_path, "--resume", driver.run, *address).end()
    assert status == 0, output
    assert {record.status for record in _records(driver.run)} == {"ok"}
    assert (driver.run / "report" / "report.md").is_file()
    assert not (driver.run / ".tune").exists()
