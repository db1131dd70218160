"""The distance transform against SciPy's, which is exact too, and worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import distance_transform_edt

from losses.core.distance import distance_to, distance_to_other_kind

RNG = np.random.default_rng(1)
SHAPES = [(1, 1), (1, 9), (9, 1), (2, 3), (7, 8), (13, 5), (40, 33)]  # the last: several groups of columns


def by_scipy(mask: np.ndarray) -> np.ndarray:
    """Of (B,H,W,C), channel by channel; float32 is exact for the squares and rounds the root correctly."""
    distance = np.full(mask.shape, np.inf, np.float32)
    for b, c in np.ndindex(mask.shape[0], mask.shape[3]):
        if mask[b, :, :, c].any():
            distance[b, :, :, c] = distance_transform_edt(~mask[b, :, :, c])
    return distance


def masks(height: int, width: int) -> np.ndarray:
    """From empty to full, and one with a single pixel."""
    shares = np.array([0.0, 0.003, 0.05, 0.3, 0.9, 1.0])
    mask = RNG.random((2, height, width, 7)) < np.append(shares, 0.0)
    mask[0, RNG.integers(height), RNG.integers(width), 6] = True
    return mask


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_equals_scipy(height: int, width: int) -> None:
    mask = masks(height, width)
    np.testing.assert_array_equal(distance_to(tf.constant(mask)), by_scipy(mask))


def test_graph_of_any_size_and_xla() -> None:
    signature = tf.TensorSpec((None, None, None, None), tf.bool)
    any_size = tf.function(distance_to, input_signature=[signature])
    for height, width in SHAPES:
        mask = masks(height, width)
        np.testing.assert_array_equal(any_size(mask), by_scipy(mask))
    mask = masks(12, 10)
    xla = tf.function(distance_to, jit_compile=True)
    np.testing.assert_allclose(xla(mask), by_scipy(mask), rtol=1.2e-7)  # its root may round otherwise


def test_by_hand() -> None:
    """True at (0,0) and (2,4): the squares are min(i^2 + j^2, (2-i)^2 + (4-j)^2)."""
    mask = np.zeros((3, 5), bool)
    mask[0, 0] = mask[2, 4] = True
    squares = [[0, 1, 4, 5, 4], [1, 2, 5, 2, 1], [4, 5, 4, 1, 0]]
    np.testing.assert_allclose(np.square(distance_to(mask[None, ..., None]))[0, ..., 0], squares, rtol=1e-6)


def test_far_apart() -> None:
    """From one corner to the other, 299^2 + 399^2: needs every shift of the loop."""
    mask = np.zeros((1, 300, 400, 1), bool)
    mask[0, 0, 0, 0] = True
    assert float(tf.function(distance_to)(tf.constant(mask))[0, -1, -1, 0]) == np.float32(np.sqrt(299**2 + 399**2))


@pytest.mark.parametrize("partition", [True, False])
def test_the_other_side_of_a_border(partition: bool) -> None:
    """Classes 0 0 1 1 1 void 2 2: each pixel to its border with what is valid, through the void one."""
    ids = np.array([0, 0, 1, 1, 1, 255, 2, 2]).reshape(1, 1, 8)
    regions = ids[..., None] == np.arange(4)
    expected = [
        [2, 1, 1, 2, 3, 4, 5, 6],
        [2, 1, 1, 2, 2, 1, 2, 3],
        [6, 5, 4, 3, 2, 1, 2, 3],
        [np.inf] * 8,
    ]
    distance = distance_to_other_kind(tf.constant(regions), tf.constant(ids != 255), partition).numpy()[0, 0].T
    valid = ids[0, 0] != 255
    np.testing.assert_array_equal(distance[:, valid], np.array(expected)[:, valid])
