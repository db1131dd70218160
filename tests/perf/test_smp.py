"""SMP as a side of comparisons: settings that it does not have are refused, and its encoder has our features."""

import sys

import numpy as np
import pytest

from bench.core import EXIT_USAGE, UsageError
from bench.perf import smp
from bench.plan import single
from tests.commands.here import call

OURS = [f"model.backbone={smp.BACKBONE}", "model.weights=imagenet"]


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("model.backbone=efficientnetlite_b1", "model.backbone=efficientnetlite_b0 and model.weights=imagenet only"),
        ("loss.name=dice", "loss.name=cross_entropy and train.optimizer=adamw only"),
        ("train.ema=0.9", "--set train.ema: the other side has no such setting; leave it out"),
        ("train.smaller_crops=[[0.5, 64]]", "--set train.smaller_crops"),
        ("loss.params={class_weights: median_frequency}", "--set loss.params"),
        ("model.auxiliary_weight=0.4", "--set model.auxiliary_weight"),
        ("data.pixel_weights=unet", "--set data.pixel_weights"),
    ],
)
def test_settings_without_a_counterpart_are_refused(setting, why):
    smp.check(single(OURS, "smoke", "float32"))
    with pytest.raises(UsageError, match=why):
        smp.check(single([*OURS, setting], "smoke", "float32"))


def test_what_is_not_installed_is_named_before_anything_is_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    status, _, told = call(smp.main, "maps", cwd=tmp_path, patch=monkeypatch, capsys=capsys)
    assert status == EXIT_USAGE
    assert "segmentation_models_pytorch is not installed; pip install -e '.[peers]'" in told
    assert not [*tmp_path.iterdir()]


def test_both_encoders_have_equal_features_and_label_maps_the_size_of_the_label():
    pytest.importorskip("segmentation_models_pytorch")
    assert smp.encoder_difference() < smp.NEAR
    model = smp.peer_model(single([*OURS, "model.output_stride=16"], "smoke", "float32"), 3)
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    found = smp.label_map(model, image, (25, 35))
    assert (found.shape, found.dtype) == ((25, 35), np.uint8)
    assert found.max() < 3
