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
    """One trial; a speed that other work disturbed is left out of the comparison by itself."""
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


def as_if_alone(run, folder):
    """Copy a run to a folder, its speeds as its trials would have told them had they seen nothing else at work.

    The windows stay as they were measured. So the gate is tested on real speeds whatever else runs beside the test.
    """
    from bench.spec import parse
    from bench.trial.monitor import TrainingHistory
    from bench.trial.throughput import throughput

    for stored in results.iterate(run):
        record = stored.record
        seen = [state.model_dump(exclude={"disturbed"}) for state in record.throughput.states]
        alone = [{**state, "others": 0.0, "steal": 0.0, "stood_still_s": 0.0} for state in seen]
        history = TrainingHistory(windows=record.throughput.windows, states=alone)
        told = results.Throughput(**throughput(parse(record.spec, "the trial"), history, None, False))
        results.write(folder / "trials" / stored.folder.name, record.model_copy(update={"throughput": told}))
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
    base, spoiled = (as_if_alone(runs / name, runs / f"{name}-alone") for name in ("base", "spoiled"))
    status, told = compare(base, spoiled)
    assert status == 1, told
    found = {row.metric: row for row in results.compare(base, spoiled).failing}
    assert set(found) == {"miou", "images_per_second"}
    expected = np.mean([blinded(one.record) for one in results.iterate(base)])
    assert found["miou"].head == pytest.approx(expected, abs=0.03)
    rates = found["images_per_second"]
    # A little of the sleep hides behind what the device still does.
    assert 0.4 * SLEEP < 8 / rates.head - 8 / rates.base < 1.5 * SLEEP


@pytest.mark.slow
def test_a_speed_that_other_work_disturbed_is_judged_by_nobody(runs):
    """A trial's speed is undisturbed or not comparable with a reason, and the gate judges the former alone."""
    speeds = {
        name: [one.record.throughput for one in results.iterate(runs / name)] for name in ("base", "spoiled", "fresh")
    }
    for speed in (one for group in speeds.values() for one in group):
        left = sum(state.disturbed is None for state in speed.states)
        assert (left >= 3) or not speed.comparable
        assert speed.comparable == (speed.reason is None)
    (row,) = [row for row in results.compare(runs / "base", runs / "spoiled").rows if row.metric == "images_per_second"]
    judged = [sum(one.comparable for one in speeds[name]) for name in ("base", "spoiled")]
    if all(judged):
        assert row.seeds == tuple(judged)
    else:
        assert row.verdict == "not comparable"
        assert row.reason.partition(": ")[2] in {one.reason for name in ("base", "spoiled") for one in speeds[name]}
    status, _ = compare(runs / "base", runs / "spoiled")
    assert status == 1, "the loss of mIoU is found in any case"


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
