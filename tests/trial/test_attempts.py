"""Only the last attempt at a trial writes: an earlier one may go on where the cluster does not see it."""

import contextlib
import os
import platform
import time
from types import SimpleNamespace

import pytest

import results
from bench.core import ATTEMPTS_FILE
from bench.plan import single
from bench.trial import entry, trial
from bench.trial.attempts import Attempt, TakenOver, begin
from bench.trial.facts import Facts
from bench.trial.hosts import Hosts
from bench.trial.monitor import TrainingHistory
from bench.trial.resume import CheckpointKeeper, write_checkpoint


def test_attempts_are_counted_and_the_last_one_goes_on(tmp_path):
    first = begin(tmp_path)
    first.check()
    assert (first.number, first.line.split()[1:]) == (1, [platform.node(), str(os.getpid())])
    with open(tmp_path / ATTEMPTS_FILE, "a") as file:
        file.write("2026-01-01T00:00:00+00:00 elsewhere 7\n")
    with pytest.raises(TakenOver, match=r"another attempt has begun since: 2026-01-01T00:00:00\+00:00 elsewhere 7"):
        first.check()
    third = begin(tmp_path)
    third.check()
    assert third.number == 3


def test_an_attempt_whose_file_is_gone_goes_on_until_another_begins(tmp_path):
    """A run that is resumed without a checkpoint begins the file anew."""
    first = begin(tmp_path)
    (tmp_path / ATTEMPTS_FILE).unlink()
    first.check()
    (tmp_path / ATTEMPTS_FILE).write_text("2026-01-01T00:00:00+00:00 elsewhere 7\n")
    with pytest.raises(TakenOver):
        first.check()


def test_what_an_earlier_attempt_completed_is_not_trained_again(tmp_path):
    spec = single([], "smoke", "float32")
    names = {"trial": "t", "label": "l", "axes": {}}
    done = results.Record(**names, cell=spec.cell, seed=0, status="ok", spec=spec.model_dump(mode="json"))
    kept = results.write(tmp_path, done).read_bytes()
    payload = names | {"spec": done.spec, "folder": str(tmp_path), "cpus": None, "shared": False, "tuning": None}
    told = []
    entry.worker(payload | {"code": []}, told.append)
    assert told == [{"event": "result", "step": 0}]
    assert (tmp_path / "record.json").read_bytes() == kept


def test_a_trial_that_was_taken_over_writes_neither_checkpoint_nor_record(tmp_path):
    spec = single(["data.dataset=folder", f"data.root={tmp_path / 'nowhere'}"], "smoke", "float32")
    mine = begin(tmp_path)
    assert trial.run(spec, tmp_path, attempt=mine).status == "invalid"
    (tmp_path / "record.json").unlink()
    later = Attempt(2, mine.file, "2026-01-01T00:00:00+00:00 elsewhere 7")
    mine.file.write_text(f"{mine.line}\n{later.line}\n")
    with pytest.raises(TakenOver):
        trial.run(spec, tmp_path, attempt=mine)
    with pytest.raises(TakenOver):
        write_checkpoint(None, None, tmp_path, Facts(check=mine.check))
    assert [path.name for path in tmp_path.iterdir()] == [ATTEMPTS_FILE]


def test_a_slow_storage_is_spared_but_for_the_last_epoch_and_for_several_hosts(tmp_path):
    """Whether a write is begun is seen by its first act, the look for a later attempt."""

    def looked(history, hosts=1, until=None):
        spec = single([f"train.until={until}"] if until else [], "smoke", "float32")
        looks = []
        facts = Facts(check=lambda: looks.append(1) or (_ for _ in ()).throw(TakenOver("later")))
        prepared = SimpleNamespace(spec=spec, hosts=Hosts(hosts, 0))
        keep = CheckpointKeeper(prepared, history, tmp_path, facts)
        keep.pace.wrote(time.monotonic() - 3600, time.monotonic())  # the last one took an hour
        with contextlib.suppress(TakenOver):
            keep()
        return bool(looks)

    epochs = single([], "smoke", "float32").train.epochs
    assert not looked(TrainingHistory([{}] * (epochs - 1)))
    assert looked(TrainingHistory([{}] * (epochs - 1)), hosts=2)
    assert looked(TrainingHistory([{}] * epochs))
    reached = TrainingHistory([{}] * (epochs - 1), target={"epoch": 1.0})
    assert not looked(reached)
    assert looked(reached, until="{miou: 0.5}")
