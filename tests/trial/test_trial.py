"""One whole trial for real, small: on two logical devices, and its record; and failures that end in a record."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import results
from bench.core import usable_cores
from bench.data import convert, load
from bench.spec import DataSpec, parse
from bench.trial import PhaseTimer, trial
from bench.trial.failures import failure
from bench.trial.monitor import TrainingHistory

PROJECT = Path(__file__).resolve().parents[2]
TINY = [
    "train.epochs=2", "train.steps_per_epoch=4", "train.batch_size=4", "data.size=64", "data.crop=64",
    "data.train_limit=8", "data.val_limit=5", "data.test_limit=3", "eval.pictures=2",
    "eval.window_steps=1", "eval.batch_size=3", "eval.target_miou=0.0001",
    "model.backbone=resnet18", "model.separable=false", "model.aspp_channels=16", "model.decoder_channels=16",
]  # fmt: skip
THIN = PROJECT / "tests" / "faults" / "thin.py"


def _trials(**trials):
    """Run trials of a tiny backbone, folder -> settings, in one process: the folder, status and errors of each."""
    home = next(iter(trials.values()))[0].parent
    asked = [
        ["--out", str(out), *(part for setting in (*TINY, *settings) for part in _arguments(setting))]
        for out, *settings in trials.values()
    ]
    done = subprocess.run(
        [sys.executable, THIN, "tiny", *map(json.dumps, asked)],
        cwd=home, env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True, text=True, timeout=480, check=False,
    )  # fmt: skip
    parts = re.split(r"^status (\d+)\n", done.stderr, flags=re.MULTILINE)
    assert len(parts) == 2 * len(asked) + 1, done.stderr[-3000:]
    return {
        name: Done(out, int(status), told)
        for (name, (out, *_)), told, status in zip(trials.items(), parts[:-1:2], parts[1::2], strict=True)
    }


def _arguments(setting):
    """A setting as arguments of the command; options stand for themselves."""
    return (setting,) if setting.startswith("--") else ("--set", setting)


class Done(NamedTuple):
    """How a trial ended: its folder, exit status, and what it wrote on standard error."""

    out: Path
    status: int
    told: str


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_backbone):
    """A trial on two replicas in mixed precision with a frozen, pretrained backbone and an auxiliary head."""
    from models.encoder.pyramid import build_backbone

    home = tmp_path_factory.mktemp("trial")
    build_backbone(tiny_backbone).save(home / "pretrained.keras")
    settings = (
        "placement.cpu_replicas=2",
        "data.test_limit=6",  # in batches of 4, as the 5 of validation: they are traced once
        "train.precision=mixed_bfloat16",
        f"model.weights={home / 'pretrained.keras'}",
        "train.freeze=backbone",
        "loss.params.class_weights=median_frequency",
        "loss.calibrated=true",
        "eval.views=[{output_stride: 16}, {crf: {iterations: 2}}, {output_stride: 32}]",
        "eval.published=true",
        "model.auxiliary_weight=0.4",
    )
    done = _trials(first=(home / "first", *settings))["first"]
    assert done.status == 0, done.told[-3000:]
    return results.read(done.out), done.out


def _write_sliced(folder):
    """Write scenes as a folder: 8 to train, 5 to validate and 5 to test, each of which is by day or by night."""
    scenes = load(DataSpec(dataset="scenes", train_limit=8, val_limit=5, test_limit=5))
    for _ in convert(scenes, folder):
        pass
    lines = [
        f"{key},{('day', 'night')[position % 2]}"
        for split in ("val", "test")
        for position, key in enumerate(scenes.splits[split].keys)
    ]
    (folder / "slices.csv").write_text("\n".join(["image,time", *lines]))


@pytest.fixture(scope="module")
def others(finished):
    """Trials after the first, on one replica; those that fail too."""
    _, first = finished
    home = first.parent
    (home / "half.weights.h5").write_bytes(b"cut off")
    _write_sliced(home / "sliced")
    return _trials(
        handed_on=(home / "on", f"train.init_from={first}", "train.freeze=backbone", "train.steps_per_execution=2"),
        half=(home / "half", f"train.init_from={home / 'half.weights.h5'}"),
        until=(
            home / "until",
            "data.dataset=folder",
            f"data.root={home / 'sliced'}",
            "data.test_limit=5",
            "eval.target_miou=null",
            "train.until={miou: 0.0001}",
            "train.ema=0.9",
            "eval.keep_checkpoint=last",
        ),
        trainval=(
            home / "trainval",
            "data.train_on=trainval",
            "eval.keep_checkpoint=last",
            "eval.target_miou=null",
            "train.smaller_crops=[[0.5, 32]]",
            "model.batch_norm_momentum=auto",
        ),
        range=(home / "range", "--range-test", "train.epochs=10"),
        unlike=(home / "unlike", f"model.weights={first / 'model.weights.h5'}"),
        diverging=(home / "diverging", "train.learning_rate=1e30", "train.optimizer=sgd", "train.warmup=0"),
        # Scenes have void pixels; to a loss that knows no void they are a class that does not exist.
        debugged=(home / "debugged", "train.eager=true", "loss.params.ignore_index=null"),
    )


def test_the_record_tells_the_whole_story(finished):
    record, _ = finished
    assert record.status == "ok"
    assert [epoch.epoch for epoch in record.history] == [1, 2]
    assert [epoch.images for epoch in record.history] == [16, 32]
    assert record.environment["replicas"] == 2
    assert record.throughput.replicas == 2
    assert {(view.view, view.split): view.images for view in record.views} == {
        (view, split): images
        for view in ("default", "os16", "crf(iterations=2)", "os32")
        for split, images in (("val", 5), ("test", 6))
    }
    clocks = record.clocks.model_dump()
    parts = sum(seconds for name, seconds in clocks.items() if name not in ("total_s", "cpu_s"))
    assert parts <= clocks["total_s"] + 0.1
    assert min(clocks.values()) > 0
    assert (record.target.epoch, record.target.steps, record.target.reached) == (1, 4, True)
    assert record.best.miou == max(epoch.val.miou for epoch in record.history) == record.views[0].miou
    if usable_cores() > 1:
        assert any(state.hand_over_ns for state in record.throughput.states), "other work may hide some of them"


def test_a_training_ends_at_the_evaluation_that_reaches_the_target(others):
    record = results.read(others["until"].out)
    assert (record.status, len(record.history)) == ("ok", 1), record.error
    target = record.target
    assert (target.metric, target.value, target.reached, target.epoch, target.steps) == ("miou", 0.0001, True, 1, 4)
    assert 0 < target.seconds <= record.clocks.train_s
    assert 0 < target.cpu_seconds < record.clocks.cpu_s
    assert record.views[0].miou == record.history[0].val.miou  # of the averaged weights, which are kept


def test_slices_are_of_the_reported_weights_on_each_split(others):
    views = results.read(others["until"].out).views
    assert [view.split for view in views] == ["val", "test"]
    for view in views:
        found = [(one.feature, one.value, one.images) for one in view.slices]
        assert found == [("time", "day", 3), ("time", "night", 2)]
        assert np.sum([one.confusion for one in view.slices], axis=0).tolist() == view.confusion
    assert views[0].slices[0].confusion != views[1].slices[0].confusion


def test_a_training_on_train_and_val_is_scored_on_test_alone_and_once(others):
    out = others["trainval"].out
    record = results.read(out)
    assert (record.status, len(record.history)) == ("ok", 2), record.error
    assert {(view.view, view.split): view.images for view in record.views} == {("default", "test"): 3}
    assert [epoch.val.miou for epoch in record.history] == [None, None]
    assert [epoch.images for epoch in record.history] == [16, 32]
    assert (record.best, record.target) == (None, None)
    assert record.dataset.images == {"train": 8, "val": 5, "test": 3}
    assert {one.meta["key"].partition("-")[0] for one in record.artefacts if one.kind == "image"} == {"test"}
    assert (out / "model.weights.h5").is_file()
    table = results.load(out)
    assert table["miou"].tolist() == [record.views[0].miou]
    # The other choices of this trial: crops of half the side in the first epoch, whose speed is not that of the trial.
    assert len(record.throughput.windows) == 3  # four steps, the first of which is traced
    assert record.spec["model"]["batch_norm_momentum"] == 0.8


def test_a_range_test_writes_its_curve_and_no_record(others):
    done = others["range"]
    assert done.status == 0, done.told[-3000:]
    assert [path.name for path in done.out.iterdir()] == ["learning_rates.csv"]
    header, *rows = (done.out / "learning_rates.csv").read_text().splitlines()
    assert header == "step,learning_rate,loss,smoothed_loss"
    rates = [float(row.split(",")[1]) for row in rows]
    assert rates[:3] == pytest.approx([1e-6 * 10 ** (7 * step / 40) for step in range(3)], rel=1e-5)
    assert 20 < len(rows) <= 40
    assert float(rows[0].split(",")[2]) == pytest.approx(float(rows[2].split(",")[2]), rel=0.5)


def test_a_target_that_is_never_reached_is_censored_at_the_end():
    spec = parse({"train": {"until": {"mean_dice": 0.9}}}, "here")
    history = TrainingHistory(history=[{"epoch": 1, "step": 30}, {"epoch": 2, "step": 60}], cpu_seconds=7.5)
    timer = PhaseTimer()
    timer.add("train", 4.0)
    found = results.Target(**trial._target(spec, history, timer))
    assert (found.metric, found.value, found.reached, found.epoch, found.steps) == ("mean_dice", 0.9, False, 2, 60)
    assert (found.seconds, found.cpu_seconds) == (4.0, 7.5)
    assert trial._target(parse({}, "here"), history, timer) is None


def test_the_record_has_the_loss_as_it_was_trained(finished):
    record, _ = finished
    weights = record.objective.params["class_weights"]
    assert len(weights) == len(record.dataset.class_names)
    assert max(weights) > 2 * min(weights)
    assert record.objective.gradient_scale.initial == pytest.approx(1, rel=1e-3)


def test_the_record_has_the_cost_of_the_model(finished, tiny_backbone):
    import models

    record, _ = finished
    spec = models.ModelSpec(**record.spec["model"])
    model = models.build(spec.model_copy(update={"weights": "none"}), len(record.dataset.class_names))
    parameters, flops = models.forward_cost(model, (64, 64))
    assert (record.cost.parameters, record.cost.size) == (parameters, 64)
    # The trial ran in half precision, whose normalisation is counted another way.
    assert record.cost.forward_gflop == pytest.approx(flops / 1e9, rel=0.02)


def test_views_are_of_the_same_weights_and_differ(finished):
    record, _ = finished
    val = {view.view: view for view in record.views if view.split == "val"}
    assert val.pop("os32") == val["default"].model_copy(update={"view": "os32"}), (
        "the stride of training, measured once"
    )
    matrices = [view.confusion for view in val.values()]
    assert all(matrices[0] != other for other in matrices[1:])
    truth = [[sum(row) for row in matrix] for matrix in matrices]
    assert truth[0] == truth[1] == truth[2]  # the same pixels were scored
    assert all(view.images_per_second > 0 for view in val.values())


def test_the_checkpoint_has_neither_an_auxiliary_head_nor_the_optimizer_s_state(finished):
    import h5py

    names: list[str] = []
    with h5py.File(finished[1] / "model.weights.h5") as file:
        file.visit(names.append)
    assert names
    assert not [name for name in names if "auxiliary" in name]
    assert not [name for name in names if name.startswith("optimizer")]


def test_what_others_published_stands_beside_the_miou(finished):
    record, _ = finished
    table = results.load(finished[1])
    for view in record.views:
        published = view.published.model_dump()
        assert all(0 < value < 1 for value in published.values())
        recalls = [row[i] / sum(row) for i, row in enumerate(view.confusion) if sum(row)]
        assert published["class_recall"] == pytest.approx(sum(recalls) / len(recalls))
        row = table[(table["view"] == view.view) & (table["split"] == view.split)]
        assert row[list(published)].iloc[0].to_dict() == published


def test_scores_agree_with_their_confusion_matrix(finished):
    record, _ = finished
    for view in record.views:
        matrix = view.confusion
        assert sum(map(sum, matrix)) > 0
        hits = sum(row[i] for i, row in enumerate(matrix))
        assert view.pixel_accuracy == pytest.approx(hits / sum(map(sum, matrix)))
        known = [iou for iou in view.iou if iou is not None]
        assert view.miou == pytest.approx(sum(known) / len(known))


def test_artefacts_are_there_and_unchanged(finished):
    record, out = finished
    kinds = [artefact.kind for artefact in record.artefacts]
    assert sorted(kinds) == ["checkpoint", "image", "image", "prediction", "prediction", "truth", "truth"]
    for artefact in record.artefacts:
        assert results.sha256(out / artefact.path) == artefact.sha256


def test_a_frozen_backbone_does_not_move_and_weights_can_be_handed_on(finished, others):
    import models
    from models import BACKBONE

    record, first = finished
    second = others["handed_on"]
    assert second.status == 0, second.told[-2000:]
    assert [epoch.images for epoch in results.read(second.out).history] == [16, 32]
    model = models.build(models.ModelSpec(**{**record.spec["model"], "weights": "none"}), 8)
    arrays = []
    for folder in (first, second.out):
        model.load_weights(str(folder / "model.weights.h5"))
        front = {id(weight) for weight in model.get_layer(BACKBONE).weights}
        arrays.append([(id(weight) in front, np.array(weight)) for weight in model.weights])
    moved = [(frozen, (a != b).any()) for (frozen, a), (_, b) in zip(*arrays, strict=True)]
    assert sum(frozen for frozen, _ in moved) > 20
    assert not any(any_of_it for frozen, any_of_it in moved if frozen), "statistics stay as well as kernels"
    assert all(any_of_it for frozen, any_of_it in moved if not frozen)


def test_weights_that_do_not_fit_are_one_line(finished, others):
    _, first = finished
    told = {}
    for name in ("half", "unlike"):
        assert others[name].status == 2, others[name].told
        (told[name],) = [line for line in others[name].told.splitlines() if line.startswith("error: ")]
    path = first.parent / "half.weights.h5"
    assert told["half"].startswith(f"error: train.init_from: {path} does not fit this model")
    assert f"{str(first / 'model.weights.h5')!r} does not fit backbone 'resnet18'" in told["unlike"]


def test_a_loss_that_is_not_finite_ends_as_diverged(others):
    done = others["diverging"]
    assert done.status == 4, done.told
    record = results.read(done.out)
    assert record.status == "diverged"
    assert record.error.step >= 2
    # Of the first step, at random weights and before the update that breaks them, by a factor of 1e30.
    assert record.error.detail["last_finite"] == pytest.approx(math.log(8), rel=0.5)
    assert record.error.detail["loss_scale"] is None
    assert "not finite" in record.error.message


def test_debugging_checks_every_label(others):
    done = others["debugged"]
    assert done.status == 4, done.told
    assert "labels have class ids 255 outside 0..7" in results.read(done.out).error.message


def test_failures_are_told_apart():
    import tensorflow as tf

    assert failure(MemoryError())["status"] == "oom"
    told = "OOM when allocating tensor with shape[8,513,513,21]"
    found = failure(tf.errors.ResourceExhaustedError(None, None, told))
    assert (found["status"], found["error"]["kind"]) == ("oom", "ResourceExhaustedError")
    assert told in found["error"]["message"]
    assert failure(RuntimeError("x\ny"))["error"]["message"] == "x"
    assert failure(RuntimeError())["status"] == "crashed"
    pages = "in user code:\n\n    NameError: Exception encountered when calling layer 'a' (type A).\n    \n"
    pages += "    in user code:\n    \n        NameError: name 'size' is not defined\n    \n    Call arguments\n"
    assert failure(NameError(pages))["error"]["message"] == "NameError: name 'size' is not defined"
