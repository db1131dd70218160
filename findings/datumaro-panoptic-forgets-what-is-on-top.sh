#!/bin/sh
# Datumaro 1.13.12: exported as COCO panoptic, overlapping masks are painted by their place in the list, not by
# z_order.
#
# Where masks of an item overlap, `z_order` says which is on top; CVAT and labelling tools set it. The exporters of
# PASCAL VOC, Cityscapes and CamVid paint by it. `coco_panoptic` paints in the order of the list, so the same pixel of
# the same dataset gets another class. COCO instances keep both masks whole, list the upper one first, and have no
# field for the order: whoever paints them one after the other turns it round.
#
# Seen: 36 pixels are both cat (z_order 1) and dog (z_order 0), the cat is first in the list. VOC, Cityscapes, CamVid:
# cat 144 pixels, dog 64. COCO panoptic: cat 108, dog 100. COCO instances, painted in the order of the file: cat 108,
# dog 100.
# Consequence: two copies of one dataset, one for semantic and one for panoptic training, disagree about every object
# that another one covers, and no score shows it. Overlaps are cut out before an export.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check datumaro==1.13.12
cat >"$folder/export.py" <<'PYTHON'
import json
import sys
from pathlib import Path

import numpy as np
from datumaro.components.annotation import Mask
from datumaro.components.dataset import Dataset
from datumaro.components.dataset_base import DatasetItem
from datumaro.components.media import Image
from PIL import Image as Picture
from pycocotools import mask as coco

out = Path(sys.argv[1])
cat, dog = np.zeros((2, 20, 20), bool)
cat[2:14, 2:14], dog[8:18, 8:18] = True, True
on_top, below = Mask(cat, label=1, id=1, group=1, z_order=1), Mask(dog, label=2, id=2, group=2, z_order=0)
picture = Image.from_numpy(data=np.zeros((20, 20, 3), np.uint8))
dataset = Dataset.from_iterable(
    [DatasetItem(id="a", subset="train", media=picture, annotations=[on_top, below])],
    categories=["background", "cat", "dog"],
)


def written(form):
    """Export, and return the annotation file of a COCO form."""
    dataset.export(str(out / form), form, save_media=True)
    return json.loads(next((out / form).glob("annotations/*.json")).read_text()) if "coco" in form else None


def semantic(form):
    """Return the pixels of cat and dog as Datumaro reads them back; here masks do not overlap."""
    written(form)
    found = Dataset.import_from(str(out / form), form)
    labels = next(iter(found.categories().values())).items
    areas = {"cat": 0, "dog": 0}
    for read in found:
        for mask in read.annotations:
            if hasattr(mask, "image") and labels[mask.label].name in areas:
                areas[labels[mask.label].name] += int(np.asarray(mask.image).astype(bool).sum())
    return list(areas.values())


def panoptic():
    file = written("coco_panoptic")
    colors = np.asarray(Picture.open(next((out / "coco_panoptic").glob("annotations/*/a.png")))).astype(int)
    ids = colors[..., 0] + 256 * colors[..., 1] + 256 * 256 * colors[..., 2]
    names = {category["id"]: category["name"] for category in file["categories"]}
    segments = file["annotations"][0]["segments_info"]
    areas = {names[part["category_id"]]: int((ids == part["id"]).sum()) for part in segments}
    return [areas["cat"], areas["dog"]]


def painted():
    """Paint the masks of COCO instances one after the other; return the pixels of cat and dog."""
    file = written("coco_instances")
    names = {category["id"]: category["name"] for category in file["categories"]}
    canvas = np.full((20, 20), "background")
    for part in file["annotations"]:
        shape = part["segmentation"]
        codes = coco.frPyObjects(shape, 20, 20)
        area = coco.decode(coco.merge(codes) if isinstance(codes, list) else codes).astype(bool)
        canvas[area] = names[part["category_id"]]
    return [int((canvas == name).sum()) for name in ("cat", "dog")]


seen = {form: semantic(form) for form in ("voc_segmentation", "cityscapes", "camvid")}
seen |= {"coco_panoptic": panoptic(), "coco_instances, painted": painted()}
for form, (cats, dogs) in seen.items():
    print(f"{form}: cat {cats}, dog {dogs}")
sys.exit(list(seen.values()) != [[144, 64]] * 3 + [[108, 100]] * 2)
PYTHON
"$folder/env/bin/python" -W ignore "$folder/export.py" "$folder" 2>"$folder/log" ||
    { status=$?; cat "$folder/log"; exit $status; }
