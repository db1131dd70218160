"""The scores: hand-counted matrices, a brute-force boundary band, and independence of batch size and replicas."""

import keras
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

import losses
from bench.data import Slice
from bench.trial import RunningConfusion, legacy_iou
from bench.trial.evaluator import Evaluator, Scores, label_map
from bench.trial.metrics import UNROLLED, boundary_band, class_dice, confusion_matrix, score_image
from results import class_iou


def test_confusion_matrix_counts_pairs_and_leaves_void_out():
    truth = np.array([[0, 0, 1], [1, 2, 255]], np.uint8)
    prediction = np.array([[0, 1, 1], [1, 0, 2]], np.uint8)
    matrix = confusion_matrix(truth, prediction, 3).numpy()
    assert matrix.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]


@pytest.mark.parametrize("classes", [2, 8, UNROLLED, UNROLLED + 1])
def test_the_running_matrix_is_that_of_the_arg_max(classes):
    """Logits of few values, so that many are equal: the first of them is the prediction, as numpy has it."""
    rng = np.random.default_rng(0)
    truth = rng.choice([*range(classes), 255], (2, 12, 16)).astype(np.uint8)
    logits = rng.integers(-2, 3, (2, 12, 16, classes)).astype(np.float32)
    expected = np.zeros((classes, classes), np.int64)
    known = truth < classes
    np.add.at(expected, (truth[known], logits.argmax(-1)[known]), 1)
    metric = RunningConfusion(classes)
    for _ in range(2):
        metric.update_state(truth, tf.constant(logits))
    np.testing.assert_array_equal(metric.counts(), 2 * expected)
    assert float(metric.result()) == pytest.approx(np.nanmean(class_iou(expected)))
    metric.reset_state()
    beside = np.stack([logits, -logits], 1)  # an auxiliary head's logits come second
    metric.update_state(truth, tf.constant(beside))
    np.testing.assert_array_equal(metric.counts(), expected)


def test_the_running_miou_is_over_the_classes_that_occur():
    metric = RunningConfusion(4)
    assert float(metric.result()) == 0, "nothing was seen"
    # Class 0: hit 1 of 2, predicted 1; class 1: hit 1 of 1, predicted 2; classes 2 and 3 do not occur.
    metric.update_state(np.array([[[0, 0, 1, 255]]]), tf.one_hot([[[0, 1, 1, 3]]], 4))
    assert float(metric.result()) == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_the_row_of_a_view_by_hand():
    matrix = np.array([[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    near = np.zeros((5, 5), int)
    near[0, :2] = near[4, 4] = 3  # the last row and column are not near a boundary
    scores = Scores(matrix, near, np.array([0.25, np.nan, 0.75]), 0.5, 6, 2.0)
    row = scores.as_dict(("a", "b", "c", "d"))
    assert {name: row[name] for name in ("miou", "mean_dice", "pixel_accuracy", "mean_image_iou", "boundary_iou")} == {
        "miou": pytest.approx((1 / 3 + 2 / 3 + 0) / 3),
        "mean_dice": pytest.approx((1 / 2 + 4 / 5 + 0) / 3),
        "pixel_accuracy": pytest.approx(3 / 5),
        "mean_image_iou": 0.5,
        "boundary_iou": pytest.approx((1 / 2 + 0) / 2),
    }
    assert (row["images"], row["loss"], row["images_per_second"], row["absent_classes"]) == (6, 0.5, 3.0, ["d"])
    assert (row["confusion"], len(row["iou"]), len(row["dice"]), len(row["boundary"])) == (matrix.tolist(), 4, 4, 4)
    nothing = Scores(0 * matrix, 0 * near, np.array([np.nan]), 0.0, 1, 0.0).as_dict(("a", "b", "c", "d"))
    assert np.isnan([nothing[name] for name in ("miou", "mean_dice", "pixel_accuracy", "mean_image_iou")]).all()
    assert (nothing["images_per_second"], nothing["absent_classes"]) == (None, ["a", "b", "c", "d"])


def test_iou_and_dice_by_hand():
    matrix = np.array([[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    # class 0: hit 1, truth 2, predicted 2; class 1: hit 2, truth 2, predicted 3; class 2: hit 0 of 1; class 3: nowhere
    np.testing.assert_allclose(class_iou(matrix)[:3], [1 / 3, 2 / 3, 0])
    np.testing.assert_allclose(class_dice(matrix)[:3], [2 / 4, 4 / 5, 0])
    assert np.isnan(class_iou(matrix)[3])
    assert np.isnan(class_dice(matrix)[3])


@pytest.mark.parametrize("distance", [1, 2, 5])
def test_boundary_band_is_each_mask_less_its_erosion(distance):
    labels = np.random.default_rng(0).integers(0, 3, (5, 7)).repeat(6, 0).repeat(5, 1)
    band = boundary_band(tf.constant(labels, tf.int32), tf.constant(distance)).numpy()
    square = np.ones((2 * distance + 1,) * 2)
    expected = np.zeros(labels.shape, bool)
    for c in range(3):  # outside the picture counts as another label, as in the paper's code
        expected |= (labels == c) & ~scipy.ndimage.binary_erosion(labels == c, square, border_value=0)
    np.testing.assert_array_equal(band, expected)


def test_boundary_iou_sees_only_the_bands():
    truth = np.zeros((50, 50), np.int32)
    truth[10:40, 10:40] = 1
    hole = truth.copy()
    hole[23:27, 23:27] = 0  # an error far from the truth's boundary, 4x4 of 30x30
    _, perfect = score_image(tf.constant(truth), tf.constant(truth), 2)
    assert class_iou(perfect.numpy())[:2].tolist() == [1.0, 1.0]
    whole, edge = score_image(tf.constant(truth), tf.constant(hole), 2)
    # d = round(.02 * 70.7) = 1: truth's band has 30^2 - 28^2 = 116 pixels, the hole adds a ring of 6^2 - 4^2 = 20
    assert class_iou(edge.numpy())[1] == pytest.approx(116 / 136)
    assert class_iou(whole.numpy())[1] == pytest.approx((900 - 16) / 900)


def test_the_band_of_boundary_iou_is_2_percent_of_the_diagonal_wide():
    truth = np.zeros((100, 100), np.int32)
    truth[30:70, 30:70] = 1
    hole = truth.copy()
    hole[48:52, 48:52] = 0
    _, edge = score_image(tf.constant(truth), tf.constant(hole), 2)
    # d = round(.02 * 141.4) = 3, and 2 of the side: a band of 40^2 - 34^2, and the hole's ring of 10^2 - 4^2 beside it
    assert class_iou(edge.numpy())[1] == pytest.approx(444 / (444 + 84))


def test_the_band_of_a_small_image_is_a_pixel_wide():
    # .02 * 14.1 would be none: the ring of a picture of one class has 10^2 - 8^2 pixels.
    one = tf.ones((10, 10), tf.int32)
    assert score_image(one, one, 2)[1].numpy().tolist() == [[0, 0, 0], [0, 36, 0], [0, 0, 64]]


def test_what_is_predicted_in_void_does_not_count():
    truth = np.zeros((50, 50), np.int32)
    truth[8:42, 8:42] = 255  # void between the object and what is behind it, as in Oxford-IIIT Pets
    truth[14:36, 14:36] = 1
    rng = np.random.default_rng(0)
    right = np.where(truth == 255, rng.integers(0, 2, truth.shape), truth)
    for matrix in score_image(tf.constant(truth), tf.constant(right), 2):
        assert class_iou(matrix.numpy())[:2].tolist() == [1.0, 1.0]


def test_label_map_crops_and_resizes_logits_not_ids():
    logits = np.zeros((4, 4, 3), np.float32)
    logits[:2, :2, 0] = 1.0
    logits[:2, 1, 2] = 3.0  # content is the upper left 2x2; the rest would win everywhere if it were not cropped
    logits[2:, :, 1] = logits[:, 2:, 1] = 99.0
    out = label_map(tf.constant(logits), tf.constant([2, 2]), tf.constant([2, 8])).numpy()
    # between the columns the logits are (1, 0, 0) and (1, 0, 3): class 2 wins once its weight passes 1/3
    assert out.tolist() == [[0, 0, 0, 2, 2, 2, 2, 2]] * 2


class Fixed(keras.Model):
    """Logits that are a fixed function of the image: channel c is high where the pixel's red equals c."""

    def call(self, image, training=False):
        return tf.one_hot(tf.cast(image[..., 0], tf.int32), 3)


def _batches(count: int, batch: int) -> tf.data.Dataset:
    rng = np.random.default_rng(1)
    filler = -count % batch
    image = rng.integers(0, 3, (count, 12, 10, 3)).astype(np.uint8)
    label = rng.integers(0, 4, (count, 12, 10)).astype(np.uint8)
    label[label == 3] = 255
    image = np.concatenate([image, np.zeros((filler, 12, 10, 3), np.uint8)])
    label = np.concatenate([label, np.full((filler, 12, 10), 255, np.uint8)])
    index = np.concatenate([np.arange(count), np.full(filler, -1)]).astype(np.int32)
    sizes = np.tile(np.array([[12, 10]], np.int32), (count + filler, 1))
    rows = {"image": image, "label": label, "image_size": sizes, "label_size": sizes, "index": index}
    return tf.data.Dataset.from_tensor_slices(rows).batch(batch, drop_remainder=True)


def _loss():
    return losses.get("cross_entropy", average="image")


def _scores(count: int, batch: int, strategy: tf.distribute.Strategy) -> dict:
    return Evaluator(Fixed(), _loss(), 3, strategy)(_batches(count, batch)).as_dict()


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_scores_do_not_depend_on_the_batch(batch):
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    whole, parts = _scores(7, 7, strategy), _scores(7, batch, strategy)  # 3 and 8 end in a batch with filler
    assert parts["images"] == 7
    for name in ("confusion", "boundary", "mean_image_iou"):
        assert parts[name] == whole[name], name
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-6)


def test_the_validation_loss_is_the_mean_over_images_of_each_image_s_mean():
    log = np.log(np.e + 2)  # one-hot logits over 3 classes: a pixel costs log - 1 when right, log when wrong
    costs = []
    for batch in _batches(7, 1):
        truth, seen = batch["label"][0].numpy(), batch["image"][0, :, :, 0].numpy()
        costs.append(np.mean(np.where(truth == seen, log - 1, log)[truth < 255]))
    assert _scores(7, 4, tf.distribute.OneDeviceStrategy("CPU:0"))["loss"] == pytest.approx(np.mean(costs), rel=1e-6)


def test_label_maps_are_of_the_images_that_are_wanted():
    evaluator = Evaluator(Fixed(), _loss(), 3, tf.distribute.OneDeviceStrategy("CPU:0"))
    found = evaluator.predict(_batches(5, 3), {0, 3})
    assert sorted(found) == [0, 3]
    kept = evaluator(_batches(5, 3), {0, 3}).predictions
    assert sorted(kept) == [0, 3]
    assert evaluator(_batches(5, 3)).predictions == {}
    images = np.concatenate([batch["image"] for batch in _batches(5, 1)])
    for index, labels in found.items():
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, images[index, ..., 0])
        np.testing.assert_array_equal(labels, kept[index])
    void = _batches(5, 3).map(
        lambda batch: {**batch, "label": tf.fill(tf.shape(batch["label"]), tf.constant(255, tf.uint8))}
    )
    scores = evaluator(void)
    assert (scores.loss, scores.images, scores.confusion.sum()) == (0, 5, 0), "nothing to be right or wrong about"


def test_slices_are_counted_from_their_images_alone():
    """Two slices of one feature add up to the whole matrix; the images of each are counted by hand."""
    slices = [Slice("time", "day", np.array([0, 3, 4])), Slice("time", "night", np.array([1, 2]))]
    evaluator = Evaluator(Fixed(), _loss(), 3, tf.distribute.OneDeviceStrategy("CPU:0"))
    scores = evaluator(_batches(5, 2), slices=slices)
    (batch,) = _batches(5, 5)
    truth, seen = batch["label"].numpy(), batch["image"].numpy()[..., 0]
    for one, found in zip(slices, scores.slices, strict=True):
        expected = np.zeros((3, 3), int)
        known = truth[one.positions] < 3
        np.add.at(expected, (truth[one.positions][known], seen[one.positions][known]), 1)
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(scores.slices.sum(0), scores.confusion)
    rows = scores.as_dict(slices=slices)["slices"]
    assert [(row["feature"], row["value"], row["images"]) for row in rows] == [("time", "day", 3), ("time", "night", 2)]
    assert [row["confusion"] for row in rows] == scores.slices.tolist()
    assert evaluator(_batches(5, 2)).as_dict()["slices"] == []


def test_published_numbers_are_of_all_images_in_the_order_of_the_split():
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    found = Evaluator(Fixed(), _loss(), 3, strategy, as_published=True)(_batches(10, 4))
    (whole,) = _batches(10, 10)
    overlaps = legacy_iou.overlaps(whole["label"], Fixed()(whole["image"])).numpy()
    expected = legacy_iou.metrics(overlaps, found.confusion)
    assert found.published == {name: pytest.approx(value, rel=1e-6) for name, value in expected.items()}
    assert Evaluator(Fixed(), _loss(), 3, strategy)(_batches(4, 4)).published is None


def test_an_image_scored_twice_is_noticed():
    twice = _batches(4, 4).concatenate(_batches(4, 4))
    with pytest.raises(AssertionError, match="counts once"):
        Evaluator(Fixed(), _loss(), 3, tf.distribute.OneDeviceStrategy("CPU:0"))(twice)


def test_a_long_evaluation_gives_a_sign_of_life_after_every_batch():
    from bench.data import pipeline
    from bench.data.dataset import Split
    from bench.spec import DataSpec

    rng = np.random.default_rng(3)
    pairs = [(rng.integers(0, 256, (32, 32, 3)).astype(np.uint8), np.zeros((32, 32), np.uint8)) for _ in range(5)]
    split = Split(tuple(map(str, range(5))), lambda key: pairs[int(key)])
    signs: list[int] = []
    scores = Evaluator(
        lambda images, training: images[..., :2],
        losses.get("cross_entropy", average="image"),
        2,
        tf.distribute.OneDeviceStrategy("CPU:0"),
        alive=lambda: signs.append(1),
    )(pipeline.evaluation(split, DataSpec(size=32), 2))
    assert scores.images == 5
    assert len(signs) == 3
