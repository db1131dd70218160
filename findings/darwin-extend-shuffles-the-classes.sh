#!/bin/sh
# darwin-py 3.6.3: `extend` shuffles the numbers of the classes, in another way in each process.
#
# `LocalDataset.extend` adds the pictures of another data set, which must have the same classes unless `extend_classes`
# is given. In both cases it makes the list of classes anew from a set of their names. The order of such a set depends
# on the hashes of strings, which Python draws at random at each start. The number of a class is its place in that list,
# so training, evaluation and each process of a distributed training have their own numbers. In the data set for
# semantic segmentation the background, which is 0 in every mask, is one of the names: it gets another place as well,
# and the class that comes first is 0, like the background.
#
# Seen: two data sets with the same five classes, as `darwin dataset pull` writes them. Numbers of road, building, tree,
# car and person in the mask: alone 1, 2, 3, 4, 5. Extended by the other one, in 8 processes (PYTHONHASHSEED 0 to 7, so
# that this can be repeated; unset, they differ from run to run): 8 different orders, never that of the file; in 7 of
# them one of the classes is 0 and can not be told from the background. No error and no warning.
# Consequence: a checkpoint is evaluated with other classes than it was trained with, and the processes of one training
# teach each other wrong labels. One class vanishes. After `extend`, `classes` is set to the list of the file again.
#
# torchvision is replaced by empty classes: transforms of darwin.torch derive from it, and none is used.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "torch==2.13.0" \
    "darwin-py==3.6.3" "upolygon==0.2.3" "numpy==2.4.6" "pillow==12.3.0" "orjson==3.13.0"
cat >"$folder/merged.py" <<'PYTHON'
import json
import sys
import types
from pathlib import Path

import numpy as np
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
from darwin.torch.dataset import SemanticSegmentationDataset  # noqa: E402

CLASSES = ["road", "building", "tree", "car", "person"]


def write(folder):
    """Write a data set of one picture as `darwin dataset pull` does: the n-th square is of the n-th class."""
    release = folder / "releases" / "latest"
    (folder / "images").mkdir(parents=True)
    (release / "annotations").mkdir(parents=True)
    (release / "lists").mkdir()
    (release / "lists" / "classes_polygon.txt").write_text("\n".join(CLASSES))
    width = 8 * len(CLASSES) + 8
    Image.new("RGB", (width, 8)).save(folder / "images" / "picture.png")
    annotations = []
    for number, name in enumerate(CLASSES):
        left, right = 8 * number, 8 * number + 5
        path = [{"x": x, "y": y} for x, y in ((left, 0), (right, 0), (right, 5), (left, 5))]
        annotations.append(
            {
                "id": f"{number:08d}-0000-0000-0000-000000000000",
                "name": name,
                "slot_names": ["0"],
                "bounding_box": {"x": left, "y": 0, "w": 6, "h": 6},
                "polygon": {"paths": [path]},
            }
        )
    slot = {
        "type": "image",
        "slot_name": "0",
        "width": width,
        "height": 8,
        "source_files": [{"file_name": "picture.png", "url": ""}],
    }
    item = {"name": "picture.png", "path": "/", "source_info": {"dataset": {}, "team": {}}, "slots": [slot]}
    content = {"version": "2.0", "item": item, "annotations": annotations}
    (release / "annotations" / "picture.json").write_text(json.dumps(content))


def load(folder):
    return SemanticSegmentationDataset(dataset_path=folder, transform=lambda image, target: (image, target))


def show(data):
    """Print the classes of a data set and the values of the squares and the background in the mask of its picture."""
    mask = np.asarray(data[0][1]["mask"])
    squares = [int(mask[2, 8 * number + 2]) for number in range(len(CLASSES))]
    print(json.dumps([data.classes, squares, int(mask[7, -1])]))


folder, step = Path(sys.argv[1]), sys.argv[2]
if step == "write":
    write(folder / "first")
    write(folder / "second")
else:
    data = load(folder / "first")
    show(data.extend(load(folder / "second")) if step == "merged" else data)
PYTHON
cat >"$folder/compare.py" <<'PYTHON'
import json
import sys
from pathlib import Path

alone, *merged = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
for names, numbers, background in (alone, *merged):
    print(f"{' '.join(names)}: numbers of the five classes {numbers}, background {background}")
orders = {tuple(names) for names, _, _ in merged}
lost = sum(0 in numbers for _, numbers, _ in merged)
print(f"{len(orders)} orders in {len(merged)} processes; a class is 0 like the background in {lost}")
right = alone[1] == [1, 2, 3, 4, 5] and not any(background for _, _, background in (alone, *merged))
same_names = all(sorted(names) == sorted(alone[0]) for names, _, _ in merged)
differ = all(numbers != alone[1] for _, numbers, _ in merged)
sys.exit(not (right and same_names and differ and len(orders) > 4 and lost > 4))
PYTHON
"$folder/env/bin/python" "$folder/merged.py" "$folder" write
"$folder/env/bin/python" -W error::UserWarning "$folder/merged.py" "$folder" alone >"$folder/out"
for seed in 0 1 2 3 4 5 6 7; do
    PYTHONHASHSEED=$seed "$folder/env/bin/python" -W error::UserWarning "$folder/merged.py" "$folder" merged
done >>"$folder/out"
"$folder/env/bin/python" "$folder/compare.py" "$folder/out"
