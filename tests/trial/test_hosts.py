"""Several hosts train one trial: its laws are those of several replicas of one host."""

import json
import platform
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf

import results
from bench.core import KERAS_3, UsageError, read_checkpoint
from bench.data import pipeline
from bench.data.dataset import Split
from bench.spec import DataSpec, Placement, TrialSpec, parse
from bench.trial.hosts import Hosts, hosts_of, loss_of
from bench.trial.strategy import per_replica
from tests.faults import thin
from tests.trial.two_hosts import ROOT, begun, ended, started

THIN = (
    "train.epochs=2", "train.steps_per_epoch=2", "train.batch_size=4", "eval.batch_size=3", "data.size=64",
    "data.crop=64", "data.train_limit=8", "data.val_limit=5", "data.test_limit=3", "eval.pictures=2",
    "eval.window_steps=1", "model.weights=none", "model.backbone=resnet18", "model.separable=false",
    "model.aspp_channels=16", "model.decoder_channels=16", "loss.name=dice_bce", "model.sync_batch_norm=true",
    "model.dropout=0.3", "train.ema=0.9", "train.freeze=backbone", "train.freeze_for=0.5",
)  # fmt: skip


def test_the_number_of_hosts_is_no_part_of_a_cell_and_multiplies_the_replicas():
    spec = parse({"placement": {"hosts": 2, "gpus": 4}, "train": {"batch_size": 16}}, "here")
    assert (spec.placement.replicas, Placement().replicas, Placement().hosts) == (8, 1, 1)
    assert spec.cell == parse({"train": {"batch_size": 16}}, "here").cell
    with pytest.raises(UsageError, match=r"train\.batch_size 4 does not split evenly over 8 replicas"):
        parse({"placement": {"hosts": 2, "gpus": 4}, "train": {"batch_size": 4}}, "here")
    with pytest.raises(
        UsageError, match=r"placement\.cpu_replicas is for one host; with placement\.hosts leave it at 1"
    ):
        parse({"placement": {"hosts": 2, "cpu_replicas": 2}}, "here")
    assert TrialSpec().placement.hosts == 1


@pytest.mark.skipif(not KERAS_3, reason="Keras 2 trains on several hosts")
def test_keras_3_is_refused_by_name():
    with pytest.raises(
        UsageError, match=r"^placement.hosts 2: several hosts need Keras 2; `fit` of Keras 3\.\S+ fails"
    ):
        hosts_of(Placement(hosts=2))


@pytest.mark.skipif(KERAS_3, reason="refused before")
@pytest.mark.parametrize(
    "told",
    [
        None, "{", "[]", "{}", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", 7]}, "task": {"type": "worker", "index": 0}}',
    ],
)  # fmt: skip
def test_hosts_that_are_not_named_are_refused_in_one_line(told, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert hosts_of(Placement()).count == 1
    if told is not None:
        monkeypatch.setenv("TF_CONFIG", told)
    with pytest.raises(
        UsageError, match=r"^placement\.hosts 2: TF_CONFIG does not name 2 workers and which .* is; run"
    ):
        hosts_of(Placement(hosts=2))
    named = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(named))
    found = hosts_of(Placement(hosts=2))
    assert (found.count, found.index, found.first) == (2, 1, False)


def test_the_loss_of_a_host_is_told_in_a_line_and_other_errors_are_not_one():
    text = "Graph execution error:\n\nDetected at node x\n{{function_node y}} Collective ops is aborted by: Deadline\nz"
    gone = "another host of this trial is gone: "
    assert loss_of(tf.errors.DeadlineExceededError(None, None, text)) == f"{gone}Collective ops is aborted by: Deadline"
    assert loss_of(tf.errors.UnavailableError(None, None, "Socket closed")) == f"{gone}Socket closed"
    assert loss_of(tf.errors.InternalError(None, None, "no cuDNN")) is None
    assert loss_of(ValueError("Collective")) is None


def test_one_host_tells_itself_what_it_tells(tmp_path):
    alone = Hosts()
    assert alone.first
    assert alone.exchange({"a": [1, None]}) == [{"a": [1, None]}]
    assert alone.all_or_none(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        alone.all_or_none(lambda: 1 // 0)
    with alone.folder(tmp_path) as place:
        assert place == tmp_path
    with Hosts(2, 1).folder(tmp_path) as place:
        assert place != tmp_path
        assert place.is_dir()
    assert not place.exists()


def test_the_parts_of_a_share_go_to_the_replicas_in_order():
    images, rows = np.arange(12).reshape(4, 3), np.arange(4)
    batches = tf.data.Dataset.from_tensor_slices({"image": images, "index": rows}).batch(4, drop_remainder=True)
    assert per_replica(batches, 1) is batches
    found = list(per_replica(batches, 2).as_numpy_iterator())
    assert [one["index"].tolist() for one in found] == [[0, 1], [2, 3]]
    assert np.array_equal(np.concatenate([one["image"] for one in found]), images)
    assert per_replica(batches, 2).element_spec["image"].shape == (2, 3)
    pairs = tf.data.Dataset.from_tensor_slices((images, rows)).batch(4)
    assert [one[1].tolist() for one in per_replica(pairs, 4).as_numpy_iterator()] == [[0], [1], [2], [3]]


def test_the_shares_of_an_evaluation_are_its_batches():
    rng = np.random.default_rng(0)
    shapes = [(40, 30), (40, 30), (20, 28), (40, 30), (20, 28)]
    pairs = [(rng.integers(0, 256, (*s, 3), np.uint8), rng.integers(0, 4, s, np.uint8)) for s in shapes]
    split = Split(tuple(map(str, range(len(pairs)))), lambda key: pairs[int(key)])
    whole, *shares = (
        list(pipeline.evaluation(split, DataSpec(size=32), 4, multiple=4, **share).as_numpy_iterator())
        for share in ({}, {"worker": 0, "workers": 2}, {"worker": 1, "workers": 2})
    )
    assert [batch["index"].tolist() for batch in whole] == [[0, 1, 3, -1], [2, 4, -1, -1]]
    for batch, *parts in zip(whole, *shares, strict=True):
        for name, values in batch.items():
            assert np.array_equal(np.concatenate([part[name] for part in parts]), values), name


def _weights(folder):
    found = {}
    with h5py.File(folder / "model.weights.h5") as file:
        file.visititems(
            lambda name, one: found.update({name: np.array(one)}) if isinstance(one, h5py.Dataset) else None
        )
    return found


@pytest.mark.slow
@pytest.mark.skipif(KERAS_3, reason="refused there")
def test_two_hosts_train_as_two_replicas_of_one(tmp_path):
    """With all that looks at more than one replica: synchronised normalisation, dropout, averages and their epochs."""
    settings = [word for field in THIN for word in ("--set", field)]
    command = [sys.executable, Path(thin.__file__), "tiny"]
    told = started([*command, json.dumps([*settings, "--set", "placement.hosts=2", "--out", str(tmp_path / "hosts")])])
    for status, output, error in told:
        assert status == 0, error[-3000:]
        assert "ok: mIoU" in output, error[-3000:]
    replicas = [*settings, "--set", "placement.cpu_replicas=2", "--out", str(tmp_path / "one")]
    ((status, _, error),) = started([*command, json.dumps(replicas)], hosts=1)
    assert status == 0, error[-3000:]
    hosts, one = (results.read(tmp_path / name) for name in ("hosts", "one"))
    assert len(hosts.environment["hosts"]) == 2
    assert hosts.throughput.replicas == one.throughput.replicas == hosts.replicas == 2
    assert (hosts.hosts, one.hosts) == (2, 1)
    for mine, theirs in zip(hosts.views, one.views, strict=True):
        assert mine.confusion == theirs.confusion
        assert mine.loss == pytest.approx(theirs.loss, rel=1e-6)
    for mine, theirs in zip(hosts.history, one.history, strict=True):
        assert mine.train.loss == pytest.approx(theirs.train.loss, rel=1e-6)
        assert mine.val.miou == pytest.approx(theirs.val.miou, rel=1e-6)
    ours, theirs = _weights(tmp_path / "hosts"), _weights(tmp_path / "one")
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        assert np.allclose(values, theirs[name], rtol=1e-6, atol=1e-7), name
    names = {path.name for path in (tmp_path / "hosts").rglob("*.*")}
    assert names == {path.name for path in (tmp_path / "one").rglob("*.*")}, "the first host alone has written"
    # Both hosts tell the loss of a step as it is, though Keras 2.15 adds it up over them.
    losses = [[line.split()[5] for line in output.splitlines() if line.startswith("epoch")] for _, output, _ in told]
    assert losses[0] == losses[1]
    assert float(losses[0][0]) == pytest.approx(hosts.history[0].train.loss, rel=0.3)


def _with_views(tmp_path, lacking):
    settings = [*THIN, "eval.views=[{crf: true}, {flip: true}]", "placement.hosts=2"]
    words = [word for field in settings for word in ("--set", field)]
    script = Path(__file__).with_name("one_view_fails.py")
    return started([sys.executable, script, lacking, *words, "--out", tmp_path / "out"])


@pytest.mark.slow
@pytest.mark.skipif(KERAS_3, reason="refused there")
def test_a_view_that_fails_on_all_hosts_costs_itself_alone(tmp_path):
    for status, output, error in _with_views(tmp_path, "01"):
        assert status == 0, error[-3000:]
        assert "ok: mIoU" in output, error[-3000:]
    record = results.read(tmp_path / "out")
    assert record.failed_views == {"crf": "OOM when allocating tensor"}
    assert [(view.view, view.images) for view in record.views] == [
        ("default", 5), ("default", 3), ("flip", 5), ("flip", 3),
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(KERAS_3, reason="refused there")
@pytest.mark.parametrize("failing", [0, 1])
def test_a_view_that_fails_on_one_host_ends_the_trial_there_and_nobody_waits(tmp_path, failing):
    told = _with_views(tmp_path, str(failing))
    assert [status for status, _, _ in told] == [4, 4]
    error, lost = told[failing][2], told[1 - failing][2]
    assert f"FailedAlone: on host {platform.node()} alone: OOM when allocating tensor" in error, error[-3000:]
    assert "error: another host of this trial is gone" in lost, lost[-3000:]
    assert "FailedAlone" not in lost, lost[-3000:]
    assert results.read(tmp_path / "out").error.kind == ("FailedAlone", "lost")[failing]


@pytest.mark.skipif(KERAS_3, reason="refused there")
def test_a_host_that_fails_before_the_hosts_are_connected_is_named_and_nobody_waits(tmp_path):
    (tmp_path / "keras.py").write_text("raise ImportError('libcudart.so.12: cannot open shared object file')\n")
    words = [word for field in (*THIN, "placement.hosts=2") for word in ("--set", field)]
    command = [sys.executable, "-m", "bench.trial", *words, "--out", tmp_path / "out"]
    broken = {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    (first, _, told), (second, _, error) = ended(begun(command, further=({}, broken)))
    assert (first, second) == (4, 4), told[-3000:] + error[-3000:]
    assert "ImportError: libcudart.so.12" in error, error[-3000:]
    found = results.read(tmp_path / "out").error
    assert found.message == f"host {platform.node()}: libcudart.so.12: cannot open shared object file"


@pytest.mark.slow
@pytest.mark.skipif(KERAS_3, reason="refused there")
def test_a_trial_in_the_foreground_that_loses_a_host_says_so_in_a_line_and_goes_on_when_begun_again(tmp_path):
    words = [word for field in (*THIN, "train.epochs=8", "placement.hosts=2") for word in ("--set", field)]
    command = [sys.executable, Path(thin.__file__), "tiny", json.dumps([*words, "--out", str(tmp_path / "out")])]
    processes = begun(command)
    while (line := processes[0].stdout.readline()) and not line.startswith("epoch 3"):
        pass
    processes[1].kill()
    (_, _, error), _ = ended(processes)
    record = results.read(tmp_path / "out")
    assert (record.status, record.error.kind) == ("crashed", "lost")
    assert record.error.message.startswith("another host of this trial is gone: ")
    file = tmp_path / "out" / "record.json"
    *_, line, status = error.strip().splitlines()
    assert line == (
        f"error: {record.error.message}; {file} says so; without it, the same command on every host begins again and "
        "goes on after its last complete epoch"
    ), error[-3000:]
    assert status == "status 4"
    kept = read_checkpoint(tmp_path / "out").state["history"]
    file.unlink()
    for _, _, error in started(command):
        assert "status 0" in error, error[-3000:]
    record = results.read(tmp_path / "out")
    assert (record.status, len(record.history)) == ("ok", 8)
    assert record.environment["resumed_after_epoch"] == len(kept) >= 2
