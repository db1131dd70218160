#!/bin/sh
# Crowd-Kit 1.4.2: the majority vote of masks of bytes is the whole picture, even where nobody marked a pixel.
#
# `SegmentationMajorityVote` puts the masks of several annotators together: a pixel is in if at least half of them chose
# it. It asks whether 2 x votes - annotators is at least 0. Votes are added in the type of the masks. Unsigned numbers
# have nothing below 0: with uint8, which is what a PNG or OpenCV gives, 2 x 1 - 3 is 255, and each pixel passes. With
# bool and int64, the types of the examples, the vote is right. `SegmentationEM` and `SegmentationRASA` are right for
# uint8 too. So is the vote itself once `skills` are passed: the weights, 1.0 for all, make the sums floats.
#
# Seen: 5 annotators, 64 x 64 pixels, a disc of 437 pixels, each annotator off by a pixel or two, and a second picture
# in which nobody marks anything. bool and the signed integers: IoU with the disc 1 and an empty second picture. uint8,
# uint16, uint32, uint64: all 4096 pixels of both, IoU 0.107. With skills of 1.0, all types: IoU 1 and empty. No error
# and no warning.
# Consequence: a truth put together from annotators is one class everywhere. Where masks of one type per tool are mixed
# in a data set, only some pictures are so. Masks are cast to bool before the vote.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "numpy==2.2.6" "pandas==3.1.1" "scikit-learn==1.9.1" "attrs==26.1.0" "nltk==3.10.4"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    "crowd-kit==1.4.2" # what is left out serves text
"$folder/env/bin/python" - <<'PYTHON'
import sys
import warnings

import numpy as np
import pandas as pd
from crowdkit.aggregation import SegmentationEM, SegmentationMajorityVote, SegmentationRASA

warnings.simplefilter("error")  # nothing is announced
rows, columns = np.mgrid[:64, :64]


def disc(row, column):
    """Return a mask of a disc around a pixel."""
    return (rows - row) ** 2 + (columns - column) ** 2 <= 140


truth, nothing = disc(32, 32), np.zeros((64, 64), bool)
annotators = [disc(32 + y, 32 + x) for y, x in ((0, 0), (1, 0), (-1, 0), (0, 2), (0, -2))]
skills = pd.Series(1.0, index=[f"annotator {i}" for i in range(5)])


def table(dtype, **pictures):
    """Return the masks of all annotators and pictures as the library wants them."""
    rows = [(name, f"annotator {i}", m.astype(dtype)) for name, masks in pictures.items() for i, m in enumerate(masks)]
    return pd.DataFrame(rows, columns=["task", "worker", "segmentation"])


def iou(mask):
    """Return the IoU with the disc."""
    return round(float((mask & truth).sum() / (mask | truth).sum()), 3)


def vote(dtype, *options):
    """Return the IoU of the vote with the disc, its pixels, and those of the empty picture."""
    data = table(dtype, disc=annotators, empty=[nothing] * 5)
    found = SegmentationMajorityVote().fit_predict(data, *options)
    mask = found["disc"].astype(bool)
    return iou(mask), int(mask.sum()), int(found["empty"].sum())


size = int(truth.sum())
print("disc of", size, "pixels; IoU, pixels of it, pixels of the empty picture:")
as_seen = [size == 437]
for dtype in (bool, "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
    seen = vote(dtype)
    weighted = vote(dtype, skills)
    print(np.dtype(dtype), seen, "with skills", weighted)
    as_seen.append(seen == ((0.107, 4096, 4096) if np.dtype(dtype).kind == "u" else (1.0, 437, 0)))
    as_seen.append(weighted == (1.0, 437, 0))
others = (SegmentationEM(), SegmentationRASA())
others = [iou(other.fit_predict(table("uint8", disc=annotators))["disc"].astype(bool)) for other in others]
print("uint8, IoU of EM and RASA:", others)
as_seen.append(min(others) > 0.95)
sys.exit(not all(as_seen))
PYTHON
