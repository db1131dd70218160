"""Real trainings, with dropout on, that are interrupted and go on: the numbers are those of one that never stopped."""

import os
from pathlib import Path

import pytest

import results
from bench import checkpoint, supervisor
from bench.grid import single
from bench.supervisor import End, Limits

PROJECT = Path(__file__).resolve().parents[2]
SETTINGS = [
    "train.epochs=2", "train.steps_per_epoch=3", "train.batch_size=4", "train.deterministic=true", "eval.batch_size=5",
    "data.size=64", "data.crop=64", "data.train_limit=8", "data.val_limit=5", "data.test_limit=3", "eval.pictures=0",
    "model.backbone=resnet18", "model.aspp_channels=16", "model.decoder_channels=16", "model.dropout=0.5",
    "loss.name=scheduled_mix", "loss.params={losses: [cross_entropy, dice]}",
]  # fmt: skip


@pytest.fixture(scope="module")
def train():
    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", os.pathsep.join([str(PROJECT), str(Path(__file__).parent)]))

    def train(folder, settings=(), **more):
        spec = single([*SETTINGS, *settings], "smoke", "float32")
        folder.mkdir(exist_ok=True)
        payload = {
            "trial": "t", "label": "t", "axes": {}, "spec": spec.model_dump(mode="json"), "folder": str(folder),
            "cpus": 2, "shared": True, "tuning": None, **more,
        }  # fmt: skip
        log = folder / "log.txt"
        assert supervisor.run("fault_jobs:trains", payload, str(log), Limits(), lambda event: None) == End("returned")
        return results.read(folder)

    yield train
    patch.undo()


def _measured(record):
    """All numbers of a training but the clocks."""
    epochs = [epoch.model_dump(exclude={"seconds", "images_per_second"}) for epoch in record.history]
    return epochs, [view.model_dump(exclude={"eval_images_per_second", "images_per_second"}) for view in record.views]


@pytest.mark.parametrize("settings", [(), ("placement.cpu_replicas=2",)])
def test_a_picture_that_breaks_in_epoch_2_costs_that_epoch_and_what_follows_is_bit_equal(train, tmp_path, settings):
    """Bit-equal also because both are `--deterministic`: two processes, one seed."""
    whole = train(tmp_path / "whole", settings)
    assert (whole.status, len(whole.history)) == ("ok", 2), whole.error
    assert not (tmp_path / "whole" / checkpoint.FILE).exists()

    broken = train(tmp_path / "t", settings, broken_from=4 * 3 + 5)
    assert broken.status == "crashed"
    assert "images/b.png: image file is truncated" in broken.error.message
    assert _measured(broken)[0] == _measured(whole)[0][:1]
    kept = checkpoint.read(tmp_path / "t").state["clocks"]
    if not settings:  # an attempt that does not get to its data leaves what an earlier one left
        assert train(tmp_path / "t", ["data.dataset=folder", f"data.root={tmp_path / 'unmounted'}"]).status == "invalid"
        assert checkpoint.read(tmp_path / "t").state["clocks"] == kept

    resumed = train(tmp_path / "t", settings)
    assert resumed.status == "ok", resumed.error
    assert (resumed.environment["attempt"], resumed.environment["resumed_after_epoch"]) == (2 if settings else 3, 1)
    assert resumed.spec["train"]["deterministic"]
    assert _measured(resumed) == _measured(whole)
    assert resumed.clocks.train_s > kept["train_s"] > 0  # of both attempts, but for the epoch that was lost
    assert resumed.clocks.compile_s > kept["compile_s"] > 0
    assert not (tmp_path / "t" / checkpoint.FILE).exists()


def test_a_view_that_fails_costs_that_view(train, tmp_path):
    settings = ["train.epochs=1", "eval.views=[{crf: true}, {flip: true}]"]
    record = train(tmp_path / "t", settings, no_crf=True)
    assert record.status == "ok", record.error
    assert {view.view for view in record.views} == {"default", "flip"}
    assert [*record.failed_views] == ["crf"]
    assert record.failed_views["crf"].startswith("OOM when allocating tensor")
    assert [artefact.kind for artefact in record.artefacts] == ["checkpoint"]
