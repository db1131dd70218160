"""The embedded data set: the same bytes everywhere, imbalanced, thin, small, occluded, and not solved by colour."""

import hashlib

import numpy as np
import pytest

from bench.core import IGNORE_INDEX, UsageError
from bench.data import load
from bench.data.scenes import canvas, painter
from bench.spec import DataSpec

CLASSES = len(painter.CLASS_NAMES)


@pytest.fixture(scope="module")
def dataset():
    return load(DataSpec())


@pytest.fixture(scope="module")
def train(dataset):
    return [dataset.splits["train"].read(i) for i in range(160)]


@pytest.fixture(scope="module")
def val(dataset):
    return [dataset.splits["val"].read(i) for i in range(64)]


def fingerprint(dataset, count=12):
    digest = hashlib.blake2b(digest_size=6)
    for _, split in sorted(dataset.splits.items()):
        for i in range(count):
            for part in split.read(i):
                digest.update(part.tobytes())
    return digest.hexdigest()


def test_the_pixels_are_those_of_the_version(dataset):
    """On every NumPy and processor; after a wanted change, set scenes.VERSION to what this prints."""
    assert fingerprint(dataset) == painter.VERSION == dataset.version


def test_form(dataset):
    image, label = dataset.splits["test"].read(63)
    assert (image.shape, image.dtype) == ((160, 160, 3), np.uint8)
    assert (label.shape, label.dtype) == ((160, 160), np.uint8)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 320, "val": 64, "test": 64}
    assert len(dataset.class_names) == len(set(dataset.colors)) == CLASSES >= 6


def test_an_image_depends_on_seed_split_and_index_alone():
    again = painter.paint(3, 1, 4)
    for other in ((4, 1, 4), (3, 0, 4), (3, 1, 5)):
        assert (painter.paint(*other)[0] != again[0]).mean() > 0.5
    np.testing.assert_array_equal(painter.paint(3, 1, 4)[0], again[0])
    np.testing.assert_array_equal(painter.paint(3, 1, 4)[1], again[1])


def test_classes_are_strongly_imbalanced_and_one_is_rare(train):
    labels = np.stack([label for _, label in train])
    share = np.bincount(labels.ravel(), minlength=256)[:CLASSES] / (labels != IGNORE_INDEX).sum()
    assert set(np.unique(labels)) == {*range(CLASSES), IGNORE_INDEX}
    assert share[[0, 1]].sum() > 0.6
    assert share[painter.CLASS_NAMES.index("pole")] < 0.02
    assert 0.0003 < share[painter.CLASS_NAMES.index("sign")] < 0.003
    with_sign = np.mean([(label == painter.CLASS_NAMES.index("sign")).any() for _, label in train])
    assert 0.15 < with_sign < 0.4


def test_every_class_is_in_every_split(dataset, val):
    assert set(np.unique([label for _, label in val])) == {*range(CLASSES), IGNORE_INDEX}
    test = dataset.splits["test"]
    assert set(np.unique([test.read(i)[1] for i in range(len(test))])) == {*range(CLASSES), IGNORE_INDEX}


def run_lengths(mask):
    """Lengths of the horizontal runs of True."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    return np.argwhere(edges == -1)[:, 1] - np.argwhere(edges == 1)[:, 1]


def test_poles_are_one_or_two_pixels_thick(train):
    runs = np.concatenate([run_lengths(label == painter.CLASS_NAMES.index("pole")) for _, label in train])
    assert np.mean(runs <= 2) > 0.7


def test_pedestrians_are_small(train):
    pixels = [(label == painter.CLASS_NAMES.index("pedestrian")).sum() for _, label in train]
    assert 0 < np.median(pixels) < 0.02 * painter.SIZE**2


def test_things_hide_one_another_and_void_lies_on_the_far_side():
    page = canvas.Canvas(9, 9)
    for label, (left, right) in enumerate([(0, 9), (2, 6), (4, 9)], start=1):
        page.begin(label)
        box = canvas.Box(page, 0, 0, 9, 9)
        page.paint(box, canvas.soft(canvas.block(box, left, 0, right, 9)), (1, 1, 1))
    assert page.voided()[4].tolist() == [1, IGNORE_INDEX, 2, IGNORE_INDEX, 3, 3, 3, 3, 3]


def test_void_is_a_narrow_band(train):
    void = np.stack([label == IGNORE_INDEX for _, label in train])
    assert 0.02 < void.mean() < 0.1


def confusion(predictions, pairs):
    matrix = np.zeros((CLASSES, CLASSES), int)
    for predicted, (_, label) in zip(predictions, pairs, strict=True):
        valid = label != IGNORE_INDEX
        np.add.at(matrix, (label[valid], predicted[valid]), 1)
    return matrix


def miou(matrix):
    hit = np.diag(matrix)
    return np.mean(hit / np.maximum(matrix.sum(0) + matrix.sum(1) - hit, 1))


def bins(image, count=16):
    cells = (image.astype(int) * count) >> 8
    return (cells[..., 0] * count + cells[..., 1]) * count + cells[..., 2]


@pytest.mark.parametrize("balanced", [False, True])
def test_colour_alone_does_not_solve_it(train, val, balanced):
    """A Bayes classifier on the colour histogram of half the training split, with and without class priors."""
    counts = np.zeros((16**3, CLASSES))
    for image, label in train:
        valid = label != IGNORE_INDEX
        np.add.at(counts, (bins(image)[valid], label[valid]), 1)
    if balanced:
        counts = (counts + 1e-3) / counts.sum(0)
    best = counts.argmax(1)
    assert miou(confusion([best[bins(image)] for image, _ in val], val)) < 0.25


def test_place_alone_does_not_solve_it(train, val):
    prior = np.stack([(np.stack([label for _, label in train]) == c).sum(0) for c in range(CLASSES)], -1).argmax(-1)
    assert miou(confusion([prior] * len(val), val)) < 0.28


def test_a_folder_is_refused():
    with pytest.raises(UsageError, match=r"set data\.dataset=folder"):
        load(DataSpec(root="/somewhere"))
