"""A run in a bucket on a cluster whose node has files of its own: nothing but the bucket is shared. Slow."""

import shutil

import pytest

from bench.storage import Address, Store
from tests.faults.driver import HERE, Driver, grid
from tests.storage.test_data import make_set
from tests.storage.test_data import upload as upload_set


@pytest.mark.slow
def test_a_node_with_files_of_its_own_runs_trials_and_a_lost_worker_goes_on(store, tmp_path, monkeypatch):
    from ray.cluster_utils import Cluster

    runs, root = f"s3://{store.bucket}/runs", f"s3://{store.bucket}/mine"
    upload_set(make_set(tmp_path / "mine"), root)
    monkeypatch.delenv("SEGMENTATION_BENCH_CACHE")  # the command would pass it on
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("FAULTS", str(tmp_path / "faults.json"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "node"))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    cluster.add_node(num_cpus=2)
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "command"))
        address = ("--address", cluster.address)
        faults = {"dice": "kill once", "focal": "raise"}
        driver = Driver(tmp_path, *grid("--out", runs, "--data-root", root, "--retries", 1, *address), faults=faults)
        code, output = driver.end()
        assert code == 4, output
        assert "its node or its worker was lost" in output
        assert "1 of 3 trials failed" in output
        there = Store(Address.of(f"{runs}/r"))
        records = [name for name in there.listed() if name.endswith("/record.json")]
        assert len(records) == 3
        spool = f"segmentation-bench/spool/s3-{store.bucket}/runs/r"
        assert len([*(tmp_path / "node" / spool).glob("trials/*/log.txt")]) == 3, "the trials ran there"
        assert len([*(tmp_path / "command" / spool).glob("trials/*/record.json")]) == 3, "and the command has them"
        assert not [name for name in there.listed() if name.startswith(".tune")]
        brought = [request for request in store.requests if request.startswith("GET") and "/mine/images/" in request]
        assert len(brought) == 2 * 6, "the command brought the data set, and so did the other machine, once"
        shutil.rmtree(tmp_path / "command")  # as if the command went on elsewhere
        code, output = Driver(tmp_path, "--resume", f"{runs}/r", *address, faults={}).end()
        assert code == 0, output
        assert "2 of 3 trials are complete and kept" in output
    finally:
        cluster.shutdown()


@pytest.mark.slow
def test_a_token_that_expires_stops_the_run_and_what_was_done_is_uploaded_later(store, tmp_path, monkeypatch, capsys):
    from bench import upload
    from tests.commands.here import call
    from tests.storage.server import Fault

    runs = f"s3://{store.bucket}/runs"
    with store.answering(Fault(r"PUT.*/trials/.*(log.txt|record.json)", "ExpiredToken")):
        code, output = Driver(tmp_path, *grid("--out", runs), faults={}).end()
    assert code == 4, output
    (stopped,) = (line for line in output.splitlines() if line.startswith("Stopped: "))
    assert "the credentials have expired; get new ones" in stopped
    folder = stopped.partition("bench.upload ")[2]
    there = Store(Address.of(f"{runs}/r"))
    assert not [name for name in there.listed() if name.endswith("record.json")]
    code, _, error = call(upload.main, folder, cwd=tmp_path, patch=monkeypatch, capsys=capsys)
    assert code == 0, error
    assert len([name for name in there.listed() if name.endswith("record.json")]) == 1
    code, output = Driver(tmp_path, "--resume", f"{runs}/r", faults={}).end()
    assert code == 0, output
    assert "1 of 3 trials are complete and kept" in output
