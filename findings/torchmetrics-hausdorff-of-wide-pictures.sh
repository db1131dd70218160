#!/bin/sh
# torchmetrics 1.9.0: the Hausdorff distance of a picture that is wider than high is a wrong number, without an error.
#
# The distances are worked out right and then written into a flat table at row x HEIGHT + column. Where height and
# width are equal this is the pixel. Where a picture is higher than wide the place lies outside, and an IndexError is
# raised; that is reported (torchmetrics issue 3300, which says that wide pictures work). Where it is wider, the place
# is another pixel of the picture, and the distance that is read at the right place is that of some other pixel, or 0.
#
# Seen: one pixel in row 3, column 1 and one in row 3, column 6: 5 by hand. 8 x 8: 5; 8 x 9: 1.41; 8 x 12: 2.24; 8 x
# 16: 7.62; 8 x 32: 0. Two squares of 10 x 10, one 12 pixels to the right of the other, by hand 12: 32 x 32: 12; 32 x
# 40: 25; 32 x 48: 31.1; 32 x 64, the shape of Cityscapes: 0.
# Consequence: boundary scores of Cityscapes, CamVid or any wide picture are noise, and 0 looks like a perfect one.
# Crops that are square hide it. The script takes the right distances from scipy.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "torch==2.13.0" "numpy==2.2.6" "scipy==1.17.1" "torchmetrics==1.9.0"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from scipy.spatial.distance import directed_hausdorff
from torchmetrics.functional.segmentation import hausdorff_distance


def distances(height, width, one, other):
    """Return the Hausdorff distance of two rectangles (row, column, side) by torchmetrics and by scipy."""
    maps = torch.zeros(2, height, width, dtype=torch.long)
    for label_map, (row, column, side) in zip(maps, (one, other)):
        label_map[row : row + side, column : column + side] = 1
    theirs = hausdorff_distance(maps[:1], maps[1:], num_classes=2, input_format="index").item()
    places = [label_map.nonzero().numpy() for label_map in maps]
    by_hand = max(directed_hausdorff(*places)[0], directed_hausdorff(*places[::-1])[0])
    return round(theirs, 2), round(by_hand, 2)


pixels = {width: distances(8, width, (3, 1, 1), (3, 6, 1)) for width in (8, 9, 12, 16, 32)}
squares = {width: distances(32, width, (20, 4, 10), (20, 16, 10)) for width in (32, 40, 48, 64)}
for height, seen in ((8, pixels), (32, squares)):
    for width, (theirs, by_hand) in seen.items():
        print(f"{height} x {width}: {theirs} (by hand {by_hand})")
right = all(by_hand == 5 for _, by_hand in pixels.values()) and all(by_hand == 12 for _, by_hand in squares.values())
equal = pixels[8][0] == 5 and squares[32][0] == 12
wrong = all(pixels[width][0] != 5 for width in (9, 12, 16, 32))
wrong = wrong and all(squares[width][0] != 12 for width in (40, 48, 64))
sys.exit(not (right and equal and wrong and pixels[32][0] == squares[64][0] == 0))
PYTHON
