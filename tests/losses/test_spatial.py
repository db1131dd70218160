"""Region mutual information and centreline Dice, worked out by hand and against a plain NumPy version."""

from math import log

import numpy as np
import pytest
import tensorflow as tf

import losses
from losses.cldice import dilate, erode, soft_skeleton

RNG = np.random.default_rng(5)


def logit(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p)).astype(np.float32)


def gradient(loss: object, labels: np.ndarray, logits: np.ndarray) -> tuple[float, np.ndarray]:
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(labels, logits)
    return float(value), tape.gradient(value, logits).numpy()


def test_rmi_by_hand() -> None:
    """Regions of one pixel: truth 0 0 1 1, p 1/4 1/4 3/4 3/4 have variances 1/4 and 1/16 and covariance 1/8.

    With epsilon 1/16, M = 1/4 + 1/16 - (1/8)^2 / (1/16 + 1/16) = 3/16, so RMI = 1/2 ln 3; BCE = ln 4/3.
    """
    labels = np.array([0, 0, 1, 1], np.uint8).reshape(1, 2, 2)
    logits = logit(np.array([1 / 4, 1 / 4, 3 / 4, 3 / 4])).reshape(1, 2, 2, 1)
    for bce_weight in (0.0, 0.5, 1.0):
        loss = losses.get("rmi", region=1, epsilon=1 / 16, bce_weight=bce_weight)
        expected = bce_weight * log(4 / 3) + (1 - bce_weight) * log(3) / 2
        assert float(loss(labels, logits)) == pytest.approx(expected, rel=1e-6)


def test_rmi_of_a_constant_prediction_is_the_truths_own() -> None:
    """p says nothing: M = variance + epsilon, here 1/4 + 1/16 = 5/16, so RMI = 1/2 ln 5."""
    labels = np.array([0, 1], np.uint8).reshape(1, 1, 2)
    loss = losses.get("rmi", region=1, epsilon=1 / 16, bce_weight=0.0)
    assert float(loss(labels, np.zeros((1, 1, 2, 1), np.float32))) == pytest.approx(log(5) / 2)


def rmi_in_float64(ids: np.ndarray, p: np.ndarray, weight: np.ndarray, pool: int, epsilon: float) -> float:
    """The definition, window by window, for one image: M, its determinant, the mean over classes."""
    rows, columns = ids.shape[0] // pool, ids.shape[1] // pool
    values = []
    for c in range(p.shape[-1]):
        points_p, points_y, weights = [], [], []
        for i in range(rows - 2):
            for j in range(columns - 2):
                area = np.s_[i * pool : (i + 3) * pool, j * pool : (j + 3) * pool]
                if (ids[area] == 255).any():
                    continue
                cells = [
                    np.s_[a * pool : (a + 1) * pool, b * pool : (b + 1) * pool]
                    for a in range(i, i + 3)
                    for b in range(j, j + 3)
                ]
                points_p.append([p[..., c][cell].mean() for cell in cells])
                points_y.append([(ids == c)[cell].mean() for cell in cells])
                weights.append(weight[area].mean())
        joint = np.cov(np.transpose(points_p), np.transpose(points_y), aweights=weights, ddof=0)
        ridge = epsilon * np.eye(9)
        left = joint[9:, 9:] + ridge - joint[9:, :9] @ np.linalg.inv(joint[:9, :9] + ridge) @ joint[:9, 9:]
        values.append(np.linalg.slogdet(left / epsilon)[1] / 2 / 9)
    return float(np.mean(values))


@pytest.mark.parametrize(("height", "width", "pool"), [(11, 9, 1), (25, 31, 2), (51, 49, 4)])
def test_rmi_is_its_definition(height: int, width: int, pool: int) -> None:
    """The pooling adapts: 4 needs 48 pixels a side, 2 needs 24."""
    coarse = RNG.integers(0, 3, (-(-height // 6), -(-width // 6))).repeat(6, 0).repeat(6, 1)[:height, :width]
    ids = coarse.astype(np.uint8)
    ids[2:4, 4] = 255
    logits = (2.0 * np.eye(3)[np.minimum(ids, 2)] + RNG.normal(size=(height, width, 3))).astype(np.float32)
    weight = RNG.uniform(0.2, 3, ids.shape).astype(np.float32)
    expected = rmi_in_float64(ids, 1 / (1 + np.exp(-logits.astype(np.float64))), weight, pool, 5e-4)
    loss = losses.get("rmi", bce_weight=0.0)
    assert float(loss(ids[None], logits[None], weight[None])) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4])
def test_rmi_is_finite(scale: float) -> None:
    """Constant, saturated and right, saturated and wrong predictions, on images with and without a window."""
    for height, width in ((1, 1), (2, 7), (6, 6), (30, 26)):
        labels = RNG.integers(0, 2, (1, height, width)).astype(np.uint8)
        for logits in (2.0 * np.eye(2)[labels] - 1, 1 - 2.0 * np.eye(2)[labels], np.ones((1, height, width, 2))):
            value, slope = gradient(losses.get("rmi"), labels, (scale * logits).astype(np.float32))
            assert np.isfinite(value)
            assert value >= 0
            assert np.isfinite(slope).all()


def test_rmi_falls_as_the_prediction_rises_to_the_truth() -> None:
    labels = RNG.integers(0, 2, (1, 16, 16)).astype(np.uint8)
    signs = (2.0 * np.eye(2)[labels] - 1).astype(np.float32)
    noise = RNG.normal(size=signs.shape).astype(np.float32)
    loss = losses.get("rmi", bce_weight=0.0)
    values = [float(loss(labels, scale * signs + noise)) for scale in (0, 1, 2, 4, 8)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.2 * values[0]


LINE = np.zeros((3, 4), np.uint8)
LINE[1] = 1


def test_erosion_takes_the_4_neighbours_and_dilation_all_8() -> None:
    dot, cross, block = (np.zeros((5, 6), np.float32) for _ in range(3))
    dot[2, 3] = cross[2, 2:5] = cross[1:4, 3] = block[1:4, 2:5] = 1
    np.testing.assert_array_equal(dilate(tf.constant(dot[None, ..., None]))[0, ..., 0], block)
    np.testing.assert_array_equal(erode(tf.constant(cross[None, ..., None]))[0, ..., 0], dot)
    np.testing.assert_array_equal(
        erode(tf.ones((1, 3, 3, 1))), np.ones((1, 3, 3, 1))
    )  # what lies beyond does not count


def test_skeleton_by_hand() -> None:
    """A line is its own skeleton; a band of three rows has the middle one, found at the first iteration."""
    line = LINE.astype(np.float32)[None, ..., None]
    np.testing.assert_array_equal(soft_skeleton(line, 3), line)
    band = np.pad(np.ones((3, 4), np.float32), ((1, 1), (0, 0)))[None, ..., None]
    middle = np.pad(line, ((0, 0), (1, 1), (0, 0), (0, 0)))
    np.testing.assert_array_equal(soft_skeleton(band, 0), 0 * band)
    np.testing.assert_array_equal(soft_skeleton(band, 1), middle)
    np.testing.assert_array_equal(soft_skeleton(band, 3), middle)
    # Erosion looks at 4 neighbours and dilation at 8: of a plus the centre is left, and the opening is larger than it.
    plus = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.float32)
    centre = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)
    padded = np.pad(np.stack([plus, centre]), ((0, 0), (1, 1), (1, 1)))[..., None]
    np.testing.assert_array_equal(soft_skeleton(padded[:1], 2), padded[1:])


def test_cldice_by_hand() -> None:
    """A line of 4 pixels with p = .8 in 12 pixels with p = .2: the openings are .2, the skeleton is .6 on the line.

    T = 2.4 / 2.4 = 1 and S = 3.2 / 4 = .8, so clDice = 1 - 1.6 / 1.8 = 1/9; Dice = 1 - 6.4 / (4.8 + 4) = 3/11.
    """
    p = np.where(LINE == 1, 0.8, 0.2)
    loss = losses.get("cldice", classes=[1], skeleton_smooth=0.0)
    logits = np.log(np.stack([1 - p, p], -1)).astype(np.float32)[None]
    assert float(loss(LINE[None], logits)) == pytest.approx((1 / 9 + 3 / 11) / 2, rel=1e-6)
    mostly = losses.get("cldice", classes=[1], alpha=0.25, skeleton_smooth=0.0)
    assert float(mostly(LINE[None], logits)) == pytest.approx(0.25 / 9 + 0.75 * 3 / 11, rel=1e-6)
    smoothed = losses.get("cldice", classes=[1], alpha=1.0)
    assert float(smoothed(LINE[None], logits)) == pytest.approx(1 - 2 * 4.2 / 5 / (1 + 4.2 / 5), rel=1e-6)


def test_cldice_sees_a_gap_where_dice_sees_a_pixel() -> None:
    """A line of 4 with one pixel of p = .2, all else as before: T = 1, S = (3 * .8 + .2) / 4 = .65.

    The gap takes the skeleton from itself alone: the 3 others keep .6.
    """
    p = np.where(LINE == 1, 0.8, 0.2)
    p[1, 3] = 0.2
    loss = losses.get("cldice", classes=[1], alpha=1.0, skeleton_smooth=0.0)
    logits = np.log(np.stack([1 - p, p], -1)).astype(np.float32)[None]
    assert float(loss(LINE[None], logits)) == pytest.approx(1 - 2 * 0.65 / 1.65, rel=1e-6)


def test_cldice_punishes_a_line_that_is_not_there() -> None:
    """Truth is the line; the prediction is sure of it and of another line below: T = 4/8, S = 1, clDice = 1/3."""
    labels = np.pad(LINE, ((0, 3), (0, 0)))[None]
    p = np.zeros(labels.shape, np.float32)
    p[0, 1] = p[0, 4] = 1.0
    logits = 1e3 * np.stack([1 - p, p], -1)
    loss = losses.get("cldice", classes=[1], alpha=1.0, skeleton_smooth=0.0)
    assert float(loss(labels, logits)) == pytest.approx(1 - 2 * 0.5 / 1.5, rel=1e-6)


def test_a_thick_region_has_no_skeleton_and_no_clDice() -> None:
    """9 rows, eroded 3 times, are still 3 rows thick: Dice alone is left."""
    labels = np.pad(np.ones((9, 40), np.uint8), 3)[None]
    right = 1e4 * np.eye(2, dtype=np.float32)[labels]
    value, slope = gradient(losses.get("cldice", classes=[1]), labels, right)
    assert value == 0
    assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    ("name", "params", "wrong"),
    [
        ("rmi", {"bce_weight": 1.5}, "bce_weight"),
        ("rmi", {"region": 0}, "region"),
        ("rmi", {"pool": 0}, "pool"),
        ("rmi", {"epsilon": 1e-9}, "epsilon"),
        ("rmi", {"average": "batch"}, "average"),
        ("cldice", {"alpha": 2.0}, "alpha"),
        ("cldice", {"iterations": -1}, "iterations"),
    ],
)
def test_parameters_out_of_range(name: str, params: dict, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        losses.get(name, **params)
