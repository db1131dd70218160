#!/bin/sh
# pymia 0.3.4: of a picture of two dimensions, HD95 and surface Dice count every pixel of the mask as surface; a mask
# that lies 5 pixels too low has HD95 0.
#
# The code for distances between surfaces serves volumes. A picture is given to it as a volume of one slice ("the
# implementation works only for 3-D images, therefore, convert"), and each pixel of a slice lies on the upper and lower
# side of such a volume. So distances are taken from all pixels of one mask to all of the other, and are 0 wherever the
# two overlap. `HausdorffDistance` (100), the maximum, comes out right; its percentiles, `SurfaceDiceOverlap` and
# `SurfaceOverlap` are shares of the area. No error, no warning; the documentation speaks of surfaces.
#
# Seen: a disc of radius 60. Found 5 pixels lower: HD95 0 instead of 5, surface Dice (tolerance 1) 0.97 instead of 0.20,
# Dice is 0.95. Found with radius 55: HD95 3.6 instead of 5, surface Dice 0.93 instead of 0. Edges by erosion, written
# out here.
# Consequence: HD95 of pictures is 0 for many a good model, surface Dice repeats Dice, and neither can be compared with
# numbers of volumes or of other tools. Pictures are measured along their edges.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "numpy==2.2.6" "scipy==1.16.3" "simpleitk==2.5.7" "scikit-image==0.25.2"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    "pymia==0.3.4" # what is left out serves files
"$folder/env/bin/python" - <<'PYTHON'
import sys
import warnings

import numpy as np
from pymia.evaluation.evaluator import SegmentationEvaluator
from pymia.evaluation.metric import DiceCoefficient, HausdorffDistance, SurfaceDiceOverlap
from scipy import ndimage

warnings.simplefilter("error")  # nothing is announced
warnings.simplefilter("ignore", DeprecationWarning)  # of names in NumPy and SciPy
rows, columns = np.mgrid[:200, :200]
tolerance = 1.0


def disc(row, radius):
    """Return a mask of a disc."""
    return ((rows - row) ** 2 + (columns - 100) ** 2 <= radius**2).astype(np.uint8)


def by_hand(found, truth):
    """Return HD95 and surface Dice along the edges."""
    found, truth = (mask & ~ndimage.binary_erosion(mask) for mask in (found > 0, truth > 0))
    there = ndimage.distance_transform_edt(~found)[truth]
    back = ndimage.distance_transform_edt(~truth)[found]
    near = (there <= tolerance).sum() + (back <= tolerance).sum()
    return [float(max(np.percentile(there, 95), np.percentile(back, 95))), float(near / (there.size + back.size))]


def seen(found, truth):
    """Return Hausdorff distance, HD95, surface Dice and Dice of pymia, then HD95 and surface Dice by hand."""
    metrics = [HausdorffDistance(), HausdorffDistance(95, "HD95"), SurfaceDiceOverlap(tolerance), DiceCoefficient()]
    evaluator = SegmentationEvaluator(metrics, {1: "disc"})
    evaluator.evaluate(found, truth, "picture")
    values = [float(result.value) for result in evaluator.results] + by_hand(found, truth)
    return [round(value, 2) for value in values]


truth = disc(100, 60)
lower, smaller = seen(disc(105, 60), truth), seen(disc(100, 55), truth)
print("Hausdorff, HD95, surface Dice, Dice; by hand HD95, surface Dice")
print("5 pixels lower:", lower)
print("5 pixels smaller:", smaller)
sys.exit(not (lower == [5.0, 0.0, 0.97, 0.95, 5.0, 0.2] and smaller == [5.39, 3.61, 0.93, 0.91, 5.1, 0.0]))
PYTHON
