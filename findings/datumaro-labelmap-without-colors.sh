#!/bin/sh
# Datumaro 1.13.12 writes a labelmap.txt without colors beside masks in colors.
#
# CVAT's "Segmentation mask" is PASCAL VOC's form with a labelmap.txt of lines `name:red,green,blue:parts:actions`,
# by whose colors masks are to be read. A set of three labels and no colors of its own, exported by Datumaro as
# voc_segmentation with its defaults, has empty colors in that file (`cat:::`), and yet its masks are RGB: they are
# painted with VOC's palette by the place of the label, which nothing in the export says.
#
# Seen: labelmap.txt `background:::`, `cat:::`, `dog:::`; a mask of mode RGB with (0, 0, 0), (128, 0, 0), (0, 128, 0).
# Consequence: a labelmap.txt without any color means VOC's palette; see bench/data/sources/classes.py.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check datumaro==1.13.12
"$folder/env/bin/python" - "$folder/export" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
from datumaro.components.annotation import Mask
from datumaro.components.dataset import Dataset
from datumaro.components.dataset_base import DatasetItem
from datumaro.components.media import Image
from PIL import Image as Picture

out = Path(sys.argv[1])
masks = [np.zeros((8, 8), bool) for _ in range(2)]
masks[0][:2], masks[1][5:] = True, True
item = DatasetItem(
    id="a",
    subset="default",
    media=Image.from_numpy(data=np.zeros((8, 8, 3), np.uint8)),
    annotations=[Mask(mask, label=at + 1, id=at + 1, group=at + 1) for at, mask in enumerate(masks)],
)
Dataset.from_iterable([item], categories=["background", "cat", "dog"]).export(
    str(out), "voc_segmentation", save_media=True
)
lines = [line for line in (out / "labelmap.txt").read_text().splitlines() if not line.startswith("#")]
mask = Picture.open(out / "SegmentationClass/a.png")
colors = sorted(color for _, color in mask.getcolors())
print(lines, mask.mode, colors)
seen = (["background:::", "cat:::", "dog:::"], "RGB", [(0, 0, 0), (0, 128, 0), (128, 0, 0)])
raise SystemExit((lines, mask.mode, colors) != seen)
PYTHON
