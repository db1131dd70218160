#!/bin/sh
# seg-metrics 1.2.8: an object that was not found, or is not there, is at distance 0; one found everywhere is at 1.8e19.
#
# Where a class is missing from one of the two masks, its distance map is replaced by zeros, from which hd, hd95, msd
# and mdsd are read, so each is 0, the value of a perfect mask. Of the overlaps the log says which are "regarded as" 0
# or 1; of the distances it says nothing. A mask that covers the whole picture has no contour; the distances to it are
# the root of the largest float. For a class in neither mask, vs is 1 if a distance is asked for, and 0 if not.
#
# Seen: a square of 20 x 20 in 64 x 64 pixels. Moved by 3: hd 3; by 20: 20; nothing predicted: hd, hd95, msd, mdsd 0;
# a square where none is: 0; the whole picture: 1.8e19. By hand, as for each pair of masks with contours: 3, 20, and no
# value otherwise. Ten pictures, each moved by 3: mean hd 3; one of the ten lost: 2.7; all lost: 0. Class in neither:
# vs 0, which means equal volumes; beside hd 1, as for 3 times the volume.
# Consequence: a mean distance falls with each object that is missed, and a model that predicts nothing has the best. A
# distance of a class that is missing from a mask is no number, and is counted apart.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "seg-metrics==1.2.8" "medutils==0.1.21" "SimpleITK==2.5.7" "numpy==2.4.6" "scipy==1.17.1" "pandas==2.3.3" \
    "pingouin==0.7.0"
MPLBACKEND=Agg "$folder/env/bin/python" -W ignore - <<'PYTHON'
import logging
import sys

import numpy as np
from scipy.ndimage import binary_erosion
from seg_metrics.seg_metrics import write_metrics

logging.disable()  # the notes on overlaps
DISTANCES = ["hd", "hd95", "msd", "mdsd"]
truth = np.zeros((64, 64), np.uint8)
truth[20:40, 20:40] = 1
nothing, everything = np.zeros_like(truth), np.ones_like(truth)
near, far = np.roll(truth, 3, 0), np.roll(truth, 20, 0)


def theirs(found, mask, metrics=DISTANCES):
    values = write_metrics(labels=[1], gdth_img=mask, pred_img=found, metrics=list(metrics))[0]
    return [round(float(values[name][0]), 3) for name in metrics]


def by_hand(found, mask):
    """Return the Hausdorff distance of the contours, or None where a mask has none."""
    inside = [binary_erosion(m, np.ones((3, 3)), border_value=1) for m in (found, mask)]
    first, second = (np.argwhere(m & ~i) for m, i in zip((found > 0, mask > 0), inside))
    if not (len(first) and len(second)):
        return None
    far = np.hypot(*(first[:, None] - second[None]).transpose(2, 0, 1))
    return float(max(far.min(0).max(), far.min(1).max()))


pairs = {"moved by 3": (near, truth), "moved by 20": (far, truth), "missed": (nothing, truth),
         "invented": (truth, nothing), "whole picture": (everything, truth)}  # fmt: skip
seen = {name: theirs(*pair) for name, pair in pairs.items()}
hand = {name: by_hand(*pair) for name, pair in pairs.items()}
for name in pairs:
    print(f"{name}: {dict(zip(DISTANCES, seen[name]))}, hd by hand {hand[name]}")
objects = [[nothing] * lost + [near] * (10 - lost) for lost in (0, 1, 10)]
means = [round(sum(theirs(found, truth)[0] for found in ten) / 10, 3) for ten in objects]
print("mean hd of ten pictures with 0, 1 and 10 objects missed:", means)
volumes = [theirs(nothing, nothing, ["vs"])[0], theirs(nothing, nothing, ["vs", "hd"])[0]]
larger = truth.copy()
larger[20:40, 0:60] = 1
volumes.append(theirs(larger, truth, ["vs"])[0])
print("vs of a class in neither mask, alone and beside hd, and of 3 times the volume:", volumes)
right = seen["moved by 3"][0] == hand["moved by 3"] == 3 and seen["moved by 20"][0] == hand["moved by 20"] == 20
zero = seen["missed"] == seen["invented"] == [0, 0, 0, 0] and seen["whole picture"][0] > 1e19
no_contour = [hand[name] for name in ("missed", "invented", "whole picture")] == [None] * 3
sys.exit(not (right and zero and no_contour and means == [3, 2.7, 0] and volumes == [0, 1, 1]))
PYTHON
