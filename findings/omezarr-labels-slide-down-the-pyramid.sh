#!/bin/sh
# ome-zarr 0.18.0: the deeper the level of a pyramid, the further the labels slide away from the picture.
#
# `write_image` and `write_labels` build a pyramid of the levels 1/2, 1/4, 1/8 and 1/16, each from the one before. The
# picture is averaged. Labels take the "nearest" pixel, and of the four pixels of a block, which are equally near, it is
# always the lower right one. Four times in a row this is pixel 15 of 16, in both directions, and not the middle. The
# file says of both pyramids that a pixel of level n stands for the middle of its block.
#
# Seen: an array of places, 256 x 256: level n holds row and column 2^n - 1 of each block, 7.5 pixels away from the
# stated 7.5 at 1/16. A disc of radius 40 in 512 x 512 pixels, as picture and as label: the centers of the labels lie
# 0.4, 1.2, 2.6 and 8.0 pixels up and left of the disc's, those of the picture 0.0; IoU of label and picture, level by
# level: 1, 0.98, 0.95, 0.89, 0.68. Majority of each block against the picture: 0.98 and more.
# Consequence: who trains or scores on a small level, as is usual for large slides, has labels beside their objects by
# half a pixel of that level, and small objects lose most. The whole labels are reduced by majority instead.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "ome-zarr==0.18.0" "zarr==3.1.6" "dask==2026.8.0" "scikit-image==0.26.0" "scipy==1.17.1" "numpy==2.4.6"
cat >"$folder/levels.py" <<'PYTHON'
import sys

import numpy as np
import zarr
from ome_zarr.writer import write_image, write_labels


def levels(write, array, folder, **more):
    """Return each level of a written pyramid with the size of its pixels and the place of its first one."""
    group = zarr.open_group(folder, mode="w")
    write(array, group, axes="yx", **more)
    group = zarr.open_group(folder, mode="r")
    group = group["labels/disc"] if write is write_labels else group
    found = []
    for level in group.attrs["ome"]["multiscales"][0]["datasets"]:
        scale, first = level["coordinateTransformations"]
        found.append((np.asarray(group[level["path"]]), scale["scale"][0], first["translation"][0]))
    return found


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


folder = sys.argv[1]
places = np.arange(256 * 256, dtype=np.uint32).reshape(256, 256)
same = True
for number, (found, scale, first) in enumerate(levels(write_labels, places, folder + "/places", name="disc")):
    block = 2**number
    last = (found == places[block - 1 :: block, block - 1 :: block]).all()
    print(f"1/{block}: pixel {block - 1} of each block: {last}, stated: {first}")
    same &= bool(last) and scale == block and first == (block - 1) / 2

row, column = np.mgrid[:512, :512]
disc = (row - 255.5) ** 2 + (column - 255.5) ** 2 <= 40**2
labels = levels(write_labels, disc.astype(np.uint8), folder + "/labels", name="disc")
pictures = levels(write_image, disc.astype(np.uint8) * 255, folder + "/picture")
shifts, scores = [], []
for number, ((label, scale, first), (picture, *stated)) in enumerate(zip(labels, pictures)):
    block = 2**number
    by_majority = disc.reshape(512 // block, block, 512 // block, block).mean((1, 3)) >= 0.5
    label, picture = label == 1, picture >= 128
    shift, of_picture = (255.5 - (np.argwhere(one).mean(0) * scale + first) for one in (label, picture))
    shifts.append(shift.round(1).tolist())
    scores.append(round(iou(label, picture), 2))
    majority = iou(by_majority, picture)
    print(f"1/{block}: labels shifted by {shifts[-1]}, IoU with the picture {scores[-1]}, by majority {majority:.2f}")
    same &= stated == [scale, first] and bool(abs(of_picture).max() < 0.05) and majority > 0.97
same &= shifts == [[0.0, 0.0], [0.4, 0.4], [1.2, 1.2], [2.6, 2.6], [8.0, 8.0]]
same &= scores == [1.0, 0.98, 0.95, 0.89, 0.68]
sys.exit(not same)
PYTHON
"$folder/env/bin/python" -W ignore "$folder/levels.py" "$folder" >"$folder/out" 2>"$folder/log" ||
    { status=$?; cat "$folder/out" "$folder/log"; exit $status; }
cat "$folder/out"
