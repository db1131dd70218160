"""The real command with trials that train nothing, whose run is in an object store."""

import json

import results
from bench import compare, report, status
from bench.storage import Address, Store
from tests.commands.here import call
from tests.faults.driver import Driver, grid


def test_a_run_in_a_bucket_is_resumed_reported_and_compared_from_there(store, tmp_path, monkeypatch, capsys):
    runs = f"s3://{store.bucket}/some/runs"
    driver = Driver(tmp_path, *grid("--out", runs), faults={"dice": "raise"})
    code, output = driver.end()
    print(output)
    print(store.requests)
    there = Store(Address.of(runs)).listed()
    print(sorted(there))
    assert code == 4, output
