#!/bin/sh
# miseval 1.3.0: "HausdorffDistance" compares rows of the masks, and "AverageHausdorffDistance" is the maximum.
#
# miseval is a library of metrics for medical segmentation, with a paper. For "HD" it hands the two masks to a package
# that expects a list of points. It takes each ROW of a mask as one point with as many coordinates as the mask has
# columns, so where a row lies does not matter, and the result is at most the root of the width. "AHD" builds the
# distances of the borders and then returns their largest, which is the Hausdorff distance, where the average is
# promised.
#
# Seen: masks of 64 x 64 pixels, a square of 10 x 10 and its copy. 30 pixels lower, by hand 30: HD 0.0, as if the
# prediction were perfect. 12 or 40 pixels to the right: HD 3.16 = the root of 10 both times. AHD of the shifted
# squares: 30, 12, 40. A square with one stray pixel 31 pixels away: HD 1, AHD 31, and the average distance is 0.15.
# Consequence: an HD of miseval in a table ranks models by nothing, and its AHD cannot be compared with anybody's
# average. Distances between borders are checked on a shifted square before they are believed.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "miseval==1.3.0" "hausdorff==0.2.6"
"$folder/env/bin/python" - <<'PYTHON'
import sys

import numpy as np
from miseval import evaluate
from scipy.spatial.distance import cdist


def square(row, column):
    mask = np.zeros((64, 64), np.uint8)
    mask[row : row + 10, column : column + 10] = 1
    return mask


def distances(truth, found):
    """Return HD and AHD of miseval, and the largest and the mean of the distances to the nearest pixel."""
    table = cdist(np.argwhere(truth), np.argwhere(found))
    nearest = np.concatenate([table.min(0), table.min(1)])
    theirs = [evaluate(truth, found, metric=metric) for metric in ("HD", "AHD")]
    return [round(float(value), 2) for value in (*theirs, nearest.max(), nearest.mean())]


stray = square(20, 20)
stray[25, 60] = 1
seen = {
    "30 lower": distances(square(4, 20), square(34, 20)),
    "12 to the right": distances(square(20, 4), square(20, 16)),
    "40 to the right": distances(square(20, 4), square(20, 44)),
    "one stray pixel": distances(square(20, 20), stray),
}
for where, (hd, ahd, largest, mean) in seen.items():
    print(f"{where}: HD {hd} (by hand {largest}), AHD {ahd} (average {mean})")
rows = [values[0] for values in seen.values()][:3] == [0.0, 3.16, 3.16]
maximum = all(values[1] == values[2] for values in seen.values()) and seen["one stray pixel"][3] < 0.5
sys.exit(not (rows and maximum))
PYTHON
