"""The gate on real trainings: a fault of known size is found, other seeds raise no alarm, noise is called noise."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import results

ROOT = Path(__file__).parents[2]
SETTINGS = [
    "loss.name=cross_entropy", "train.epochs=2", "train.steps_per_epoch=24", "train.batch_size=8", "data.size=64",
    "data.crop=64", "data.train_limit=64", "data.val_limit=24", "data.test_limit=2", "eval.pictures=0",
    "eval.window_steps=6", "eval.keep_checkpoint=none", "model.aspp_channels=16", "model.decoder_channels=16",
]  # fmt: skip
SLEEP, SHARE = 0.1, 0.5
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def train(folder, seed, *spoiled):
    """One trial; a rate that did not settle, as a busy machine has it, is left out of the comparison by itself."""
    program = (
        [str(Path(__file__).with_name("spoiled_trial.py")), *map(str, spoiled)] if spoiled else ["-m", "bench.trial"]
    )
    sets = [part for one in (*SETTINGS, f"seed={seed}") for part in ("--set", one)]
    done = subprocess.run(
        [sys.executable, *program, *sets, "--out", str(folder)],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def compare(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "bench.compare", *map(str, arguments)],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three runs of one cell, their trials in turns, because the speed of a machine drifts."""
    folder = tmp_path_factory.mktemp("gate")
    for seed in range(3):
        train(folder / "base" / "trials" / f"s{seed}", seed)
        train(folder / "fresh" / "trials" / f"s{seed}", seed + 3)
        train(folder / "spoiled" / "trials" / f"s{seed}", seed, SLEEP, SHARE)
    return folder


def blinded(record):
    """The mIoU of a trial, had a SHARE of its pixels been called class 0."""
    confusion = np.array(record.views[0].confusion, float)
    lost = SHARE * confusion
    confusion = confusion - lost
    confusion[:, 0] += lost.sum(1)
    union = confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
    return np.nanmean(np.diag(confusion) / np.where(union > 0, union, np.nan))


@pytest.mark.slow
def test_a_known_slowdown_and_a_known_loss_of_miou_are_called_regressions(runs):
    status, told = compare(runs / "base", runs / "spoiled")
    assert status == 1, told
    found = {row.metric: row for row in results.compare(runs / "base", runs / "spoiled").failing}
    assert set(found) == {"miou", "images_per_second"}
    expected = np.mean([blinded(one.record) for one in results.iterate(runs / "base")])
    assert found["miou"].head == pytest.approx(expected, abs=0.03)
    rates = found["images_per_second"]
    # A little of the sleep hides behind what the device still does.
    assert 0.4 * SLEEP < 8 / rates.head - 8 / rates.base < 1.5 * SLEEP


@pytest.mark.slow
def test_other_seeds_pass_and_what_three_of_them_cannot_tell_is_inconclusive(runs):
    status, told = compare(runs / "base", runs / "fresh")
    assert status == 0, told
    found = results.compare(runs / "base", runs / "fresh")
    unsure = {row.metric: row.more_seeds for row in found.inconclusive}
    assert unsure["miou"] > 0, "half a point is less than three seeds of so short a training can tell"
    status, told = compare(runs / "base", runs / "fresh", "--require-conclusive", "--format", "md")
    assert status == 3
    assert f"needs {unsure['miou']} more seed" in told
