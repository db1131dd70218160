"""Real trainings, with dropout on, that are interrupted and go on: the numbers are those of one that never stopped."""

import os
from pathlib import Path

import h5py
import pytest

import results
from bench.core import CHECKPOINT_FILE, WEIGHTS_FILE, Checkpoint, read_checkpoint
from bench.execution import forked_process, supervisor
from bench.execution.supervisor import End, Limits
from bench.plan import single
from bench.trial import checkpoint, trial

PROJECT = Path(__file__).resolve().parents[2]
FORKED = ("bench.trial:warm_up", "2", "keras_cv")
"""The process that goes on with a training is forked, and that of the whole training is a fresh one."""
SETTINGS = [
    "train.epochs=2", "train.steps_per_epoch=3", "train.batch_size=4", "train.deterministic=true", "eval.batch_size=5",
    "data.size=64", "data.crop=64", "data.train_limit=8", "eval.pictures=0",
    "data.val_limit=5", "data.test_limit=5",  # batches of one shape are traced once
    "model.backbone=resnet18", "model.architecture=deeplabv3", "model.separable=false",  # few layers are traced soon
    "model.output_stride=32", "model.aspp_channels=16", "model.decoder_channels=16", "model.dropout=0.5",
    "train.ema=0.9", "train.backbone_rate=0.5",
    "loss.name=scheduled_mix", "loss.params={losses: [cross_entropy, dice]}",
]  # fmt: skip
# Two epochs with a frozen backbone and small crops, then one without: it is interrupted in the second.
PHASES = (
    "train.epochs=3", "train.freeze=backbone", "train.freeze_for=0.6", "train.smaller_crops=[[0.6, 48]]",
    "placement.cpu_replicas=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def train():
    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", os.pathsep.join([str(PROJECT), str(Path(__file__).parent)]))

    def train(place, settings=(), warm_up=(), **more):
        place.mkdir(exist_ok=True)
        payload = {
            "trial": "t", "label": "t", "axes": {}, "spec": _spec(settings), "folder": str(place),
            "cpus": 2, "shared": True, "tuning": None, "code": [], **more,
        }  # fmt: skip
        log = str(place / "log.txt")
        end = supervisor.run("fault_jobs:trains", payload, log, Limits(), lambda event: None, warm_up=warm_up)
        assert end == End("returned")
        return results.read(place)

    yield train
    forked_process.end_server()
    patch.undo()


def _spec(settings):
    return single([*SETTINGS, *settings], "smoke", "float32").model_dump(mode="json")


def _measured(record):
    """All numbers of a training but the clocks."""
    epochs = [epoch.model_dump(exclude={"seconds", "images_per_second"}) for epoch in record.history]
    views = [view for view in record.views if view.view == "default"]
    return epochs, [view.model_dump(exclude={"eval_images_per_second", "images_per_second"}) for view in views]


def _weights(folder):
    """The bytes of all weights that a trial left, by name."""
    found = {}

    def keep(name, node):
        if isinstance(node, h5py.Dataset):
            found[name] = node[()].tobytes()

    with h5py.File(folder / WEIGHTS_FILE) as file:
        file.visititems(keep)
    assert found
    return found


@pytest.mark.parametrize("settings", [(), pytest.param(PHASES, marks=pytest.mark.slow)])
def test_a_picture_that_breaks_in_epoch_2_costs_that_epoch_and_what_follows_is_bit_equal(train, tmp_path, settings):
    """Bit-equal also because all are `--deterministic`: the process that goes on is another one, with one seed."""
    replicas = bool(settings)
    # A view that fails costs that view, pictures that are gone the pictures; a resumed training is enough to see it.
    views = () if replicas else ("eval.views=[{crf: true}, {flip: true}]", "eval.pictures=1")
    (tmp_path / "t").mkdir()
    breaks = {"folder": str(tmp_path / "t"), "spec": _spec([*settings, *views]), "broken_from": 4 * 3 + 5}
    # One replica is trained without a MirroredStrategy and without AutoGraph: with them its first epoch is bit-equal.
    breaks["mirrored"] = not replicas
    whole = train(tmp_path / "whole", settings, then=[breaks])
    assert (whole.status, len(whole.history)) == ("ok", 3 if replicas else 2), whole.error
    assert not (tmp_path / "whole" / CHECKPOINT_FILE).exists()

    broken = results.read(tmp_path / "t")
    assert broken.status == "crashed"
    assert "images/b.png: image file is truncated" in broken.error.message
    assert _measured(broken)[0] == _measured(whole)[0][:1]
    kept = read_checkpoint(tmp_path / "t").state["clocks"]
    if not replicas:  # an attempt that does not get to its data leaves what an earlier one left
        unmounted = single(["data.dataset=folder", f"data.root={tmp_path / 'unmounted'}"], "smoke", "float32")
        assert trial.run(unmounted, tmp_path / "t").status == "invalid"
        assert read_checkpoint(tmp_path / "t").state["clocks"] == kept

    left = read_checkpoint(tmp_path / "t")
    further: dict = {}
    if not replicas:  # what other data left is not gone on from; it ends at once, at its first picture
        made_by = {**left.state["made_by"], "data": "another version"}
        assert made_by.keys() == left.state["made_by"].keys()
        (tmp_path / "other").mkdir()
        checkpoint.write(tmp_path / "other", Checkpoint({**left.state, "made_by": made_by}, left.arrays))
        further = {"no_crf": True, "no_pictures": True}
        further["then"] = [{"folder": str(tmp_path / "other"), "broken_from": 0}]

    # Images/s are kept, but for those of another machine.
    machine = {**left.state["machine"], **({"processor": "another"} if replicas else {})}
    window = {"seconds": 1.0, "others": 0.0, "cores": len(os.sched_getaffinity(0))}
    state = {**left.state, "windows": [1000.0], "states": [window], "machine": machine}
    checkpoint.write(tmp_path / "t", Checkpoint(state, left.arrays))

    resumed = train(tmp_path / "t", [*settings, *views], FORKED, **further)
    assert resumed.status == "ok", resumed.error
    assert (resumed.environment["attempt"], resumed.environment["resumed_after_epoch"]) == (2, 1)
    assert (whole.environment["process"], resumed.environment["process"]) == ("fresh", "forked")
    assert resumed.spec["train"]["deterministic"]
    assert _measured(resumed) == _measured(whole)
    assert _weights(tmp_path / "t") == _weights(tmp_path / "whole")
    assert resumed.clocks.train_s > kept["train_s"] > 0  # of both attempts, but for the epoch that was lost
    assert resumed.clocks.compile_s > kept["compile_s"] > 0
    assert not (tmp_path / "t" / CHECKPOINT_FILE).exists()
    assert (1000.0 in resumed.throughput.windows) == (not replicas)
    assert {view.view for view in resumed.views} == ({"default", "flip"} if views else {"default"})
    assert [*resumed.failed_views] == (["crf"] if views else [])
    if views:
        assert resumed.failed_views["crf"].startswith("OOM when allocating tensor")
        assert [artefact.kind for artefact in resumed.artefacts] == ["checkpoint"]
        anew = results.read(tmp_path / "other")
        assert (anew.status, anew.history) == ("crashed", [])
        assert "resumed_after_epoch" not in anew.environment
        assert "left by other code, versions or data: from the beginning" in (tmp_path / "t" / "log.txt").read_text()
