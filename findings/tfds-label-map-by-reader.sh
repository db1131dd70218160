#!/bin/sh
# tensorflow-datasets 4.9.10: which class a pixel has depends on the reader, and for palettes on OpenCV being installed.
#
# A `LabeledImage` given as a file is stored as it is, whatever its declared dtype. `as_dataset` decodes by TensorFlow,
# which brings it to that dtype as a picture: 8 bits to 16 by 257, 16 to 8 by leaving out the lower half, a palette to
# grey. `as_data_source`, the way to read it without TensorFlow, decodes it by OpenCV where that is installed and by
# Pillow where it is not: these keep numbers as they are, and OpenCV turns a palette into colors, three channels where
# the feature says one.
#
# Seen, files of the labels 0, 1, 2, 3: 8 bits: these by all. 8 bits, declared uint16: 0, 257, 514, 771 by `as_dataset`
# and right by `as_data_source` (an error without OpenCV). 16 bits, declared as the default is, uint8: 0, 0, 0, 0 by
# `as_dataset`, right by `as_data_source`. Palette of PASCAL VOC: 0, 38, 75, 113 by `as_dataset`; four colors by
# `as_data_source` with OpenCV; 0, 1, 2, 3 without. No warning of it when written or read.
# Consequence: a data set has other classes in TensorFlow than in JAX or PyTorch, and installing a package changes
# them. Label maps are given as arrays of the declared dtype, which are stored exactly.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "tensorflow-cpu==2.21.0" "tensorflow-datasets==4.9.10" "array-record==0.8.6" "pillow==13.0.0" "numpy==2.4.6"
cat >"$folder/read.py" <<'PYTHON'
import json
import sys
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

folder, found = Path(sys.argv[1]), {}
COLORS = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]  # of PASCAL VOC


class Labels(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"labels": tfds.features.LabeledImage(labels=256, dtype=dtype)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        yield 0, {"labels": folder / f"{kind}.png"}


for kind, stored, dtype in (
    ("8 bits", np.uint8, np.uint8),
    ("8 bits, declared uint16", np.uint8, np.uint16),
    ("16 bits", np.uint16, np.uint8),
    ("palette", np.uint8, np.uint8),
):
    image = Image.fromarray(np.array([[0, 1, 2, 3]], stored))
    if kind == "palette":
        image.putpalette(COLORS)
    image.save(folder / f"{kind}.png")
    assert np.asarray(Image.open(folder / f"{kind}.png")).tolist() == [[0, 1, 2, 3]]
    for form in ("tfrecord", "array_record"):
        builder = Labels(data_dir=folder / kind / form, file_format=form)
        builder.download_and_prepare()
        try:
            if form == "tfrecord":
                (example,) = builder.as_dataset(split="train").as_numpy_iterator()
            else:
                example = builder.as_data_source(split="train")[0]
            assert example["labels"].dtype == dtype
            found[f"{kind}, {form}"] = example["labels"].squeeze().tolist()
        except ValueError as error:
            found[f"{kind}, {form}"] = str(error).splitlines()[0][:60]
json.dump(found, open(sys.argv[2], "w"))
PYTHON
for way in pillow opencv; do
    [ "$way" = pillow ] || "$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        "opencv-python-headless==4.14.0.94"
    TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" "$folder/read.py" "$folder" "$folder/$way.json" \
        >"$folder/log" 2>&1 || { status=$?; cat "$folder/log"; exit $status; }
done
"$folder/env/bin/python" - "$folder/pillow.json" "$folder/opencv.json" <<'PYTHON'
import json
import sys

pillow, opencv = (json.load(open(path)) for path in sys.argv[1:])
for name in pillow:
    print(f"{name}: {pillow[name]}; with OpenCV: {opencv[name]}")
labels = [0, 1, 2, 3]
by_tensorflow = {"8 bits": labels, "8 bits, declared uint16": [257 * label for label in labels]}
by_tensorflow |= {"16 bits": [label >> 8 for label in labels], "palette": [0, 38, 75, 113]}
same = all(found[f"{kind}, tfrecord"] == by_tensorflow[kind] for kind in by_tensorflow for found in (pillow, opencv))
colors = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
for kind in by_tensorflow:
    by_pillow, by_opencv = (found[f"{kind}, array_record"] for found in (pillow, opencv))
    same &= by_opencv == (colors if kind == "palette" else labels)
    same &= str(by_pillow).startswith("PIL does not handle") if "uint16" in kind else by_pillow == labels
sys.exit(not same)
PYTHON
