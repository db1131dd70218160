"""The metrics of label maps in TensorFlow Model Analysis: values worked out by hand, slices, thresholds."""

import json
from pathlib import Path

import pytest

from tests.tfx.environments import call, with_package

pytestmark = pytest.mark.slow

# Two pictures of 2x3 pixels by day, one of 1x4 by night; 255 is void. Over all pixels, rows truth:
#   day:   class 0: 3 hit, 1 called 1; class 1: 2 called 1, 1 called 2; class 2: 2 hit, 1 called 0; 2 void.
#   night: class 0: 1 hit, 1 called 1; class 1: 2 hit.
DAY = [[3, 1, 0], [0, 2, 1], [1, 0, 2]]
NIGHT = [[1, 1, 0], [0, 2, 0], [0, 0, 0]]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfma")
    python = with_package("tensorflow_model_analysis")
    status, out, error = call(python, Path(__file__).with_name("analyse_label_maps.py"), folder, cwd=folder)
    assert status == 0, error[-4000:]
    return json.loads(out.splitlines()[-1])


def test_values_over_all_pixels_and_slices_are_those_of_the_hand(told):
    # IoU: class 0: 4 / (4 + 2 called 1 + 1 from 2) = 4/7; class 1: 4 / (4 + 1 + 2) = 4/7; class 2: 2 / (2 + 1 + 1).
    whole = told["metrics"]["all"]
    assert whole["class_iou"] == pytest.approx({"0": 4 / 7, "1": 4 / 7, "2": 1 / 2})
    assert whole["mean_iou"] == pytest.approx((4 / 7 + 4 / 7 + 1 / 2) / 3)
    assert whole["mean_dice"] == pytest.approx((8 / 11 + 8 / 11 + 2 / 3) / 3)
    day, night = told["metrics"]["image/time=day"], told["metrics"]["image/time=night"]
    assert day["mean_iou"] == pytest.approx((3 / 5 + 2 / 4 + 2 / 4) / 3)
    assert night["mean_iou"] == pytest.approx((1 / 2 + 2 / 3) / 2), "class 2 does not occur by night"
    assert night["class_iou"] == pytest.approx({"0": 1 / 2, "1": 2 / 3})


def test_boundary_iou_of_small_pictures_is_the_iou_of_all_pixels(told):
    """A band of one pixel holds all pixels of pictures as low as two rows."""
    for found in told["metrics"].values():
        assert found["boundary_iou"] == pytest.approx(found["mean_iou"])


def test_a_model_below_its_floor_or_worse_than_its_baseline_is_not_valid(told):
    assert told["valid"] == {"floor 0.5": True, "floor 0.6": False, "drop 0": False, "drop 0.5": True}


def test_a_bootstrap_gives_intervals(told):
    low, high = told["interval"]
    assert 0 <= low <= told["metrics"]["all"]["mean_iou"] <= high <= 1
    assert low < high
