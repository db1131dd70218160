"""Pixel weights reach the loss: made from the label as it is trained on, void weighs nothing, each kind by hand."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import losses
from bench.core import IGNORE_INDEX, UsageError
from bench.data import load, pipeline
from bench.data import pixel_weights as weights
from bench.data.dataset import Split
from bench.spec import DataSpec, TrialSpec, parse
from losses import pixel_weights

LABEL = np.array([[0, 0, 0], [0, 1, IGNORE_INDEX]], np.uint8)
OTHER = np.array([[1, 1, 1], [1, 1, 1]], np.uint8)


def test_balanced_gives_each_class_of_a_sample_the_same_weight():
    weigh = weights.weigher("balanced", [])
    # Five labelled pixels, two classes: 5 / (2 x 4) and 5 / (2 x 1).
    np.testing.assert_allclose(weigh(LABEL), [[0.625, 0.625, 0.625], [0.625, 2.5, 0]])
    np.testing.assert_allclose(weigh(OTHER), 1)


def test_frequency_weighs_by_the_whole_set():
    weigh = weights.weigher("frequency", iter([LABEL, OTHER]))
    # Eleven labelled pixels, 4 of class 0 and 7 of class 1.
    np.testing.assert_allclose(weigh(LABEL), [[11 / 8] * 3, [11 / 8, 11 / 14, 0]], rtol=1e-6)
    assert weigh(np.full((2, 2), 9, np.uint8)).sum() == 0, "a class that the set does not have"
    total = sum(weigh(label)[label == c].sum() for label in (LABEL, OTHER) for c in (0, 1))
    assert total == pytest.approx(11)


def test_unet_is_that_of_losses():
    label = np.zeros((20, 20), np.uint8)
    label[5:9, 3:8], label[5:9, 10:15] = 1, 1
    made = weights.weigher("unet", [])(label)
    np.testing.assert_array_equal(made, pixel_weights.unet_weights(label))
    assert made[6, 8] > made[15, 8] + 5, "between the two objects"


@pytest.mark.parametrize(
    ("names", "background"),
    [("pet background border", 1), ("background pet", 0), ("cell Background", 1), (None, 0)],
)
def test_unet_takes_the_class_named_background(tmp_path, names, background):
    label = np.full((48, 48), background, np.uint8)
    label[10:20, 3:20], label[10:20, 24:40] = 1 - background, 1 - background
    for split, gray in (("train", 50), ("val", 90)):
        for part, array in (("images", np.full((48, 48, 3), gray, np.uint8)), ("masks", label)):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.fromarray(array).save(tmp_path / f"{part}/{split}.png")
        (tmp_path / f"{split}.txt").write_text(split)
    if names:
        (tmp_path / "classes.txt").write_text("\n".join(names.split()))
    spec = DataSpec(
        dataset="folder", root=str(tmp_path), size=48, crop=48, augment="none", pixel_weights="unet", train_limit=1
    )
    weight = pipeline.Crops(load(spec).splits["train"], spec, 0)[0][2]
    assert weight[15, 21] > weight[40, 21] + 5, "between the two objects"
    assert weight[15, 10] == weight[11, 30], "and nothing within them"


def test_unet_is_refused_where_no_class_is_background():
    with pytest.raises(UsageError, match=r"scenes: no class is named background, .* data\.pixel_weights=unet"):
        load(DataSpec(pixel_weights="unet"))
    assert load(DataSpec(pixel_weights="balanced")).name == "scenes"


def test_none_delivers_none():
    assert weights.weigher("none", []) is None


@pytest.mark.parametrize("kind", ["balanced", "frequency", "unet"])
def test_weights_come_with_the_batch_and_fit_its_labels(kind):
    rng = np.random.default_rng(0)
    label = np.kron(rng.integers(0, 3, (8, 8)), np.ones((8, 8), int)).astype(np.uint8)
    image = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    spec = DataSpec(size=64, crop=48, augment="strong", pixel_weights=kind)
    crops = pipeline.Crops(Split(("a",), lambda _: (image, label)), spec, 0)
    for _, ids, weight in pipeline.train(crops, 4, 3):
        assert (weight.dtype, weight.shape) == (tf.float32, (4, 48, 48))
        assert (weight.numpy()[ids.numpy() == IGNORE_INDEX] == 0).all()
        assert (weight.numpy()[ids.numpy() != IGNORE_INDEX] > 0).all()
        np.testing.assert_array_equal(weight[0], crops.weigh(ids[0].numpy()))
    assert (np.asarray(ids) == IGNORE_INDEX).any()


def test_a_loss_gets_them_as_sample_weight():
    """Weighted cross-entropy of two pixels, by hand."""
    logits = tf.constant([[[[0.0, np.log(3.0)], [0.0, np.log(3.0)]]]])
    label = np.array([[[0, 1]]], np.uint8)
    weight = np.array([[[3.0, 1.0]]], np.float32)
    value = float(losses.get("cross_entropy")(label, logits, weight))
    assert value == pytest.approx((3 * np.log(4) + np.log(4 / 3)) / 4), "a weighted mean: by the weights, not by pixels"


def test_cells_without_weights_keep_their_hash():
    assert TrialSpec().cell == parse({"data": {"pixel_weights": "none", "cache": "disk"}}, "x").cell
    assert TrialSpec().cell != parse({"data": {"pixel_weights": "unet"}}, "x").cell
