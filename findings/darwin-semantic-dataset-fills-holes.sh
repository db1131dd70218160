#!/bin/sh
# darwin-py 3.6.3: the data set for semantic segmentation fills the holes of objects; that for instances does not.
#
# In the format of V7 Darwin an object is one polygon of several paths: parts, and the holes in them. The data set for
# instances draws all paths of an object at once, so that a path within another one is a hole, and the exporter of masks
# does so too. `SemanticSegmentationDataset` takes each path for an object of its own and draws it with the class of the
# object: a hole is painted like the ring around it. What is seen through the hole, an object that is listed before, is
# painted over. The `area` of an instance is the sum of the areas of all paths, holes included.
#
# Seen: a picture of 40 x 40 pixels with a courtyard of 12 x 12 pixels (class 1) and a house around it (class 2) that
# has a hole of 17 x 17. Pixels of the house: 672 by the export and by the instances, 961 in the semantic data set.
# Pixels of the courtyard, which lies in the hole: 144 and 0. The area of the house is 1224. No error and no warning.
# Consequence: a model learns that rings are discs and that what they surround is not there, while the same annotations
# look right in the tool, in an export and in the other data set. Masks are exported ("semantic_mask_index") and read.
#
# torchvision is replaced by empty classes: transforms of darwin.torch derive from it, and none is used.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "torch==2.13.0" \
    "darwin-py==3.6.3" "upolygon==0.2.3" "numpy==2.4.6" "pillow==12.3.0" "orjson==3.13.0"
cat >"$folder/holes.py" <<'PYTHON'
import contextlib
import io
import json
import sys
import types
from pathlib import Path

import numpy as np
from darwin.exporter import export_annotations, get_exporter
from PIL import Image

# darwin.torch derives its transforms from those of torchvision and takes `to_tensor`; none is used here.
names = ["Compose", "RandomHorizontalFlip", "RandomVerticalFlip", "ColorJitter", "ToTensor", "ToPILImage", "Normalize"]
for module, contents in {
    "torchvision": [],
    "torchvision.transforms": names,
    "torchvision.transforms.functional": ["to_tensor"],
}.items():
    sys.modules[module] = types.ModuleType(module)
    for name in contents:
        setattr(sys.modules[module], name, type(name, (), {}))
sys.modules["torchvision.transforms"].functional = sys.modules["torchvision.transforms.functional"]
sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]
from darwin.torch.dataset import InstanceSegmentationDataset, SemanticSegmentationDataset  # noqa: E402


def annotation(number, name, *squares):
    """Return an object made of squares, each given by its first and last pixel on the diagonal."""
    first, last = squares[0]
    paths = [[{"x": x, "y": y} for x, y in ((a, a), (b, a), (b, b), (a, b))] for a, b in squares]
    return {
        "id": f"{number:08d}-0000-0000-0000-000000000000",
        "name": name,
        "slot_names": ["0"],
        "bounding_box": {"x": first, "y": first, "w": last - first + 1, "h": last - first + 1},
        "polygon": {"paths": paths},
    }


def write(folder):
    """Write a data set as `darwin dataset pull` does and return its file of annotations."""
    release = folder / "releases" / "latest"
    for path in (folder / "images", release / "annotations", release / "lists"):
        path.mkdir(parents=True)
    (release / "lists" / "classes_polygon.txt").write_text("courtyard\nhouse")
    Image.new("RGB", (40, 40)).save(folder / "images" / "picture.png")
    slot = {"type": "image", "slot_name": "0", "width": 40, "height": 40}
    slot["source_files"] = [{"file_name": "picture.png", "url": ""}]
    item = {"name": "picture.png", "path": "/", "source_info": {"dataset": {}, "team": {}}, "slots": [slot]}
    objects = [annotation(0, "courtyard", (13, 24)), annotation(1, "house", (4, 34), (10, 28))]
    file = release / "annotations" / "picture.json"
    file.write_text(json.dumps({"version": "2.0", "item": item, "annotations": objects}))
    return file


def unchanged(image, target):
    return image, target


folder = Path(sys.argv[1]) / "data"
file = write(folder)
with contextlib.redirect_stdout(io.StringIO()):
    export_annotations(get_exporter("semantic_mask_index"), [file], folder)
seen = {
    "export": np.array(Image.open(folder / "masks" / "picture.png")),
    "semantic": np.asarray(SemanticSegmentationDataset(dataset_path=folder, transform=unchanged)[0][1]["mask"]),
}
pixels = {name: np.bincount(mask.ravel(), minlength=3)[1:].tolist() for name, mask in seen.items()}
instances = InstanceSegmentationDataset(dataset_path=folder, transform=unchanged)[0][1]
pixels["instances"] = instances["masks"].sum(dim=(1, 2)).tolist()
for name, (courtyard, house) in pixels.items():
    print(f"{name}: {courtyard} pixels of the courtyard, {house} of the house")
print(f"area by the instances: {instances['area'].tolist()}")
right = pixels["export"] == pixels["instances"] == [144, 672]
sys.exit(not (right and pixels["semantic"] == [0, 961] and instances["area"].tolist()[1] == 900 + 324))
PYTHON
"$folder/env/bin/python" -W error::UserWarning "$folder/holes.py" "$folder"
