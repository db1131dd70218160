#!/bin/sh
# supervisely 6.74.51: in COCO files holes are filled or cut by the order of polygons, and lines of one pixel vanish.
#
# Writing COCO, supervisely leaves out the holes of a polygon, but takes them off `area`. Reading COCO, where the
# polygons of an object are added up, it makes one that lies inside another a hole of it. It finds the holes for the
# whole list, takes those polygons out of the list, and then joins the two by place: where the inner polygon stands
# before the outer one, nothing is cut. RLE is turned into contours, of which those with fewer than 3 corners are left
# out, so a part of a mask that is one pixel wide and straight is lost, and a mask of nothing else has no label at all.
#
# Seen: a ring, 320 pixels painted by supervisely: 400 by pycocotools after writing, beside an area of 300. A square and
# a smaller one inside it, read: outer first 320 pixels, inner first 441, as without the inner one; pycocotools: 400
# both ways. RLE, lines that are 1, 2 and 3 pixels wide and 30 long: 0, 60, 90 pixels; a square of 10 x 10 with a
# diagonal of 40 pixels beside it: 100 of 140. No error and no warning.
# Consequence: thin classes (lane marks, cables, cracks) disappear from the truth, courtyards and holes come and go
# with the order in a file, and the scores show nothing. Pixels are counted per class before and after a conversion.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "supervisely==6.74.51" "pycocotools==2.0.11" "numpy==2.4.6"
cat >"$folder/coco.py" <<'PYTHON'
import sys
from itertools import groupby
from types import SimpleNamespace

import numpy as np
import supervisely as sly
from pycocotools import mask as coco_mask
from supervisely.convert.image.coco.coco_helper import create_supervisely_annotation, sly_ann_to_coco

SIZE = (40, 40)
CATEGORIES = [{"id": 1, "name": "road", "supercategory": "road"}]
road = sly.ObjClass("road", sly.Polygon)
meta = sly.ProjectMeta([road])


def painted(annotation):
    canvas = np.zeros(SIZE, np.uint8)
    for label in annotation.labels:
        label.geometry.draw(canvas, 1)
    return int(canvas.sum())


def read(segmentation):
    """Return the number of pixels that supervisely paints for one object of a COCO file."""
    item = SimpleNamespace(shape=SIZE, ann_data=[{"category_id": 1, "segmentation": segmentation}])
    return painted(create_supervisely_annotation(item, meta, CATEGORIES))


def by_coco(polygons):
    return int(coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *SIZE))).sum())


def rle(mask):
    """Return the uncompressed RLE of COCO: lengths of runs down the columns, zeros first."""
    flat = mask.ravel(order="F").tolist()
    counts = [len(list(run)) for _, run in groupby(flat)]
    code = {"size": list(SIZE), "counts": [0] * flat[0] + counts}
    assert (coco_mask.decode(coco_mask.frPyObjects(code, *SIZE)) == mask).all()
    return code


def square(first, last):
    return [(first, first), (last, first), (last, last), (first, last)]


def points(corners):
    return [sly.PointLocation(row, column) for column, row in corners]


def flat(corners):
    return [float(value) for corner in corners for value in corner]


outer, inner = square(5, 25), square(10, 20)
ring = sly.Annotation(SIZE, [sly.Label(sly.Polygon(points(outer), [points(inner)]), road)])
(written,) = sly_ann_to_coco(ring, 1, {"road": 1})[0]
export = painted(ring), by_coco(written["segmentation"]), int(written["area"])
print("ring: painted {}, written and read by pycocotools {}, area in the file {}".format(*export))

outer, inner = flat(outer), flat(inner)
orders = {"outer, inner": [outer, inner], "inner, outer": [inner, outer], "outer": [outer]}
nested = {name: (read(polygons), by_coco(polygons)) for name, polygons in orders.items()}
for name, (by_sly, right) in nested.items():
    print(f"{name}: {by_sly} by supervisely, {right} by pycocotools")

lines = []
for width in (1, 2, 3):
    line = np.zeros(SIZE, np.uint8)
    line[20 : 20 + width, 5:35] = 1
    lines.append((int(line.sum()), read(rle(line))))
both = np.eye(*SIZE, dtype=np.uint8)
both[5:15, 20:30] = 1
lines.append((int(both.sum()), read(rle(both))))
print("RLE, pixels in the file and read:", *lines)
same = export == (320, 400, 300)
same &= nested == {"outer, inner": (320, 400), "inner, outer": (441, 400), "outer": (441, 400)}
sys.exit(not (same and lines == [(30, 0), (60, 60), (90, 90), (140, 100)]))
PYTHON
"$folder/env/bin/python" -W ignore "$folder/coco.py" >"$folder/out" 2>"$folder/log" ||
    { status=$?; cat "$folder/out" "$folder/log"; exit $status; }
cat "$folder/out"
[ ! -s "$folder/log" ] || { echo "supervisely says something now:"; cat "$folder/log"; exit 1; }
