#!/bin/sh
# Pillow hands on a label map of 16-bit TIFF in the file's byte order; OpenCV, ONNX Runtime and six more misread it.
#
# A TIFF says in which order the bytes of a number lie; ImageJ, for one, writes the big end first. Of such a file Pillow
# makes an array of dtype ">u2", and tifffile does so where it maps the file. To NumPy and SciPy the numbers are right.
# A library that asks an array for its memory and for the kind of its numbers, and not for their order, reads 1 as 256.
#
# Seen: labels 0, 1, 2, 3 and 255 become 0, 256, 512, 768 and 65280 in OpenCV 5.0.0 (flip, resize, imencode),
# Albumentations 2.0.8, ONNX Runtime 1.32.0, openvino.Tensor 2026.4.1, rasterio.features.shapes 1.4.4, tensorstore.array
# 0.1.86, the .ten files of webdataset 1.0.2 and the TIFF encoder of imagecodecs 2026.3.6. NumPy, SciPy, Pillow
# and the stores of tensorstore keep them. Flipped by Albumentations with probability 0.5, one mask comes back swapped
# in 93 of 200 draws and right in the others. The pixels of a ">f4" picture above 0.5, by ONNX Runtime: 1030 instead of
# 2072, IoU 0.20. No error and no warning.
# Consequence: class ids that no table holds, which a loss or metric may leave out as void, in some of the draws only.
# Arrays are brought into the machine's order where they are read: `array.astype(array.dtype.newbyteorder("="))`.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "numpy==2.4.6" "scipy==1.17.1" "pillow==13.0.0" "tifffile==2026.3.3" "opencv-python-headless==5.0.0.93" \
    "albumentations==2.0.8" "onnx==1.23.2" "onnxruntime==1.32.0" "openvino==2026.4.1" "rasterio==1.4.4" \
    "tensorstore==0.1.86" "webdataset==1.0.2" "imagecodecs==2026.3.6"
cat >"$folder/order.py" <<'PYTHON'
import sys
import warnings

import albumentations
import cv2
import imagecodecs
import numpy as np
import onnxruntime
import openvino
import tensorstore
import tifffile
from onnx import TensorProto, helper
from PIL import Image
from rasterio.features import shapes
from scipy import ndimage
from webdataset import tenbin

warnings.simplefilter("error")
LABELS = [0, 1, 2, 3, 255]
SWAPPED = [label * 256 for label in LABELS]
path = sys.argv[1] + "/labels.tif"
written = np.array(LABELS, np.uint16).reshape(1, 5)
tifffile.imwrite(path, written, byteorder=">")
labels = np.asarray(Image.open(path))
assert labels.dtype == tifffile.memmap(path).dtype == ">u2" and labels.tolist() == [LABELS]


def run(operator, array, taken, given, constants=()):
    """Return what ONNX Runtime makes of an array by one operator."""
    node = helper.make_node(operator, ["x", *(constant.name for constant in constants)], ["y"])
    ends = [[helper.make_tensor_value_info(name, kind, array.shape)] for name, kind in (("x", taken), ("y", given))]
    graph = helper.make_graph([node], "graph", *ends, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": array})[0]


def by_tensorstore():
    store = tensorstore.open(
        {"driver": "zarr", "kvstore": "memory://"}, create=True, dtype=tensorstore.uint16, shape=[1, 5]
    ).result()
    store.write(labels).result()
    return store.read().result()


flip = albumentations.HorizontalFlip(p=1)
seen = {
    "OpenCV, flip": cv2.flip(labels, 1)[:, ::-1],
    "OpenCV, resize": cv2.resize(labels, (10, 2), interpolation=cv2.INTER_NEAREST)[::2, ::2],
    "OpenCV, PNG": cv2.imdecode(cv2.imencode(".png", labels)[1], cv2.IMREAD_UNCHANGED),
    "Albumentations, flip": flip(image=np.zeros((1, 5, 3), np.uint8), mask=labels)["mask"][:, ::-1],
    "ONNX Runtime": run("Identity", labels, TensorProto.UINT16, TensorProto.UINT16),
    "OpenVINO, Tensor": openvino.Tensor(labels).data,
    "rasterio, shapes": np.array([[value for _, value in shapes(labels)]]),
    "tensorstore, array": tensorstore.array(labels).read().result(),
    "webdataset, .ten": tenbin.decode_buffer(tenbin.encode_buffer([labels]))[0],
    "imagecodecs, TIFF": imagecodecs.tiff_decode(imagecodecs.tiff_encode(labels)),
    "NumPy": labels + 0,
    "SciPy, zoom": ndimage.zoom(labels, 2, order=0)[::2, ::2],
    "Pillow": np.asarray(Image.fromarray(labels).resize((10, 2), Image.Resampling.NEAREST))[::2, ::2],
    "tensorstore, write": by_tensorstore(),
}
for name, found in seen.items():
    print(f"{name}: {found.astype(int).ravel().tolist()}")
wrong = [name for name, found in seen.items() if found.tolist() == [SWAPPED]]
right = [name for name, found in seen.items() if found.tolist() == [LABELS]]
same = wrong == list(seen)[:10] and right == list(seen)[10:]

pipeline = albumentations.Compose([albumentations.HorizontalFlip(p=0.5)], seed=0)
draws = [pipeline(image=np.zeros((1, 5, 3), np.uint8), mask=labels)["mask"].max() for _ in range(200)]
swapped = draws.count(255 * 256)
print(f"Albumentations, flip in half of 200 draws: {swapped} swapped, {draws.count(255)} right")
same &= 60 < swapped < 140 and swapped + draws.count(255) == 200

half = [helper.make_tensor("half", TensorProto.FLOAT, [], [0.5])]
picture = np.random.default_rng(0).random((64, 64), np.float32)
kinds = TensorProto.FLOAT, TensorProto.BOOL
masks = [run("Greater", picture.astype(order), *kinds, half) for order in ("<f4", ">f4")]
iou = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
print(f"threshold by ONNX Runtime, <f4 and >f4: {masks[0].sum()} and {masks[1].sum()} of 4096 pixels, IoU {iou:.2f}")
same &= bool((masks[0] == (picture > 0.5)).all()) and iou < 0.5
sys.exit(not same)
PYTHON
NO_ALBUMENTATIONS_UPDATE=1 "$folder/env/bin/python" "$folder/order.py" "$folder" \
    >"$folder/out" 2>"$folder/log" || { status=$?; cat "$folder/out" "$folder/log"; exit $status; }
cat "$folder/out"
