"""Weights of pixels and of classes, worked out by hand."""

import subprocess
import sys
from math import exp, log
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, label

from losses.core import class_weights
from losses.pixel_weights import balanced, unet_weights

RNG = np.random.default_rng(2)


def test_unet_weights_of_two_pixels_on_a_row() -> None:
    """Objects at 1 and 4 of 0 1 0 0 1 0: (d1, d2) = (1,4) (1,2) (1,2) (1,4) on the background; sigma 2, w0 3."""
    row = np.array([[0, 1, 0, 0, 1, 0]], np.uint8)
    far, near = 3 * exp(-25 / 8), 3 * exp(-9 / 8)
    plain = unet_weights(row, w0=3, sigma=2, balance=False)
    np.testing.assert_allclose(plain, [[1 + far, 1, 1 + near, 1 + near, 1, 1 + far]], rtol=1e-6)
    # w_c: 6 pixels, 2 classes, 4 and 2 of each: 6/8 and 6/4.
    both = unet_weights(row, w0=3, sigma=2)
    np.testing.assert_allclose(both, [[0.75 + far, 1.5, 0.75 + near, 0.75 + near, 1.5, 0.75 + far]], rtol=1e-6)
    assert both.dtype == np.float32


def test_unet_weights_and_void() -> None:
    """Objects of two classes touch: two objects all the same. Void weighs 0, is no object, and is in no frequency."""
    row = np.array([[1, 2, 0, 255, 0]], np.uint8)
    term = [10 * exp(-((1 + 2) ** 2) / 50), 10 * exp(-((3 + 4) ** 2) / 50)]  # of the pixels 2 and 4
    frequency = [4 / 3, 4 / 3, 4 / 6, 0, 4 / 6]  # 4 valid pixels, 3 classes
    expected = np.array([0, 0, term[0], 0, term[1]]) + frequency
    np.testing.assert_allclose(unet_weights(row), [expected], rtol=1e-6)
    other = np.array([[0, 1, 3, 255, 3]], np.uint8)  # the same with 3 as background
    np.testing.assert_allclose(unet_weights(other, background=3), [expected], rtol=1e-6)


@pytest.mark.parametrize("row", [[0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [255, 255, 255, 255]])
def test_one_object_or_none_has_no_gap(row: list[int]) -> None:
    ids = np.array([row], np.uint8)
    np.testing.assert_array_equal(unet_weights(ids, balance=False), (ids != 255).astype(np.float32))


def test_unet_weights_are_those_of_whole_distance_maps() -> None:
    """Cutting the distance maps at 8 sigma changes nothing."""
    ids = np.zeros((60, 70), np.uint8)
    for i, j, c in zip(RNG.integers(0, 56, 12), RNG.integers(0, 66, 12), RNG.integers(1, 3, 12), strict=True):
        ids[i : i + 4, j : j + 3] = c
    ids[20:25, 30:40] = 255
    maps = []
    for c in (1, 2):
        objects, count = label(ids == c)
        maps += [distance_transform_edt(objects != number) for number in range(1, count + 1)]
    d1, d2 = np.sort(maps, axis=0)[:2]
    expected = (ids != 255) + (ids == 0) * 10 * np.exp(-((d1 + d2) ** 2) / (2 * 1.5**2))
    np.testing.assert_allclose(unet_weights(ids, sigma=1.5, balance=False), expected, rtol=1e-6)


def test_balanced_by_hand() -> None:
    """10 valid pixels, 3 of 4 classes present, with 5, 4 and 1: weights 10/15, 10/12 and 10/3."""
    ids = np.array([[0] * 5 + [255], [1] * 4 + [3, 255]], np.uint8)
    expected = [[10 / 15] * 5 + [0], [10 / 12] * 4 + [10 / 3, 0]]
    np.testing.assert_allclose(balanced(ids, 4), expected, rtol=1e-6)


def test_balanced_gives_each_class_the_same_total_and_the_mean_one() -> None:
    ids = RNG.choice(np.array([0, 1, 4, 255]), size=(31, 17), p=[0.7, 0.2, 0.01, 0.09])
    weights = balanced(ids, 6)
    totals = [weights[ids == c].sum() for c in (0, 1, 4)]
    np.testing.assert_allclose(totals, np.mean(totals), rtol=1e-5)
    assert weights[ids != 255].mean() == pytest.approx(1, rel=1e-5)
    assert (weights[ids == 255] == 0).all()
    assert (balanced(np.full((2, 3), 255), 6) == 0).all()


def test_median_frequency_by_hand() -> None:
    """Frequencies 60/100, 30/100 and 10/50, median .3; class 3 occurs nowhere."""
    weights = class_weights.median_frequency([60, 30, 10, 0], [100, 100, 50, 0])
    np.testing.assert_allclose(weights, [0.3 / 0.6, 0.3 / 0.3, 0.3 / 0.2, 0])


def test_enet_by_hand() -> None:
    """Shares 3/4 and 1/4 of 8 pixels."""
    np.testing.assert_allclose(class_weights.enet([6, 2, 0]), [1 / log(1.77), 1 / log(1.27), 0])
    np.testing.assert_allclose(class_weights.enet([1, 1], c=1.5), [1 / log(2), 1 / log(2)])


def test_effective_number_by_hand() -> None:
    """Case 31: .01/(1 - .99^100) and .01/(1 - .99^10), brought to the sum 2."""
    raw = np.array([0.01 / (1 - 0.99**100), 0.01 / (1 - 0.99**10)])
    weights = class_weights.effective_number([100, 10], beta=0.99)
    np.testing.assert_allclose(weights, 2 * raw / raw.sum())
    np.testing.assert_allclose(weights, [0.262115721, 1.737884279], atol=1e-9)


def test_limits_of_the_effective_number() -> None:
    np.testing.assert_allclose(class_weights.effective_number([7, 100, 3], beta=0.0), 1)
    np.testing.assert_allclose(class_weights.effective_number([10, 0, 40], beta=1 - 1e-12), [2.4, 0, 0.6], rtol=1e-6)
    np.testing.assert_allclose(class_weights.effective_number([1e9, 1e10]), 1)  # saturated


def test_priors() -> None:
    np.testing.assert_allclose(class_weights.priors([6, 2, 0]), [0.75, 0.25, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: balanced(np.zeros((2, 2, 1), int), 3), r"\(H,W\).*\(2, 2, 1\)"),
        (lambda: balanced(np.zeros((2, 2)), 3), "float64"),
        (lambda: balanced(np.array([[0, 3]]), 3), r"0\.\.3, expected 0\.\.2"),
        (lambda: balanced(np.array([[255, 3, 1]]), 3), r"1\.\.3, expected 0\.\.2"),
        (lambda: balanced(np.array([[0, -1]]), 3), r"-1\.\.0, expected 0\.\.2"),
        (lambda: unet_weights(np.array([[0, -1]])), r"-1\.\.0"),
        (lambda: unet_weights(np.zeros((2, 2), int), sigma=0), "sigma"),
        (lambda: class_weights.priors([0, 0]), "not all 0"),
        (lambda: class_weights.enet([1, -1]), ">= 0"),
        (lambda: class_weights.enet([1, 1], c=1.0), "c must be"),
        (lambda: class_weights.effective_number([1, 1], beta=1.0), "beta"),
        (lambda: class_weights.median_frequency([5, 2], [10]), "present_pixels"),
        (lambda: class_weights.median_frequency([5, 2], [10, 1]), "present_pixels"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_weights_need_no_tensorflow() -> None:
    code = "import losses.core.class_weights, losses.pixel_weights, sys; sys.exit('tensorflow' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
