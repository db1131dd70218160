"""The matrix that the referee's counts are, worked out by hand, and what is said of two matrices."""

import numpy as np
import pytest

from bench.audit import Count, Verdict, asked_of, matrix_of
from bench.audit.counts import MOST_CLASSES, NOTHING, as_counted
from bench.core import IGNORE_INDEX

TRUTH = np.array([[0, 0, 0, 1, 1], [2, 2, 2, 2, 255], [255, 255, 1, 0, 0]])
PREDICTION = np.array([[0, 0, 1, 1, 2], [2, 2, 0, 1, 0], [1, 2, 1, 0, 0]])
MATRIX = np.array([[4, 1, 0], [0, 2, 1], [1, 1, 2]])  # rows = truth; the three void pixels are nowhere


def counted(count, truth=TRUTH, prediction=PREDICTION, classes=3):
    """What TensorFlow Model Analysis says that it counts, per class."""
    hits = np.array([((truth == one) & (prediction == one)).sum() for one in range(classes)])
    others = [(truth != one) & (prediction == one) & (truth != count.ignored) for one in range(classes)]
    return hits if count.hit else np.array([one.sum() for one in others])


def test_one_entry_by_hand():
    """Of class 0 there are two false positives, one of them void: the other has truth 2."""
    everything, without_2 = counted(Count(False, NOTHING)), counted(Count(False, 2))
    assert (everything[0], without_2[0], everything[0] - without_2[0]) == (2, 1, MATRIX[2, 0])


def test_counts_of_a_class_ignored_are_the_whole_matrix():
    asked = asked_of(3)
    assert len(asked) == len({one.name for one in asked}) == 6
    np.testing.assert_array_equal(matrix_of({one: counted(one) for one in asked}), MATRIX)


@pytest.mark.parametrize("classes", [2, 7])
def test_any_labels_give_the_matrix_that_bincount_gives(classes):
    rng = np.random.default_rng(classes)
    truth = rng.choice([*range(classes), IGNORE_INDEX], 900)
    prediction = rng.integers(0, classes, 900)
    seen = truth != IGNORE_INDEX
    expected = np.bincount(truth[seen] * classes + prediction[seen], minlength=classes**2).reshape(classes, classes)
    found = matrix_of({one: counted(one, truth, prediction, classes) for one in asked_of(classes)})
    np.testing.assert_array_equal(found, expected)


def test_counts_that_contradict_each_other_are_refused():
    found = {one: counted(one) for one in asked_of(3)}
    found[Count(False, IGNORE_INDEX)] = found[Count(False, IGNORE_INDEX)] + [0, 0, 1]
    with pytest.raises(ValueError, match="do not add up"):
        matrix_of(found)


def test_fewer_than_no_pixels_are_refused():
    """Of class 0, truth 1 takes three pixels too many and truth 2 three too few: the sum is right."""
    found = {one: counted(one) for one in asked_of(3)}
    found[Count(False, 1)] = found[Count(False, 1)] - [3, 0, 0]
    found[Count(False, 2)] = found[Count(False, 2)] + [3, 0, 0]
    with pytest.raises(ValueError, match="do not add up"):
        matrix_of(found)


def test_of_many_classes_hits_and_false_positives_are_counted():
    classes = MOST_CLASSES + 1
    asked = asked_of(classes)
    assert [(one.hit, one.ignored) for one in asked] == [(True, IGNORE_INDEX), (False, IGNORE_INDEX)]
    truth, prediction = np.arange(classes), np.minimum(np.arange(classes), 5)
    found = matrix_of({one: counted(one, truth, prediction, classes) for one in asked})
    matrix = np.zeros((classes, classes), int)
    matrix[truth, prediction] = 1
    np.testing.assert_array_equal(found, as_counted(matrix))
    assert found[:, :7].tolist() == [[1, 1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, classes - 6, 0]]


def test_equal_is_said_with_both_matrices():
    verdict = Verdict(MATRIX, MATRIX.copy(), ["road", "sky", "a"])
    said = list(verdict.lines())
    assert verdict.equal
    assert said[0] == "record (rows: truth, columns: prediction; pixels)"
    assert said[2] == "  sky   0  2  1"
    assert said[4] == "TFMA (rows: truth, columns: prediction; pixels)"
    # IoU 4/6, 2/5 and 2/5.
    assert said[-1].startswith("the confusion matrices are equal to the last integer: 12 pixels, mIoU 0.4888888")


def test_one_pixel_is_found_and_named():
    other = MATRIX + np.array([[0, 0, 0], [0, -1, 1], [0, 0, 0]])
    verdict = Verdict(MATRIX, other, ["road", "sky", "a"])
    assert not verdict.equal
    *_, first, second, last = verdict.lines()
    assert first == "truth sky, prediction sky: record 2, TFMA 1"
    assert second == "truth sky, prediction a: record 1, TFMA 2"
    assert last.startswith("2 entries differ, by 2 pixels in all; mIoU 0.4888888")


def test_many_classes_are_told_in_short():
    names = [f"c{one}" for one in range(MOST_CLASSES + 1)]
    matrix = np.diag(np.arange(1, len(names) + 1))
    said = list(Verdict(matrix, as_counted(matrix), names).lines())
    assert said == [
        "record: 561 pixels, of which 561 hit", "TFMA: 561 pixels, of which 561 hit",
        "true and false positives of every class are equal to the last integer: 561 pixels, mIoU 1.0",
    ]  # fmt: skip
    other = as_counted(matrix).copy()
    other[1, 2] += 4
    *_, line, last = Verdict(matrix, other, names).lines()
    assert line == "false positives of c2: record 0, TFMA 4"
    assert last == "1 entry differs, by 4 pixels in all"
