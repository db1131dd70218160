"""A real grid, a real training killed in its second epoch, and `--resume`, which goes on after the first."""

import json
import os
import signal

import psutil
import pytest

import results
from bench.core import CHECKPOINT_FILE
from tests.faults.driver import Driver

EPOCHS = 8  # however late a signal is sent, some are left
TINY = [
    "--preset", "smoke", "--seeds", "1", "--gpus-per-trial", "0", "--out", "runs", "--name", "r",
    *(x for field in (
        f"train.epochs={EPOCHS}", "train.steps_per_epoch=2", "train.batch_size=2", "data.size=64", "data.crop=64",
        "data.train_limit=4", "data.val_limit=3", "data.test_limit=3", "eval.pictures=1", "model.weights=none",
        "model.backbone=resnet18", "model.separable=false", "model.aspp_channels=16", "model.decoder_channels=16",
        "eval.window_steps=1",
    ) for x in ("--set", field)),
]  # fmt: skip


def _worker(driver, trial_log):
    """The process that writes the log of a trial that trains: its standard output is that file.

    While it imports, a fork server writes there, too.
    """
    for process in psutil.Process(driver.pid).children(recursive=True):
        try:
            if os.path.realpath(f"/proc/{process.pid}/fd/1") == str(trial_log.resolve()):
                return process
        except (OSError, psutil.Error):
            continue
    return None


@pytest.mark.parametrize(
    ("sent", "recorded", "kind"),
    [
        (signal.SIGKILL, "crashed", "died"),
        pytest.param(signal.SIGTERM, "interrupted", "KeyboardInterrupt", marks=pytest.mark.slow),
    ],
)
def test_a_killed_training_goes_on_where_its_last_epoch_ended(tmp_path, sent, recorded, kind):
    for name in ("models", "losses"):  # packages of the user, which no process of the run may import
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not the suite's')")
    driver = Driver(tmp_path, "--grid", "losses", "--only", "loss=dice", *TINY, module="thin_run", imports=True)
    log = driver.wait_for(lambda: next(iter(driver.run.glob("trials/dice-*/log.txt")), None))
    driver.wait_for((log.parent / CHECKPOINT_FILE).exists)
    process = driver.wait_for(lambda: _worker(driver.process, log))
    process.send_signal(sent)
    status, output = driver.end()
    assert status == 4, output
    record = results.read(log.parent)
    assert (record.status, record.error.kind) == (recorded, kind)
    if sent == signal.SIGTERM:
        assert record.error.message == "ended by SIGTERM, as when its machine is taken away"
    else:
        assert record.error.detail["signal"] == "SIGKILL"
    done = len(record.history)
    assert 1 <= done < EPOCHS
    assert [epoch.epoch for epoch in record.history] == [*range(1, done + 1)]
    assert "--resume" in output
    assert json.loads((driver.run / "run.json").read_text())["status"] == "incomplete"
    assert set(results.load(driver.run).status) == {recorded}

    status, output = Driver(tmp_path, "--resume", str(driver.run), module="thin_run").end()
    assert status == 0, output
    resumed = results.read(log.parent)
    assert resumed.status == "ok"
    assert (resumed.environment["attempt"], resumed.environment["resumed_after_epoch"]) == (2, done)
    assert (len(resumed.history), resumed.history[:done]) == (EPOCHS, record.history)
    assert (driver.run / "report" / "report.md").exists()
