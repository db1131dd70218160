"""`bench.trial` in the foreground, ended while its input is running: its record, its status, and no process left."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import results

HERE = Path(__file__).resolve().parent
SETTINGS = [
    "train.steps_per_epoch=2", "train.batch_size=2", "eval.batch_size=3", "data.size=64", "data.crop=64",
    "data.train_limit=4", "data.val_limit=3", "data.test_limit=2", "eval.pictures=0", "eval.window_steps=1",
    "model.weights=none", "model.backbone=resnet18", "model.separable=false", "model.aspp_channels=16",
    "model.decoder_channels=16",
]  # fmt: skip


@pytest.mark.parametrize(
    ("epochs", "broken_from", "sent", "status", "recorded"),
    [
        pytest.param(2, None, None, 0, "ok", marks=pytest.mark.slow),
        pytest.param(2, 5, None, 4, "crashed", marks=pytest.mark.slow),
        pytest.param(10**4, None, signal.SIGINT, 130, "interrupted", marks=pytest.mark.slow),
        (10**4, None, signal.SIGTERM, 130, "interrupted"),
    ],
)
def test_a_trial_that_ends_leaves_its_record_and_its_status(tmp_path, epochs, broken_from, sent, status, recorded):
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parents[1]}:{HERE}", "BROKEN_FROM": str(broken_from or "inf")}
    settings = [text for field in (*SETTINGS, f"train.epochs={epochs}") for text in ("--set", field)]
    trial = subprocess.Popen(
        [sys.executable, HERE / "foreground_trial.py", *settings, "--out", "trial"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        if sent:
            while (line := trial.stdout.readline()) and not line.startswith("epoch 2"):
                pass
            trial.send_signal(sent)
        output, _ = trial.communicate(timeout=240)
    finally:
        trial.kill()
    assert trial.returncode == status, output
    record = results.read(tmp_path / "trial")
    assert record.status == recorded, output
    assert record.history, "an epoch was done"
