#!/bin/sh
# labelformat 0.1.17: from YOLO or mask pairs to a label map, all that is background becomes the first class.
#
# `labelformat convert --output-format pascalvoc` paints objects into label maps and fills the rest with
# --background-class-id, 0 unless told otherwise. It checks for ids above 255 and for two names of one id, but not
# whether a class already has the id of the background. YOLO counts classes from 0 (the reader says that it assumes so),
# and `maskpair`, the reader of binary masks, gives its category the id 0. Background and first class are then one
# number. The file class_id_to_name.json names it after the class, and "background" is not in it. COCO files, which
# count from 1, come out right.
#
# Seen: 64 x 48 pixels with a car and a person as YOLO polygons. Converted with the defaults, the map has the ids 0
# and 1, the table says 0 car, 1 person: 98 % of the picture is car, IoU of the car 0.080, of the person 1. From a pair
# of picture and mask, which has one class, the map is 0 everywhere: the object is gone. With --background-class-id 255
# both are right. Read back by the library's own reader the car has 3017 pixels instead of 240. Exit status 0, and no
# word of it.
# Consequence: a training learns the first class on nearly all pixels, with a high pixel accuracy. --background-class-id
# is set to an id that no class has.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "labelformat==0.1.17" "numpy==2.2.6" "pillow==12.3.0"
cat >"$folder/convert.py" <<'PYTHON'
import io
import json
import logging
import sys
from pathlib import Path

import numpy as np
from labelformat.cli.cli import main
from labelformat.formats import PascalVOCSemanticSegmentationInput
from PIL import Image

folder = Path(sys.argv[1])
width, height = 64, 48
car, person = np.zeros((2, height, width), bool)
car[10:22, 4:24] = True
person[30:41, 40:45] = True
words = io.StringIO()  # what the command reports
logging.basicConfig(stream=words, level=logging.INFO, format="%(levelname)s %(message)s")


def convert(kind, source, target, *options):
    """Return the label map and the table of names that the command writes."""
    sys.argv = ["labelformat", "convert", "--task", "instance-segmentation", "--input-format", kind, *source]
    sys.argv += ["--output-format", "pascalvoc", "--output-folder", str(folder / target), *options]
    main()
    with Image.open(folder / target / "SegmentationClass" / "street.png") as picture:
        labels = np.asarray(picture)
    return labels, json.loads((folder / target / "class_id_to_name.json").read_text())


def iou(found, truth):
    """Return the intersection over union."""
    return round(float((found & truth).sum() / (found | truth).sum()), 3)


for name in ("images", "labels", "masks"):
    (folder / name).mkdir()
Image.new("RGB", (width, height)).save(folder / "images" / "street.png")
Image.fromarray(person.astype(np.uint8) * 255).save(folder / "masks" / "street.png")
(folder / "data.yaml").write_text("path: .\ntrain: images\nnc: 2\nnames: {0: car, 1: person}\n")
lines = []
for number, mask in enumerate((car, person)):
    rows, columns = np.nonzero(mask)
    left, right, top, bottom = columns.min(), columns.max(), rows.min(), rows.max()  # Pillow fills both ends
    points = ((left, top), (right, top), (right, bottom), (left, bottom))
    lines.append(" ".join([str(number), *(f"{x / width} {y / height}" for x, y in points)]))
(folder / "labels" / "street.txt").write_text("\n".join(lines) + "\n")

yolo = ("--input-file", str(folder / "data.yaml"))
pair = ("--image-glob", "images/*.png", "--mask-glob", "masks/*.png", "--base-path", str(folder))
pair += ("--category-names", "person", "--segmentation-type", "rle")
seen = {}
for options in ((), ("--background-class-id", "255")):
    labels, table = convert("yolov8", yolo, f"yolo{len(options)}", *options)
    scores = [iou(labels == number, mask) for number, mask in enumerate((car, person))]
    share = round(float((labels == 0).mean()), 2)
    alone, alone_table = convert("maskpair", pair, f"pair{len(options)}", *options)
    seen[options] = table, share, scores, alone_table, np.unique(alone).tolist(), iou(alone == 0, person)
    print(" ".join(options) or "defaults", *seen[options])
table = {int(key): name for key, name in seen[()][0].items()}
back = PascalVOCSemanticSegmentationInput.from_dirs(folder / "images", folder / "yolo0" / "SegmentationClass", table)
(label,) = back.get_labels()
read = {one.category.name: int(one.segmentation.get_binary_mask().sum()) for one in label.objects}
print("read back:", read, "of", int(car.sum()), "and", int(person.sum()), "pixels")
wanted = {
    (): ({"0": "car", "1": "person"}, 0.98, [0.08, 1.0], {"0": "person"}, [0], 0.018),
    ("--background-class-id", "255"): (
        {"0": "car", "1": "person", "255": "background"},
        0.08,
        [1.0, 1.0],
        {"0": "person", "255": "background"},
        [0, 255],
        1.0,
    ),
}
print("reported:", sorted(set(words.getvalue().splitlines())))
if any(word in words.getvalue().lower() for word in ("warn", "background", "error")):
    sys.exit("it is announced")
sys.exit(seen != wanted or read != {"car": width * height - int(person.sum()), "person": int(person.sum())})
PYTHON
"$folder/env/bin/python" "$folder/convert.py" "$folder"
