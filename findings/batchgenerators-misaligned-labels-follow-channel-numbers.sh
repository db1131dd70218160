#!/bin/sh
# batchgenerators 0.25.5: MisalignTransform squeezes and turns the masks whose numbers are in the list of picture
# channels; its own list for masks counts for shifts only, and "no shift along an axis" is a shift of one pixel.
#
# The transform moves some channels of a picture against the others, as of two scans that do not fit.
# `im_channels_2_misalign` says which, `label_channels_2_misalign` says which masks go with them. Squeezing and rotation
# look up the masks in the first list as well. A mask that belongs to channel 1 stays where it was while channel 1 goes,
# and one that should stay goes with channel 0. For shifts, an axis that is not drawn (p_transl_per_dir) moves by 1.0,
# the value that stands for "nothing" in a squeeze. No error, no warning; the documentation says what the names say.
#
# Seen: a disc in two channels, with its mask, squeezed by 1.2, turned by 0.3, shifted by (8, 8). Pictures [1], masks
# [0]: IoU of the mask with the disc of channel 1 is 0.65, 0.56 and 1. Pictures [0], masks []: IoU of the mask with the
# disc of channel 1, which did not move, 0.65, 0.56 and 1. Shift with p_transl_per_dir=0: the disc moves by (1, 1), IoU
# 0.88 with where it was.
# Consequence: an augmentation meant to make a model robust against channels that do not fit teaches it labels that do
# not fit, in a tenth of the pictures by default. One mask whose number is that of its channel is not affected; others
# are transformed by hand.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "numpy==2.2.6" "scipy==1.16.3" "scikit-image==0.25.2" "pandas==2.3.3"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    "batchgenerators==0.25.5" # what is left out serves examples and tests
"$folder/env/bin/python" - <<'PYTHON'
import sys
import warnings

import numpy as np
from batchgenerators.transforms.spatial_transforms import MisalignTransform

warnings.simplefilter("error")  # nothing is announced
rows, columns = np.mgrid[:96, :96]
disc = ((rows - 30) ** 2 + (columns - 60) ** 2 <= 200).astype(np.float32)
nothing = {"do_squeeze": False, "do_rotation": False, "do_transl": False}
squeeze = {"do_squeeze": True, "sq_x": [1.2, 1.2], "sq_y": [1.2, 1.2], "p_sq_per_sample": 1}
rotation = {"do_rotation": True, "angle_z": (0.3, 0.3), "p_rot_per_sample": 1}
shift = {"do_transl": True, "tr_x": [8, 8], "tr_y": [8, 8], "p_transl_per_sample": 1}


def iou(a, b):
    """Return the intersection over union of two masks."""
    a, b = a > 0.5, b > 0.5
    return round(float((a & b).sum() / (a | b).sum()), 2)


def moved(pictures, masks, change):
    """Return both channels of the picture and the mask after a transform that is sure to happen."""
    options = {"im_channels_2_misalign": pictures, "label_channels_2_misalign": masks}
    transform = MisalignTransform(**options, **(nothing | change))
    result = transform(data=np.stack([disc, disc])[None], seg=disc[None, None].copy())
    return *result["data"][0], result["seg"][0, 0]


went, stayed = [], []
for change in (squeeze, rotation, shift):
    first, second, mask = moved([1], [0], change)
    went.append((iou(mask, second), iou(first, disc)))
    first, second, mask = moved([0], [], change)
    stayed.append((iou(mask, second), iou(second, disc)))
print("mask that goes with channel 1: IoU with channel 1, and of channel 0 with the start:", went)
print("mask that stays: IoU with channel 1, and of channel 1 with the start:", stayed)
first, _, _ = moved([0], [], shift | {"p_transl_per_dir": 0})
way = [round(float(x), 2) for x in np.argwhere(disc > 0.5).mean(0) - np.argwhere(first > 0.5).mean(0)]
print("shift along no axis: disc moved by", way, "IoU", iou(first, disc))
wanted = [(0.65, 1.0), (0.56, 1.0), (1.0, 1.0)]
sys.exit(not (went == stayed == wanted and way == [1.0, 1.0] and iou(first, disc) == 0.88))
PYTHON
