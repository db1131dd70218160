"""Ray's loggers, fed with events of jobs: what arrives in TensorBoard files and in a local MLflow store."""

import importlib.util
import struct
import threading

import pytest

from bench.core import UsageError
from bench.execution.cluster_checks import check_trackers
from bench.execution.tracking import Tracking

FACTS = {"label": "dice", "model": {"backbone": "resnet18"}, "train": {"epochs": 2}}


def emit_job(tracking, job, miou):
    from bench.execution.ray_tune import Event

    tracking(Event("started", job))
    tracking(Event("message", job, {"event": "started", "pid": 1}))
    for epoch in (1, 2):
        data = {"event": "epoch", "epoch": epoch, "step": 10 * epoch, "loss": 1.0 / epoch, "miou": miou * epoch / 2}
        tracking(Event("message", job, data))
    tracking(Event("message", job, {"event": "result", "epoch": 2, "step": 20, "final_miou": miou}))


def tracked(folder, services=(), notes=None):
    facts = dict.fromkeys(("dice-s0", "dice-s1"), FACTS)
    tracking = Tracking(folder, "losses", services, facts, (notes if notes is not None else []).append)
    emit_job(tracking, "dice-s0", 0.5)
    tracking.ended("dice-s0", True)
    emit_job(tracking, "dice-s1", 0.4)  # and is cut off
    tracking.close()


def scalars(folder, name):
    """(step, value) of a scalar; an event file holds length (8 bytes), checksum (4), event, checksum (4), and so on."""
    from tensorboardX.proto.event_pb2 import Event

    (file,) = folder.glob("events.out.tfevents.*")
    rest, found = file.read_bytes(), []
    while rest:
        (length,) = struct.unpack("<Q", rest[:8])
        event, rest = Event.FromString(rest[12 : 12 + length]), rest[16 + length :]
        found += [(event.step, value.simple_value) for value in event.summary.value if value.tag == f"ray/tune/{name}"]
    return found


def test_tensorboard_files_hold_every_number_at_its_step(tmp_path):
    tracked(tmp_path / "tensorboard")
    for job, miou in (("dice-s0", 0.5), ("dice-s1", 0.4)):
        folder = tmp_path / "tensorboard" / job
        assert scalars(folder, "miou") == [(10, pytest.approx(miou / 2)), (20, pytest.approx(miou))]
        assert scalars(folder, "final_miou") == [(20, pytest.approx(miou))]


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
    tracking = Tracking(tmp_path, "losses", (), {"dice-s0": FACTS}, [].append)
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
