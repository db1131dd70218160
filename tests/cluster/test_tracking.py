"""Trackers, fed with events of jobs: what arrives in TensorBoard files and in a local MLflow store."""

import importlib.util
import io
import struct
import threading

import numpy as np
import pytest
from PIL import Image

import results
from bench.core import UsageError
from bench.execution.cluster_checks import check_trackers
from tests.invented_runs.lifelike import write_run

FACTS = {"label": "dice", "model": {"backbone": "resnet18"}, "train": {"epochs": 2}}


def emit_job(tracking, job, miou):
    from bench.execution.ray_tune import Event

    tracking(Event("started", job))
    tracking(Event("message", job, {"event": "started", "pid": 1}))
    for epoch in (1, 2):
        data = {"event": "epoch", "epoch": epoch, "step": 10 * epoch, "loss": 1.0 / epoch, "miou": miou * epoch / 2}
        data |= {"learning_rate": 0.1, "iou": {"road (wet)": 0.25}}
        tracking(Event("message", job, data))
    tracking(Event("message", job, {"event": "result", "epoch": 2, "step": 20, "final_miou": miou}))


def _tracking(*arguments):
    from bench.execution.tracking import Tracking  # imports Ray, here and not where every process collects this file

    return Tracking(*arguments)


def tracked(folder, services=(), notes=None):
    tracking = _tracking(folder, "losses", services, lambda job: FACTS, (notes if notes is not None else []).append)
    emit_job(tracking, "dice-s0", 0.5)
    tracking.ended("dice-s0", True)
    emit_job(tracking, "dice-s1", 0.4)  # and is cut off
    tracking.close()


def events_of(folder):
    """The events of a trial as TensorBoard takes them: an attempt hides what was written before from its first step on.

    An event file holds length (8 bytes), checksum (4), event, checksum (4), and so on.
    """
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    found = []
    for file in sorted(folder.glob("events.out.tfevents.*")):
        rest = file.read_bytes()
        while rest:
            (length,) = struct.unpack("<Q", rest[:8])
            event, rest = Event.FromString(rest[12 : 12 + length]), rest[16 + length :]
            if event.session_log.status == SessionLog.START:
                found = [one for one in found if one.step < event.step]
            found.append(event)
    return found


def scalars(folder, tag):
    """(step, value) of a scalar."""
    values = [(event.step, value) for event in events_of(folder) for value in event.summary.value]
    return [(step, value.simple_value) for step, value in values if value.tag == tag]


def test_tensorboard_files_hold_every_number_at_its_step(tmp_path):
    tracked(tmp_path / "tensorboard")
    for job, miou in (("dice-s0", 0.5), ("dice-s1", 0.4)):
        folder = tmp_path / "tensorboard" / job
        assert scalars(folder, "validation/miou") == [(10, pytest.approx(miou / 2)), (20, pytest.approx(miou))]
        assert scalars(folder, "final/miou") == [(20, pytest.approx(miou))]
        assert scalars(folder, "train/learning_rate") == [(10, pytest.approx(0.1)), (20, pytest.approx(0.1))]
        assert scalars(folder, "validation_iou/road__wet_") == [(10, 0.25), (20, 0.25)]


def test_classes_whose_names_differ_in_signs_have_curves_of_their_own(tmp_path):
    from bench.execution.ray_tune import Event

    names = ["lane (dashed)", "road", "lane [dashed]"]
    tracking = _tracking(tmp_path, "losses", (), lambda job: FACTS, [].append)
    tracking(Event("started", "a"))
    tracking(Event("message", "a", {"event": "started", "pid": 1}))
    for step in (10, 20):
        iou = {name: place / 4 for place, name in enumerate(names)}
        tracking(Event("message", "a", {"event": "epoch", "epoch": 1, "step": step, "loss": 1.0, "iou": iou}))
    tracking.close()
    for tag, value in (("lane__dashed__0", 0.0), ("road", 0.25), ("lane__dashed__2", 0.5)):
        assert scalars(tmp_path / "a", f"validation_iou/{tag}") == [(10, value), (20, value)]


def test_a_name_with_its_place_is_not_another_name():
    from bench.execution.tensorboard import _apart

    assert _apart(["a(", "a[", "a__0", "road"]) == ["a__0_", "a__1", "a__0", "road"]
    assert _apart(["a", "a", "b"]) == ["a_0", "a_1", "b"]


def test_a_trial_that_has_ended_leaves_nothing_in_memory(tmp_path):
    from bench.execution.ray_tune import Event
    from bench.execution.tensorboard import TensorBoard

    tracking = _tracking(tmp_path, "losses", (), lambda job: FACTS, [].append)
    tracking(Event("started", "a"))
    tracking(Event("message", "a", {"event": "epoch", "epoch": 1, "step": 10, "loss": 1.0, "iou": {"road": 0.5}}))
    tracking.ended("a", True)
    assert vars(tracking._board) == vars(TensorBoard())


def _attempt(folder, *steps, end=None, begun=0):
    """An attempt at a trial that reports an epoch at each step, with the step in thousandths as its mIoU."""
    from bench.execution.ray_tune import Event

    tracking = _tracking(folder, "losses", (), lambda job: FACTS, [].append)
    tracking(Event("started", "t"))
    if steps:
        tracking(Event("message", "t", {"event": "step", "step": begun + 1, "loss": 1.0}))
    for step in steps:
        data = {"event": "epoch", "epoch": step // 10, "step": step, "loss": 1.0, "miou": step / 1000}
        tracking(Event("message", "t", data))
    if end:
        tracking(Event("message", "t", {"event": "result", "epoch": end // 10, "step": end, "final_miou": 0.5}))
    tracking.close()


@pytest.mark.parametrize(
    ("attempts", "shown"),
    [
        ([{"steps": (10, 20, 30)}, {"steps": (10, 20)}], [10, 20]),  # from the start again, and not as far
        ([{"steps": (10, 20)}, {"steps": (20, 30), "begun": 10}], [10, 20, 30]),  # from the checkpoint of step 10
        ([{"steps": (10, 20)}, {"steps": (), "end": 20}], [10, 20]),  # only scoring was left
    ],
)
def test_an_attempt_hides_what_an_earlier_one_wrote_at_its_steps(tmp_path, attempts, shown):
    for one in attempts:
        _attempt(tmp_path, *one["steps"], end=one.get("end"), begun=one.get("begun", 0))
    assert [step for step, _ in scalars(tmp_path / "t", "validation/miou")] == shown
    assert len([*(tmp_path / "t").iterdir()]) == 2


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_trial_shows_pictures_that_it_kept_with_truth_and_prediction(tmp_path, split):
    run = write_run(tmp_path / "r", labels=["dice"], seeds=1, pictures=4)
    if split == "test":  # the other one was trained on
        record = results.read(run / "trials" / "dice-s0")
        views = [view.model_copy(update={"split": "test"}) for view in record.views]
        results.write(run / "trials" / "dice-s0", record.model_copy(update={"views": views}))
    tracked(run / "tensorboard")

    def shown_of(trial):
        values = [value for event in events_of(run / "tensorboard" / trial) for value in event.summary.value]
        return {value.tag: value.image for value in values if "img" in value.tag}

    shown = shown_of("dice-s0")
    assert [*shown] == [f"{split}/img{order}" for order in range(3)]
    picture = np.asarray(Image.open(io.BytesIO(shown[f"{split}/img0"].encoded_image_string)))
    assert picture.shape == (256, 3 * 341, 3)  # 96 x 128 pixels each, brought to a height of 256
    truth = Image.open(run / "trials" / "dice-s0" / "pictures" / "0-truth.png")
    colors = results.read(run / "trials" / "dice-s0").dataset.colors
    assert tuple(picture[200, 341 + 20]) == tuple(colors[truth.getpixel((20 * 128 // 341, 200 * 96 // 256))])
    assert shown_of("dice-s1") == {}, "it was cut off"


def test_images_whose_keys_differ_in_folder_or_signs_are_all_shown(tmp_path):
    run = write_run(tmp_path / "r", labels=["dice"], seeds=1, pictures=3)
    trial = run / "trials" / "dice-s0"
    record, keys = results.read(trial), ["left/img 0", "right/img 0", "left/img_0"]
    kept = [
        one.model_copy(update={"meta": {**one.meta, "key": keys[int(one.meta["order"])]}}) if "key" in one.meta else one
        for one in record.artefacts
    ]
    results.write(trial, record.model_copy(update={"artefacts": kept}))
    tracked(run / "tensorboard")
    values = [value for event in events_of(run / "tensorboard" / "dice-s0") for value in event.summary.value]
    shown = [value.tag for value in values if "img" in value.tag]
    assert shown == ["validation/left/img_0_0", "validation/right/img_0", "validation/left/img_0_2"]


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="the optional extra `mlflow` is not installed")
def test_mlflow_holds_parameters_curves_and_how_it_ended(tmp_path, monkeypatch):
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracked(tmp_path / "run" / "tensorboard", ["mlflow"])
    client = MlflowClient((tmp_path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("losses")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert {name: run.info.status for name, run in runs.items()} == {"dice-s0": "FINISHED", "dice-s1": "FAILED"}
    assert runs["dice-s0"].data.params == {"label": "dice", "model/backbone": "resnet18", "train/epochs": "2"}
    assert runs["dice-s0"].data.metrics["final_miou"] == 0.5
    curve = client.get_metric_history(runs["dice-s0"].info.run_id, "miou")
    assert [(point.step, point.value) for point in curve] == [(10, 0.25), (20, 0.5)]


def test_a_tracker_that_fails_is_left_out_and_named(tmp_path):
    (tmp_path / "tensorboard").write_text("a file where the folder should be")
    notes = []
    tracked(tmp_path / "tensorboard", notes=notes)
    assert len(notes) == 1
    assert notes[0].startswith("tensorboard no longer tracks this run: ")


def test_a_service_that_does_not_answer_holds_the_end_up_no_longer_than_asked(tmp_path):
    tracking = _tracking(tmp_path, "losses", (), lambda job: FACTS, [].append)
    asked, answer, answered = threading.Event(), threading.Event(), threading.Event()

    class Slow:
        def on_experiment_end(self, trials):
            asked.set()
            answer.wait(60)
            answered.set()

    tracking._loggers["slow"] = Slow()
    tracking.close(0.2)
    assert asked.wait(60)
    assert not answered.is_set(), "the end has waited for an answer"
    answer.set()
    assert answered.wait(60)


def test_without_its_package_a_tracker_is_refused_before_anything_runs(monkeypatch, tmp_path):
    (tmp_path / "wandb").mkdir()  # as W&B leaves it: importable, and empty
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="extra `wandb`"):
        check_trackers(["wandb"])
    check_trackers([])
