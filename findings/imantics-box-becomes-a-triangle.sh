#!/bin/sh
# imantics 0.1.0: a box exported to COCO is a triangle of half its area; in YOLO, its corner is taken for its middle.
#
# imantics (the library of COCO Annotator's author) turns boxes, polygons and masks into each other and writes COCO,
# VOC and YOLO. The polygon of a box is made of its four corners, but the property `top_left` gives the corner at the
# BOTTOM left, as `bottom_left` does, so one corner appears twice and the one at the top left is missing. "area" and
# "bbox" beside it are those of the whole box. YOLO lines want the middle of the box and its size, as shares of the
# picture; the package writes the corner at the top left. It numbers the categories from 1, where YOLO counts from 0.
# The box of a mask ends at its last pixel, so it is one pixel too narrow and too low.
#
# Seen: in 200 x 100 pixels the box (20, 30, 60, 80), of area 2000. COCO: segmentation (20, 80), (60, 30), (60, 80),
# (20, 80), of area 1000 by the corners, beside "area" 2000. YOLO: 1 0.10000 0.30000 0.20000 0.50000 instead of
# 0 0.20000 0.55000 0.20000 0.50000; read as YOLO it is (0, 5, 40, 55), whose IoU with the box is 0.143. The mask of
# exactly this box: COCO has the size 39 x 49. A mask of one pixel has a box of size 0 x 0. No error and no warning.
# Consequence: a model that learns masks from boxes learns half of each, below the diagonal; a detector learns boxes
# that are moved up and to the left by half their size, under the wrong class. Files of the two kinds are drawn over
# the pictures before they are used.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "numpy==2.2.6" "lxml==6.1.3" "opencv-python-headless==4.13.0.92"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    "imantics==0.1.0" # it asks for OpenCV with windows
"$folder/env/bin/python" - <<'PYTHON'
import sys
import warnings

import numpy as np
from imantics import BBox, Category, Image, Mask

warnings.simplefilter("error")  # nothing is announced
left, top, right, bottom = box = (20, 30, 60, 80)
width, height = 200, 100


def picture(marking):
    """Return a picture with one marking."""
    result = Image(image_array=np.zeros((height, width, 3), np.uint8))
    result.add(marking, category=Category("car"))
    return result


def area(polygon):
    """Return the area of a polygon by the formula of the shoelace."""
    x, y = np.array(polygon, float).reshape(-1, 2).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def iou(a, b):
    """Return the intersection over union of two boxes."""
    sides = [max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1)]
    both = sides[0] * sides[1]
    return both / (sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - both)


annotation = picture(BBox(box)).export(style="coco")["annotations"][0]
polygon = annotation["segmentation"][0]
print("COCO:", polygon, "bbox", annotation["bbox"], "area", annotation["area"], "of the polygon", area(polygon))

(line,) = picture(BBox(box)).export(style="yolo")
name, *numbers = line.split()
x, y, w, h = (float(number) for number in numbers)
read = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
read = tuple(round(number) for number in read)
wanted = ((left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height)
print("YOLO:", line, "instead of 0", *(f"{number:.5f}" for number in wanted))
print("read:", read, "IoU", round(iou(read, box), 3))

mask = np.zeros((height, width), bool)
mask[top:bottom, left:right] = True
pixel = np.zeros((height, width), bool)
pixel[50, 50] = True
sizes = [[int(n) for n in picture(Mask(m)).export(style="coco")["annotations"][0]["bbox"][2:]] for m in (mask, pixel)]
print("size of the box of the mask:", sizes[0], "and of a pixel:", sizes[1])
as_seen = [
    polygon == [20, 80, 60, 30, 60, 80, 20, 80],
    annotation["area"] == 2000 and area(polygon) == 1000,
    line == "1 0.10000 0.30000 0.20000 0.50000",
    read == (0, 5, 40, 55) and round(iou(read, box), 3) == 0.143,
    sizes == [[39, 49], [0, 0]],
]
sys.exit(not all(as_seen))
PYTHON
