#!/bin/sh
# TorchIO 1.2.1: "locked_borders" of the elastic deformation locks two axes of three; along the last the border moves.
#
# `RandomElasticDeformation(locked_borders=2)`, the default, is to set the displacement of the control points "at the
# border of the coarse grid" and "at the border of the image" to 0, so that hardly anything is pulled in from outside.
# The code sets the first and the last two points along the first and the second axis of the grid to 0 and leaves out
# the third. In most scans that is the axis from the feet to the head, the one with the fewest and thickest slices.
# Pictures have one slice, so nothing is to be seen there. What comes from outside is the smallest value of the volume,
# in label maps too: the background where there is any.
#
# Seen: largest displacement of a control point of the border along each axis, of 7.5: 0, 0 and 7.47. Label maps of 64 x
# 64 x 64 in which classes fill all but one voxel, moved along one axis only, 10 draws: of the two outermost planes of
# this axis 9 %, 7 % and 32 % become background. Two slabs of 4 voxels at the border have IoU 0.89, 0.89 and 0.72 with
# themselves before. locked_borders=0: 39 %, 37 %, 40 % and 0.63, 0.63, 0.61. No error and no warning.
# Consequence: the first and last slices of volumes are warped, part of their truth is overwritten by background, and a
# volume that is stored with its axes in another order is augmented differently. Volumes are padded first and cropped
# afterwards, or the control points are set by hand in `ElasticDeformation`.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "torch==2.13.0" "numpy==2.2.6" "scipy==1.17.1" "nibabel==5.4.2" "simpleitk==2.5.7" "torchio==1.2.1"
cat >"$folder/borders.py" <<'PYTHON'
import sys

import numpy as np
import torch
import torchio as tio

EDGE, DRAWS = 64, 10


def deform(labels, axis, locked):
    """Return the label map after an elastic deformation along one axis, and the control points."""
    displacement = [0.0, 0.0, 0.0]
    displacement[axis] = 7.5
    transform = tio.RandomElasticDeformation(max_displacement=tuple(displacement), locked_borders=locked)
    moved = transform(tio.Subject(labels=tio.LabelMap(tensor=labels)))
    return moved.labels.data.movedim(1 + axis, 1)[0], moved.history[0].control_points


def measure(axis, locked):
    """Return displacement at the border of the grid, share of the outermost planes lost and IoU of slabs at them."""
    torch.manual_seed(0)
    most, lost, ious = 0.0, [], []
    for _ in range(DRAWS):
        truth = torch.full((EDGE, EDGE, EDGE), 3, dtype=torch.uint8)
        truth[:4], truth[-4:], truth[EDGE // 2, EDGE // 2, EDGE // 2] = 1, 2, 0
        labels = truth.movedim(0, axis)[None].contiguous()
        moved, points = deform(labels, axis, locked)
        border = points.take([0, 1, -2, -1], axis=axis)
        most = max(most, float(np.abs(border).max()))
        lost.append(float((moved[[0, -1]] == 0).float().mean()))
        for number in (1, 2):
            both, either = (moved == number) & (truth == number), (moved == number) | (truth == number)
            ious.append(float(both.sum() / either.sum()))
    return round(most, 2), round(float(np.mean(lost)), 2), round(float(np.mean(ious)), 2)


seen = {locked: [measure(axis, locked) for axis in range(3)] for locked in (2, 0)}
for locked, values in seen.items():
    for axis, (most, lost, iou) in enumerate(values):
        print(f"locked_borders={locked}, axis {axis}: displacement {most}, lost {lost:.0%}, IoU of the slabs {iou}")
first, second, third = seen[2]
same = first[0] == second[0] == 0 and third[0] > 7
same &= max(first[1], second[1]) < 0.12 < 0.24 < third[1] and third[2] + 0.1 < min(first[2], second[2])
same &= max(iou for *_, iou in seen[0]) < third[2]
sys.exit(not same)
PYTHON
"$folder/env/bin/python" -W error::RuntimeWarning -W error::UserWarning "$folder/borders.py"
