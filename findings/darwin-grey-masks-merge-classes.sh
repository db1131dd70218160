#!/bin/sh
# darwin-py 3.6.3: in masks exported as "semantic_mask_grey", the first class becomes another one from 16 classes on.
#
# The exporter paints each polygon with the number of its class and then puts the greys, spread over 0 to 255, in the
# place of the numbers, one class after another in the same array. The grey of an early class is the number of a later
# one whenever the greys are closer together than the classes are many, and then it is replaced once more. With 16
# classes and the background the step is 15.9: class 1 becomes 15, and 15 becomes the grey of class 15. The file
# class_mapping.csv beside the masks gives the greys as they were meant. The export "semantic_mask_index" has no second
# step and is right.
#
# Seen: a picture with one square for each class. Classes whose pixels do not have the grey of the table: 0 of 15, 1 of
# 16, 6 of 40, 39 of 100 and 154 of 200. With the 20 names of PASCAL VOC every aeroplane has the grey of the dogs, with
# the 19 of Cityscapes every bicycle that of terrain; the grey that the table gives them is nowhere. No error and no
# warning.
# Consequence: two classes are one in the truth of a data set, a model can only learn them together, and the class that
# is nowhere looks absent. Masks with numbers are exported instead, and the values in the files are compared with the
# table.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "darwin-py==3.6.3" "upolygon==0.2.3" "numpy==2.4.6" "pillow==12.3.0" "orjson==3.13.0"
cat >"$folder/masks.py" <<'PYTHON'
import csv
import json
import sys
from pathlib import Path

import numpy as np
from darwin.exporter import export_annotations, get_exporter
from PIL import Image

# fmt: off
VOC = [
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
]
CITYSCAPES = [
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
]
# fmt: on


def annotation_file(names):
    """Return a picture in the format of V7 Darwin in which the n-th square, 4 pixels wide, is of the n-th class."""
    annotations = []
    for number, name in enumerate(names):
        left, right = 6 * number, 6 * number + 3
        corners = [(left, 0), (right, 0), (right, 3), (left, 3)]
        annotations.append(
            {
                "id": f"{number:08d}-0000-0000-0000-000000000000",
                "name": name,
                "slot_names": ["0"],
                "bounding_box": {"x": left, "y": 0, "w": 3, "h": 3},
                "polygon": {"paths": [[{"x": x, "y": y} for x, y in corners]]},
            }
        )
    slot = {
        "type": "image",
        "slot_name": "0",
        "width": 6 * len(names),
        "height": 8,
        "source_files": [{"file_name": "picture.png", "url": ""}],
    }
    return {
        "version": "2.0",
        "item": {"name": "picture.png", "path": "/", "source_info": {"dataset": {}, "team": {}}, "slots": [slot]},
        "annotations": annotations,
    }


def export(names, kind, folder):
    """Return for each class its value in the table and the value of its pixels in the mask."""
    folder.mkdir(parents=True)
    source = folder / "picture.json"
    source.write_text(json.dumps(annotation_file(names)))
    export_annotations(get_exporter(kind), [source], folder)
    with (folder / "class_mapping.csv").open(newline="") as file:
        table = {row["class_name"]: int(row["class_color"]) for row in csv.DictReader(file)}
    mask = np.array(Image.open(folder / "masks" / "picture.png"))
    return {name: (table[name], int(mask[1, 6 * number + 1])) for number, name in enumerate(names)}


folder, seen = Path(sys.argv[1]), {}
for count in (15, 16, 40, 100, 200):
    names = [f"class {number:03d}" for number in range(1, count + 1)]
    for kind in ("grey", "index"):
        values = export(names, f"semantic_mask_{kind}", folder / f"{kind}{count}")
        seen[count, kind] = sum(meant != found for meant, found in values.values())
        print(f"{kind}: {seen[count, kind]} of {count} classes have another value than in the table")
pairs = []
for title, names in (("voc", VOC), ("cityscapes", CITYSCAPES)):
    values = export(names, "semantic_mask_grey", folder / title)
    for name, (meant, found) in values.items():
        if meant != found:
            (other,) = [key for key, (value, _) in values.items() if value == found]
            nowhere = meant not in [value for _, value in values.values()]
            print(f"{title}: {name} has {found}, which is {other}; {meant} is nowhere: {nowhere}")
            pairs.append((name, other, nowhere))
same = [seen[count, "grey"] for count in (15, 16, 40, 100, 200)] == [0, 1, 6, 39, 154]
same &= not any(wrong for (_, kind), wrong in seen.items() if kind == "index")
sys.exit(not (same and pairs == [("aeroplane", "dog", True), ("bicycle", "terrain", True)]))
PYTHON
"$folder/env/bin/python" "$folder/masks.py" "$folder" >"$folder/out" 2>"$folder/log" ||
    { status=$?; cat "$folder/out" "$folder/log"; exit $status; }
grep -v "annotations" "$folder/out"
[ ! -s "$folder/log" ] || { echo "darwin-py says something now:"; cat "$folder/log"; exit 1; }
