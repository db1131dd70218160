"""ModelSpec: frozen, hashable, validated with helpful messages, free of TensorFlow."""

import subprocess
import sys

import pytest

import models
from models import BACKBONES


def test_importing_models_imports_no_tensorflow() -> None:
    code = "import sys, models; models.ModelSpec(); assert not {'tensorflow', 'keras', 'ray'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_equal_specs_hash_alike_and_cannot_change() -> None:
    first, second = models.ModelSpec(dropout=0.2), models.ModelSpec(dropout=0.2)
    assert hash(first) == hash(second)
    assert len({first, second, models.ModelSpec()}) == 2
    with pytest.raises(ValueError, match="frozen"):
        first.dropout = 0.3


@pytest.mark.parametrize(("stride", "rates"), [(8, (12, 24, 36)), (16, (6, 12, 18)), (32, (3, 6, 9))])
def test_rates_follow_from_the_stride(stride: int, rates: tuple[int, ...]) -> None:
    assert models.ModelSpec(output_stride=stride).rates == rates


def test_rates_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="rates"):
        models.ModelSpec(rates=(1, 2, 3))


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"backbone": "resnet19"}, ["'resnet19'", "did you mean 'resnet18'", "mobilenetv3_small"]),
        ({"head": "subpixels"}, ["'subpixels'", "did you mean 'subpixel'", "bilinear"]),
        ({"blur": True}, ["blur", "bilinear"]),
        ({"output_stride": 12}, ["output_stride 12 is not known; known: 8, 16, 32"]),
        ({"architecture": "deeplab_v3"}, ["'deeplab_v3'", "did you mean 'deeplabv3'"]),
        ({"architecture": "keras_cv"}, ["output_stride 32", "received output_stride 16"]),
        ({"dropout": 1.0}, ["dropout", "less than 1"]),
        ({"batch_norm_momentum": 1.0}, ["batch_norm_momentum", "at least 0 and below 1, or auto, got 1.0"]),
        ({"auxiliary_weight": 2}, ["auxiliary_weight", "less than or equal to 1"]),
        (
            {"architecture": "keras_cv", "output_stride": 32, "auxiliary_weight": 0.4},
            ["'keras_cv' has no auxiliary head"],
        ),
        ({"skip_strides": [4]}, ["skip_strides", "8 or 16"]),
        ({"skip_strides": [8, 8]}, ["skip_strides names a stride twice: [8, 8]"]),
        ({"architecture": "deeplabv3", "skip_strides": [8]}, ["the decoder of 'deeplabv3plus'", "'deeplabv3'"]),
        (
            {"architecture": "keras_cv", "output_stride": 32, "skip_strides": [8]},
            ["skip_strides belong to the decoder of 'deeplabv3plus'"],
        ),
        ({"architecture": "keras_hub", "output_stride": 32, "separable": False}, ["'keras_hub' has no separable"]),
        (
            {"architecture": "keras_hub_segformer", "output_stride": 32, "low_level_channels": 24},
            ["'keras_hub_segformer' has no low_level_channels"],
        ),
        ({"architecture": "keras_hub"}, ["'keras_hub' has output_stride 32", "received output_stride 16"]),
        (
            {"architecture": "keras_cv", "output_stride": 32, "dropout": 0.2, "sync_batch_norm": True},
            ["'keras_cv' has no dropout, sync_batch_norm", "defaults"],
        ),
        (
            {"weights": "imagenet", "backbone": "resnet50"},
            ["'resnet50_imagenet'", "download", "efficientnetlite_b0", "path of a weights file"],
        ),
        ({"weights": "imagenet", "backbone": "resnet18"}, ["no preset exists"]),
    ],
)
def test_errors_say_what_was_received_and_what_is_valid(fields: dict, parts: list[str]) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  the message is what is tested
        models.ModelSpec(**fields)
    assert [part for part in parts if part not in str(error.value)] == []


def test_every_backbone_makes_a_spec() -> None:
    for name, row in BACKBONES.items():
        assert models.ModelSpec(backbone=name, output_stride=max(row.strides)).backbone == name


def test_a_model_alone_has_no_steps_that_a_momentum_could_fit() -> None:
    spec = models.ModelSpec(batch_norm_momentum="auto")
    with pytest.raises(ValueError, match="'auto' needs a number of steps"):
        _ = spec.momentum
    assert models.ModelSpec(batch_norm_momentum=0).momentum == 0.0
