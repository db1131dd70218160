#!/bin/sh
# supervision 0.31.2 and pycocotools 2.0.11: a mask that goes through COCO polygons loses or gains a row and a column.
#
# supervision writes the corners of a mask as the indices of its outermost pixels, and fills polygons with those
# pixels included, so its own round trip is exact. COCO counts in coordinates: pixel 5 reaches from 5 to 6.
# pycocotools, which scores, fills what lies between the coordinates. Neither file nor library says which is meant.
#
# Seen: squares of 4, 10 and 20 pixels a side, exported as COCO by supervision: read by supervision 16, 100 and 400
# pixels, by pycocotools 9, 81 and 361, so a perfect mask scores IoU 0.56, 0.81 and 0.90. A COCO square from 5 to 15:
# 100 pixels by pycocotools, 121 by supervision. RLE is equal in both.
# Consequence: small objects lose most, so data sets converted by supervision rank models for small objects otherwise
# than their originals. RLE is asked for where pixels are to stay; polygons are drawn by the rule of the tool that
# wrote them.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "supervision==0.31.2" "pycocotools==2.0.11" "opencv-python-headless==4.14.0.94"
cat >"$folder/both.py" <<'PYTHON'
import json
import sys
from pathlib import Path

import numpy as np
import supervision as sv
from PIL import Image
from pycocotools.coco import COCO

folder = Path(sys.argv[1])
(folder / "images").mkdir()
Image.new("RGB", (40, 40)).save(folder / "images/a.png")


def read(path):
    """Return the pixels of the one mask of a COCO file by supervision and by pycocotools."""
    ours = sv.DetectionDataset.from_coco(str(folder / "images"), str(path), force_masks=True)
    coco = COCO(str(path))
    by_coco = coco.annToMask(coco.loadAnns(coco.getAnnIds())[0])
    return int(next(iter(ours.annotations.values())).mask.sum()), int(by_coco.sum())


exported = {}
for side in (4, 10, 20):
    mask = np.zeros((1, 40, 40), bool)
    mask[0, 5 : 5 + side, 5 : 5 + side] = True
    detections = sv.Detections(
        xyxy=np.array([[5.0, 5.0, 5.0 + side, 5.0 + side]]), mask=mask, class_id=np.array([0])
    )
    name = str(folder / "images/a.png")
    path = folder / f"{side}.json"
    sv.DetectionDataset(["thing"], [name], {name: detections}).as_coco(annotations_path=str(path))
    exported[side] = read(path)
    print(f"{side * side} pixels exported: {exported[side][0]} by supervision, {exported[side][1]} by pycocotools")

file = json.loads((folder / "10.json").read_text())
file["annotations"][0]["segmentation"] = [[5, 5, 15, 5, 15, 15, 5, 15]]
(folder / "square.json").write_text(json.dumps(file))
square = read(folder / "square.json")
print(f"a COCO square from 5 to 15: {square[0]} by supervision, {square[1]} by pycocotools")
sys.exit(not (exported == {4: (16, 9), 10: (100, 81), 20: (400, 361)} and square == (121, 100)))
PYTHON
"$folder/env/bin/python" -W ignore "$folder/both.py" "$folder" >"$folder/out" 2>"$folder/log" ||
    { status=$?; cat "$folder/out" "$folder/log"; exit $status; }
grep pycocotools "$folder/out"
