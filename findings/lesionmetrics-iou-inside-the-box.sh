#!/bin/sh
# lesion-metrics 0.1.12: a mask that is foreground everywhere has the IoU 1 with a lesion, and a perfect mask may not.
#
# `iou_per_lesion` gives "iou of each lesion using target as reference". It cuts both masks to the bounding box of the
# lesion and takes intersection and union in there. What the other mask has outside of the box does not count, so the
# union is never larger than the box. What it has inside counts all, the parts that belong to another lesion in the same
# box too. The lesion-wise rates `ltpr` and `lfdr` compare these values with `iou_threshold`. The smaller a lesion is
# and the more it looks like a box, the less they tell: a lesion of one voxel has 0 or 1.
#
# Seen: a volume of 64 x 64 x 64 voxels with 27 lesions, cubes of 4 voxels. All of the volume as foreground: the IoU of
# each lesion is 1 (0.0002 by hand) and `ltpr` at the threshold 0.9 is 1, while `dice` of the same masks is 0.013. Each
# lesion found four times as wide: 1 again (0.016 by hand). Balls with a radius of 5 voxels: 0.39 with all as foreground
# (0.002 by hand) and 0.45 when they are moved by 3 (0.40 by hand). A lesion that is a ring around another one, both
# found exactly: 0.82 and 1, so `ltpr` at 0.9 is 0.5 and `lfdr` 0.5. No error and no warning.
# Consequence: a threshold on the IoU rewards a model that marks too much, most of all for small lesions, for which it
# was set. Only the default threshold 0, any overlap, is right. The IoU is taken by a library that matches whole
# components, and any metric is tried on a mask of ones and on the truth itself.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "numpy==2.2.6" "scipy==1.17.1" "scikit-image==0.26.0" "pillow==12.3.0"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "lesion-metrics==0.1.12"
cat >"$folder/lesions.py" <<'PYTHON'
import sys

import numpy as np
from lesion_metrics.metrics import dice, iou_per_lesion, lfdr, ltpr

SIDE = 64
grid = np.indices((SIDE, SIDE, SIDE))
centers = [np.array([x, y, z]) for x in (12, 32, 52) for y in (12, 32, 52) for z in (12, 32, 52)]


def cubes(half):
    """Return a mask with a cube around each center, `2 * half` voxels wide."""
    mask = np.zeros((SIDE,) * 3, bool)
    for center in centers:
        mask[tuple(slice(place - half, place + half) for place in center)] = True
    return mask


def balls(radius, shift=0):
    """Return a mask with a ball around each center, moved along the first axis."""
    mask = np.zeros((SIDE,) * 3, bool)
    for center in centers:
        place = (center + np.array([shift, 0, 0])).reshape(3, 1, 1, 1)
        mask |= ((grid - place) ** 2).sum(0) <= radius**2
    return mask


def ring_and_core():
    """Return a mask with a flat ring and, not connected with it, a lesion in its middle."""
    mask = np.zeros((SIDE,) * 3, bool)
    mask[20:40, 20:40, 30:34] = True
    mask[23:37, 23:37, 30:34] = False
    mask[25:35, 25:34, 31:33] = True
    return mask


everything = np.ones((SIDE,) * 3, bool)
cases = {  # truth, prediction, IoU by lesion, ltpr and lfdr at the threshold 0.9
    "cubes, all is foreground": (cubes(2), everything, [1], 1, 1),
    "cubes, found four times as wide": (cubes(2), cubes(8), [1], 1, 1),
    "cubes, found": (cubes(2), cubes(2), [1], 1, 0),
    "balls, all is foreground": (balls(5), everything, [0.387], 0, 1),
    "balls, moved by 3": (balls(5), balls(5, 3), [0.452], 0, 1),
    "ring and core, found": (ring_and_core(), ring_and_core(), [0.82, 1], 0.5, 0.5),
}
same = True
for name, (truth, found, *wanted) in cases.items():
    ious = np.unique(np.round(iou_per_lesion(truth, found), 3)).tolist()
    rates = [rate(found, truth, iou_threshold=0.9) for rate in (ltpr, lfdr)]
    print(f"{name}: IoU {ious}, ltpr {rates[0]}, lfdr {rates[1]}, dice {dice(found, truth):.3f}")
    same &= np.allclose([*ious, *rates], [*wanted[0], *wanted[1:]], atol=0.0011)
sys.exit(not same)
PYTHON
"$folder/env/bin/python" -W error "$folder/lesions.py"
