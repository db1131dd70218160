"""Weights: the restricted reader, the conversion, files of either Keras, and errors that name the layer."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import models
from models import BACKBONES
from models.encoder import torch_state, weights
from models.encoder.backbones import Backbone
from models.encoder.pyramid import build_backbone

CONVERTED = Path(__file__).parents[3] / "shared/weights"


@pytest.fixture(scope="module")
def b0() -> keras.Model:
    model = build_backbone(BACKBONES["efficientnetlite_b0"])
    weights.load(model, "efficientnetlite_b0", "imagenet")
    return model


@pytest.fixture(scope="module")
def fresh(thin_resnet: Backbone) -> dict[str, keras.Model]:
    """Backbones that weights are loaded into: each is built once."""
    return {name: build_backbone(BACKBONES[name]) for name in ("efficientnetlite_b0", "resnet18")}


def _emptied(model: keras.Model) -> keras.Model:
    model.set_weights([np.zeros(value.shape) for value in model.get_weights()])
    return model


@pytest.mark.parametrize("size", ["b0", "b1"])
def test_package_equals_the_converted_file(size: str) -> None:
    path = CONVERTED / f"efficientnetlite_{size}_imagenet" / f"efficientnetlite_{size}_imagenet.h5"
    if not path.exists():
        pytest.skip(f"no independently converted weights at {path}")
    name = f"efficientnetlite_{size}"
    model = build_backbone(BACKBONES[name])
    weights.load(model, name, "imagenet")
    ours = model.get_weights()
    weights.load(model, name, str(path))
    for one, other in zip(ours, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_array_but_the_classifier_is_used(b0: keras.Model) -> None:
    state = torch_state.read(weights._package_file("efficientnetlite_b0"))
    used = [value for key, value in state.items() if not key.startswith("_fc.") and value.dtype == np.float32]
    loaded = b0.get_weights()
    assert len(used) == len(loaded) == 245
    assert sum(value.sum(dtype="float64") for value in used) == pytest.approx(
        sum(v.sum(dtype="float64") for v in loaded)
    )
    assert state["_conv_stem.weight"].shape == (32, 3, 3, 3)
    stem = b0.get_layer("stem_conv").get_weights()[0]
    assert stem[2, 1, 0, 31] == state["_conv_stem.weight"][31, 0, 2, 1]


def test_an_array_without_a_place_is_an_error(b0: keras.Model) -> None:
    state = torch_state.read(weights._package_file("efficientnetlite_b0"))
    state["_blocks.99._bn0.weight"] = np.zeros(3)
    layers = [layer.name for layer in b0.layers if layer.weights]
    with pytest.raises(ValueError, match=r"_blocks\.99\._bn0\.weight"):
        weights._efficientnet_lite(state, layers)


def test_anything_but_tensors_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    path = tmp_path / "evil.pth"
    path.write_bytes(b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}, Evil())))
    with pytest.raises(ValueError, match=r"refused (posix|nt)\.system"):
        torch_state.read(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".h5"])
def test_a_saved_backbone_loads_and_does_not_fit_another(
    suffix: str, tmp_path: Path, b0: keras.Model, fresh: dict[str, keras.Model]
) -> None:
    path = tmp_path / f"saved{suffix}"
    (b0.save_weights if suffix == ".weights.h5" else b0.save)(path)
    loaded = _emptied(fresh["efficientnetlite_b0"])
    weights.load(loaded, "efficientnetlite_b0", str(path))
    for one, other in zip(loaded.get_weights(), b0.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="conv1_conv"):
        weights.load(fresh["resnet18"], "resnet18", str(path))


def test_missing_files_are_named_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'/nowhere/x\.h5' of backbone 'resnet18' are neither 'none'"):
        weights.check_weights("resnet18", "/nowhere/x.h5")
    (tmp_path / "x.txt").touch()
    with pytest.raises(ValueError, match=r"should end in one of \.h5"):
        weights.check_weights("resnet18", str(tmp_path / "x.txt"))
    (tmp_path / "x.h5").write_text("no HDF5")
    with pytest.raises(ValueError, match="cannot be read as HDF5"):
        weights.load(None, "resnet18", str(tmp_path / "x.h5"))
    weights.check_weights("resnet18", "none")
    weights.check_weights("efficientnetlite_b1", "imagenet")


def test_weights_of_blocks_and_of_unnamed_layers_go_by_order(tmp_path: Path) -> None:
    """KerasCV numbers parts of CSPDarkNet by the process; a file of another process has other numbers."""
    row = BACKBONES["csp_darknet_s"]
    small = {**row.arguments, "stackwise_channels": (8, 16, 24, 32), "stackwise_depth": (1, 1, 1, 1)}
    one, other = (build_backbone(replace(row, arguments=small)) for _ in range(2))
    for suffix in (".h5", ".weights.h5"):
        (one.save if suffix == ".h5" else one.save_weights)(tmp_path / f"one{suffix}")
        weights.load(_emptied(other), "csp_darknet_s", str(tmp_path / f"one{suffix}"))
        for ours, theirs in zip(other.get_weights(), one.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_deeper_network_is_another_architecture(tmp_path: Path) -> None:
    row = BACKBONES["resnet18"]
    thin = {**row.arguments, "stackwise_filters": (64, 8, 16, 16)}
    shallow, deep = (
        build_backbone(replace(row, arguments={**thin, "stackwise_blocks": blocks}))
        for blocks in ((1, 1, 1, 1), (1, 1, 1, 2))
    )
    before = shallow.get_weights()
    for suffix in (".h5", ".keras"):
        deep.save(tmp_path / f"deep{suffix}")
        with pytest.raises(
            ValueError, match="of another architecture: this one has no layer 'v2_stack_3_block2_1_conv'"
        ):
            weights.load(shallow, "resnet18", str(tmp_path / f"deep{suffix}"))
    for old, new in zip(before, shallow.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_of_a_whole_model_the_backbone_is_taken(tmp_path: Path, fresh: dict[str, keras.Model]) -> None:
    small = {"aspp_channels": 8, "decoder_channels": 8, "low_level_channels": 8}
    whole = models.build(models.ModelSpec(backbone="resnet18", **small), 3)
    for suffix in (".h5", ".keras"):
        whole.save(tmp_path / f"whole{suffix}")
        loaded = _emptied(fresh["resnet18"])
        weights.load(loaded, "resnet18", str(tmp_path / f"whole{suffix}"))
        for ours, theirs in zip(whole.get_layer("backbone").get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_refused_download_names_the_preset_and_the_offline_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("KAGGLEHUB_CACHE", "/nonexistent")
    weights.check_weights("resnet50", "resnet50_imagenet")
    with pytest.raises(
        ValueError, match=r"'resnet50_imagenet' could not be downloaded \(.*\); use weights 'none', the path"
    ):
        weights.load(None, "resnet50", "resnet50_imagenet")
    with pytest.raises(
        ValueError,
        match=r"'resnet50_imagenet' of backbone 'resnet18' are neither 'none', 'imagenet' nor an",
    ):
        weights.check_weights("resnet18", "resnet50_imagenet")
