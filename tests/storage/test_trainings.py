"""A real training whose data and run are in a bucket: killed on one machine, finished on another. Slow."""

import shutil
from pathlib import Path

import pytest

import results
from bench.core import CHECKPOINT_FILE, WEIGHTS_FILE
from bench.prediction import checkpoint_of, choose_trial
from bench.storage import Address, Store, bring_rest, brought
from tests.faults.driver import Driver
from tests.faults.test_kill import TINY, _worker
from tests.storage.test_data import make_set, upload

SETTINGS = [word for word in TINY if word not in ("--out", "runs")]


@pytest.mark.slow
def test_a_training_that_is_killed_is_finished_elsewhere_from_the_bucket_alone(store, tmp_path):
    root, runs = f"s3://{store.bucket}/sets/mine", f"s3://{store.bucket}/runs"
    upload(make_set(tmp_path / "mine", number=12, side=64), root)
    store.requests.clear()
    arguments = ("--data-root", root, "--grid", "losses", "--only", "loss=dice", *SETTINGS, "--out", runs)
    driver = Driver(tmp_path, *arguments, "--set", "train.epochs=12", module="thin_run")
    there = Store(Address.of(f"{runs}/r"))
    spool = tmp_path / "cache" / "spool" / f"s3-{store.bucket}" / "runs" / "r"
    log = driver.wait_for(lambda: next(iter(spool.glob("trials/dice-*/log.txt")), None))
    process = driver.wait_for(lambda: _worker(driver.process, log))
    trial = f"trials/{log.parent.name}"
    driver.wait_for(lambda: f"{trial}/{CHECKPOINT_FILE}" in there.listed(trial))
    process.kill()
    code, output = driver.end()
    assert code == 4, output
    gets = [request for request in store.requests if request.startswith("GET") and "/sets/mine/" in request]
    assert len(gets) == 24, "the command brought each file once, and the trial took the copy"

    shutil.rmtree(tmp_path / "cache")  # from here on it is another machine
    store.requests.clear()
    code, output = Driver(tmp_path, "--resume", f"{runs}/r", module="thin_run").end()
    assert code == 0, output
    assert f"Next: python -m bench.predict {runs}/r --trial {log.parent.name}" in output
    found = choose_trial(brought(Path(f"{runs}/r")), None)
    assert found.record.status == "ok"
    assert found.record.environment["attempt"] == 2
    assert 1 <= found.record.environment["resumed_after_epoch"] < 12
    assert len(found.record.history) == 12
    assert f"{trial}/{CHECKPOINT_FILE}" not in there.listed()
    assert not (found.folder / WEIGHTS_FILE).exists(), "weights are brought for who asks for them"
    bring_rest(found.folder)
    assert checkpoint_of(found).is_file()
    assert all(results.artefact_path(found, one).is_file() for one in found.record.artefacts)
