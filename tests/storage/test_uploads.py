"""The files of a trial of a run in a bucket, after attempts that died, moved or could not upload."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import upload
from bench.core import ATTEMPTS_FILE, CACHE_VARIABLE, CHECKPOINT_FILE
from bench.execution.supervisor import End
from bench.execution.uploads import supervised
from bench.storage import UNSENT, Address, Store, spooled
from bench.storage import store as stores
from tests.commands.here import call
from tests.storage.server import Fault

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(stores, "FIRST_WAIT", 0.01)


@pytest.fixture
def trial(store):
    """The place of a trial in the bucket."""
    return Store(Address.of(f"s3://{store.bucket}/runs/r/trials/a"))


def _job(trial):
    folder = str(spooled(trial.address))
    return {"address": str(trial.address), "payload": {"folder": folder, "code": []}, "log": f"{folder}/log.txt"}


def _attempt(line, complete=True, wait=lambda: None):
    """An attempt: its line, an epoch with its checkpoint, and perhaps the weights and the record."""

    def run(job, emit):
        folder = Path(job["payload"]["folder"])
        with open(folder / ATTEMPTS_FILE, "a") as attempts:
            attempts.write(f"{line}\n")
        run.found = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        run.checkpoint = (folder / CHECKPOINT_FILE).read_bytes() if CHECKPOINT_FILE in run.found else None
        if "record.json" in run.found:
            return End("returned")
        (folder / CHECKPOINT_FILE).write_bytes(line.encode())
        Path(job["log"]).write_text("epoch 1\n")
        emit({"event": "epoch"})
        wait()
        if not complete:
            return End("died", "killed", "SIGKILL")
        (folder / "model.weights.h5").write_bytes(b"weights")
        (folder / "record.json").write_text("{}")
        (folder / CHECKPOINT_FILE).unlink()
        return End("returned")

    return run


def _elsewhere(monkeypatch, tmp_path):
    """From here on this is another machine."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "elsewhere"))


def _until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def test_the_checkpoint_is_up_while_the_training_goes_on_and_the_next_attempt_gets_the_newest(
    store, trial, tmp_path, monkeypatch
):
    def dies(line):
        is_up = lambda: _until(lambda: trial.read(CHECKPOINT_FILE) == line.encode())  # noqa: E731
        attempt = _attempt(line, complete=False, wait=is_up)
        assert supervised(job, attempt, lambda event: None).kind == "died"
        assert sorted(trial.listed()) == [ATTEMPTS_FILE, "log.txt", CHECKPOINT_FILE]
        return attempt.found

    job = _job(trial)
    assert dies("one") == [ATTEMPTS_FILE]
    with monkeypatch.context() as there:
        _elsewhere(there, tmp_path)
        assert dies("two") == [ATTEMPTS_FILE, "log.txt", CHECKPOINT_FILE]
    third = _attempt("three")  # where the first has left an older checkpoint
    assert supervised(job, third, lambda event: None) == End("returned")
    assert third.checkpoint == b"two"
    assert sorted(trial.listed()) == [ATTEMPTS_FILE, "log.txt", "model.weights.h5", "record.json"]
    assert trial.read(ATTEMPTS_FILE) == b"one\ntwo\nthree\n"


def test_what_a_trial_costs_is_three_requests_an_epoch_and_a_few_more_than_it_has_files(store, trial):
    files = (ATTEMPTS_FILE, "spec.json", "log.txt", "model.weights.h5", *(f"pictures/{n}.png" for n in range(18)))

    def run(job, emit):
        folder = Path(job["payload"]["folder"])
        for name in files:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("one\n")
        for epoch in (b"1", b"2"):
            (folder / CHECKPOINT_FILE).write_bytes(epoch)
            emit({"event": "epoch"})
            _until(lambda epoch=epoch: f"PUT {bucket}/{CHECKPOINT_FILE}" in store.requests[number[0] :])
            number[0] = len(store.requests)
        (folder / CHECKPOINT_FILE).unlink()
        (folder / "record.json").write_text("{}")
        return End("returned")

    number, bucket = [0], f"/{trial.address.key}"
    assert supervised(_job(trial), run, lambda event: None) == End("returned")
    # Listings; who else has begun, before and after; attempts and log twice; the checkpoint is looked for and removed,
    # and pyarrow puts an object in its folder's place. In the first epoch there are no attempts to be read.
    expected = (len(files) + 1) + (3 * 2 - 1) + 3 + (1 + 2) + 2 + 3
    assert len(store.requests) == expected == 39, store.requests


def test_an_attempt_that_was_lost_sight_of_writes_nothing_once_another_has_begun(store, trial, tmp_path, monkeypatch):
    def another():
        with monkeypatch.context() as there:
            _elsewhere(there, tmp_path)
            assert supervised(_job(trial), _attempt("two"), lambda event: None).kind == "returned"
        assert trial.read("record.json") == b"{}"
        trial.put_bytes(b"of two", "record.json")

    first = _attempt("one", wait=lambda: (_until(lambda: trial.read(CHECKPOINT_FILE)), another()))
    end = supervised(_job(trial), first, lambda event: None)
    assert (end.kind, "another attempt has begun since: two" in end.message) == ("unsent", True), end
    assert trial.read("record.json") == b"of two"


def test_what_a_store_does_not_take_is_kept_and_uploaded_by_the_command_that_is_named(
    store, trial, tmp_path, monkeypatch, capsys
):
    with store.answering(Fault("PUT", "ExpiredToken")):
        end = supervised(_job(trial), _attempt("one"), lambda event: None)
    here = spooled(trial.address)
    assert end.kind == "unsent"
    assert "the credentials have expired; get new ones" in end.message
    assert end.message.endswith(f"upload it there: python -m bench.upload {here}")
    assert (trial.listed(), (here / UNSENT).exists()) == ({}, True)
    for folder in (here, here.parents[1]):
        code, told, error = call(upload.main, folder, cwd=tmp_path, patch=monkeypatch, capsys=capsys)
        assert (code, told.endswith(": uploaded\n")) == (0, True), error
    assert "record.json" in trial.listed()
    assert not (here / UNSENT).exists()
    code, _, error = call(upload.main, tmp_path, cwd=tmp_path, patch=monkeypatch, capsys=capsys)
    assert (code, error.count("\n")) == (2, 1)


def test_a_worker_that_is_killed_between_two_uploads_leaves_no_record_and_loses_nothing(store, trial, tmp_path):
    """The trial is complete on its machine: the next attempt there uploads it and trains nothing."""
    code = (
        "import json, sys\nfrom bench.execution.uploads import supervised\n"
        "from tests.storage.test_uploads import _attempt\n"
        "supervised(json.loads(sys.argv[1]), _attempt('one'), lambda event: None)\n"
    )
    with store.answering(Fault("PUT.*record.json", "SlowDown", seconds=3600)):
        worker = subprocess.Popen(
            [sys.executable, "-c", code, json.dumps(_job(trial))], cwd=PROJECT, env={**os.environ}
        )
        _until(lambda: any("record.json" in request for request in store.requests))
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert sorted(trial.listed()) == [ATTEMPTS_FILE, "log.txt", "model.weights.h5"]
    again = _attempt("two")
    assert supervised(_job(trial), again, lambda event: None) == End("returned")
    assert "record.json" in again.found
    assert "record.json" in trial.listed()
