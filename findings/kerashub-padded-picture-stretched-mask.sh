#!/bin/sh
# KerasHub 0.32.0: a segmenter's preprocessor that pads pictures to keep their shape stretches their masks.
#
# `ImageSegmenterPreprocessor(resize_output_mask=True)` brings picture and mask to one size. The picture goes through
# its `ImageConverter`, which can crop (`crop_to_aspect_ratio`) or pad (`pad_to_aspect_ratio`). For the mask a
# resizing of its own is made, which is told of the cropping and not of the padding. Both come out at the same size,
# and nothing is said.
#
# Seen: a picture of 100 x 200 pixels that shows its own mask, a rectangle of 40 x 80, made 64 x 64. Cropped or
# stretched: picture and mask agree, IoU 1. Padded: the rectangle has 312 pixels in the picture (12 rows by 26) and
# 676 in the mask (26 by 26), IoU 0.46.
# Consequence: a model that is trained this way learns labels beside their objects, and is scored against them: on
# wide pictures a perfect one reaches 0.46 here. The project pads picture and label by one call, and fills labels with
# void.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "tensorflow-cpu==2.21.0" "keras==3.15.1" "keras-hub==0.32.0" "tensorflow-text==2.21.1"
cat >"$folder/pad.py" <<'PYTHON'
import sys

import keras_hub
import numpy as np

mask = np.zeros((1, 100, 200, 1), np.int32)
mask[:, 30:70, 60:140] = 1
picture = np.repeat(mask, 3, -1).astype(np.float32) * 255
seen = {}
for name, crop, pad in (("cropped", True, False), ("stretched", False, False), ("padded", False, True)):
    converter = keras_hub.layers.ImageConverter(
        image_size=(64, 64), crop_to_aspect_ratio=crop, pad_to_aspect_ratio=pad, interpolation="nearest"
    )
    preprocessor = keras_hub.models.ImageSegmenterPreprocessor(image_converter=converter, resize_output_mask=True)
    image, label = (np.asarray(part)[0, ..., 0] for part in preprocessor(picture, mask))
    shown, told = image > 127, label == 1
    seen[name] = int(shown.sum()), int(told.sum()), round(float((shown & told).sum() / (shown | told).sum()), 2)
    print(f"{name}: {seen[name][0]} pixels in the picture, {seen[name][1]} in the mask, IoU {seen[name][2]}")
agree = seen["cropped"][2] == seen["stretched"][2] == 1
sys.exit(not (agree and seen["padded"] == (312, 676, 0.46)))
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" "$folder/pad.py" 2>"$folder/log" ||
    { status=$?; cat "$folder/log"; exit $status; }
