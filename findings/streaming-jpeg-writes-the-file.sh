#!/bin/sh
# mosaicml-streaming 0.13.0: of a JPEG that was changed in place, the writer writes the file, without the change.
#
# For a column "jpeg", `MDSWriter` looks whether the picture is Pillow's own object of a JPEG file, and if so it copies
# the file, which spares a second loss. `thumbnail`, `paste`, `ImageDraw` and `ImageOps.exif_transpose(in_place=True)`
# change the pixels of that object and leave its file name. Methods that return a new picture, and columns of "png", are
# written as they are given.
#
# Seen: a picture that is stored upside down with an EXIF orientation of 3, turned upright in place: IoU of its object
# with the mask 1.0 before writing and 0.0 when read, 1.0 by a turned copy. Painted over whole, as names and faces are:
# all 2560 pixels of the object are read back. Reduced to 96 x 64: 192 x 128 is read. As "png": all as given. No error
# and no warning.
# Consequence: the picture is trained on as it was, beside a mask that has been turned or reduced with it, and what was
# painted over is passed on. Changed pictures are written as copies (`image.copy()`), or as bytes.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "torch==2.13.0" "numpy==2.1.3" "pillow==13.0.0" "tqdm==4.70.1" "brotli==1.2.1" "python-snappy==0.7.3" \
    "zstd==1.5.7.2" "xxhash==3.8.2"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "mosaicml-streaming==0.13.0"
cat >"$folder/write.py" <<'PYTHON'
import importlib.util
import sys
import types
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

# The first lines of two packages import torchvision and transformers, which writing and reading do not need.
for name in ("streaming", "streaming.base"):
    package = types.ModuleType(name)
    package.__path__ = list(importlib.util.find_spec(name).submodule_search_locations)
    sys.modules[name] = package
from streaming.base.format import MDSWriter  # noqa: E402
from streaming.base.local import LocalDataset  # noqa: E402

warnings.simplefilter("error")
warnings.simplefilter("ignore", ResourceWarning)  # the reader leaves its index open
folder = Path(sys.argv[1])
SIZE, CORNER = (192, 128), (16, 16, 95, 47)  # left, top, right, bottom of a white object
mask = Image.new("L", SIZE)
ImageDraw.Draw(mask).rectangle(CORNER, fill=255)
turned = Image.Exif()
turned[0x0112] = 3  # to be shown after half a turn
mask.rotate(180).convert("RGB").save(folder / "picture.jpg", quality=95, exif=turned)


def upright(image):
    ImageOps.exif_transpose(image, in_place=True)


def redacted(image):
    image.paste((90, 90, 90), (0, 0, *SIZE))


def smaller(image):
    image.thumbnail((96, 96))


def copied(image):
    return ImageOps.exif_transpose(image)


def found(change, column):
    """Return what the picture is when it is given to the writer, and what it is when it has been read."""
    place = folder / f"{change.__name__}-{column}"
    image = Image.open(folder / "picture.jpg")
    image = change(image) or image
    with MDSWriter(out=str(place), columns={"image": column}) as writer:
        writer.write({"image": image})
    return np.asarray(image)[..., 0].astype(int), np.asarray(LocalDataset(str(place))[0]["image"])[..., 0].astype(int)


def iou(picture):
    objects = picture > 127, np.asarray(mask) > 127
    return float(round((objects[0] & objects[1]).sum() / (objects[0] | objects[1]).sum(), 2))


seen = {}
for column in ("png", "jpeg"):
    for change in (upright, copied):
        given, read = found(change, column)
        seen[column, change.__name__] = iou(given), iou(read)
    given, read = found(redacted, column)
    seen[column, "redacted"] = len(np.unique(given)), int((read > 127).sum())
    given, read = found(smaller, column)
    seen[column, "smaller"] = given.shape, read.shape
for (column, name), (given, read) in seen.items():
    print(f"{column}, {name}: given {given}, read {read}")
expected = {"upright": (1.0, 1.0), "copied": (1.0, 1.0), "redacted": (1, 0), "smaller": ((64, 96), (64, 96))}
changed = {"upright": (1.0, 0.0), "redacted": (1, 2560), "smaller": ((64, 96), (128, 192))}
same = all(seen["png", name] == pair for name, pair in expected.items())
sys.exit(not (same and all(seen["jpeg", name] == pair for name, pair in (expected | changed).items())))
PYTHON
"$folder/env/bin/python" "$folder/write.py" "$folder" >"$folder/out" 2>"$folder/log" ||
    { status=$?; cat "$folder/out" "$folder/log"; exit $status; }
cat "$folder/out"
