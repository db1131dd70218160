#!/bin/sh
# Nobrainer 1.2.1: the predicted mask of a flat volume has its blocks at wrong places.
#
# `predict` cuts a volume into blocks, predicts each of them and puts them together. The shape of the volume is known,
# but the number of blocks on each axis is taken to be the cube root of the number of all blocks. If that is no whole
# number, there is an error. If it is, the blocks are put into a cube of blocks, and the values of that cube are read
# into the shape of the volume in their order. This is right for cubes only, and 8 x 8 x 1 blocks are as many as
# 4 x 4 x 4: a CT of 512 x 512 x 64 voxels in blocks of 64. `volume.from_blocks`, the command and the estimators do so.
#
# Seen: a model that gives each voxel the class that is its value, so the mask must be the image: an organ (class 1)
# with a core (class 2). Dice of both classes for a file of NIfTI: 32 x 32 x 32 voxels in blocks of 8: 1 and 1.
# 64 x 64 x 8 in blocks of 8: 0.44 and 0.21. 64 x 32 x 16 in blocks of 16: 0.20 and 0. 64 x 64 x 16 in blocks of 8,
# whose number is no cube: a ValueError. The number of voxels of each class is right in all of the others. No error and
# no warning in them.
# Consequence: the sizes of organs and lesions are right, so a table looks fine, but their places are not, and an
# evaluation says that the model has learned little. That other shapes raise an error makes it look safe. Volumes are
# resampled to cubes first, and a model that returns its input is predicted with once for each shape.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "tensorflow-cpu==2.15.1" "tensorflow-addons==0.23.0" "tensorflow-probability==0.23.0" "numpy==1.26.4" \
    "scikit-image==0.26.0" "nibabel==5.4.2" "joblib==1.6.0" "fsspec==2026.9.0" "click==8.5.1" "psutil==7.2.2"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "nobrainer==1.2.1"
cat >"$folder/volumes.py" <<'PYTHON'
import sys

import nibabel as nib
import numpy as np
import tensorflow as tf
from nobrainer.prediction import predict


def volume(shape):
    """Return an organ of value 1 with a core of value 2, off the middle."""
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij"))
    radius = np.sqrt((grid[0] + 0.4) ** 2 + (grid[1] + 0.3) ** 2 + grid[2] ** 2)
    return ((radius < 0.5).astype(np.float32) + (radius < 0.25)).astype(np.float32)


def model_of_values(block):
    """Return a model for which the class of each voxel is its value: class k has the logit 2 k x - k^2."""
    layer = tf.keras.layers.Conv3D(3, 1)
    model = tf.keras.Sequential([tf.keras.Input((block, block, block, 1)), layer])
    layer.set_weights([np.array([0, 2, 4], np.float32).reshape(1, 1, 1, 1, 3), np.array([0, -1, -4], np.float32)])
    return model


def dice(a, b):
    return round(float(2 * (a & b).sum() / (a.sum() + b.sum())), 3)


def main(folder):
    seen = {}
    for shape, block in (((32, 32, 32), 8), ((64, 64, 8), 8), ((64, 32, 16), 16), ((64, 64, 16), 8)):
        image, path = volume(shape), f"{folder}/{'x'.join(map(str, shape))}.nii.gz"
        nib.save(nib.Nifti1Image(image, np.eye(4)), path)
        try:
            mask = np.asarray(predict(path, model_of_values(block), (block,) * 3).dataobj)
        except ValueError as error:
            seen[shape] = str(error)
        else:
            assert mask.shape == shape
            assert np.array_equal(np.bincount(mask.ravel()), np.bincount(image.astype(int).ravel()))
            seen[shape] = round(float((mask != image).mean()), 3), *(dice(mask == k, image == k) for k in (1, 2))
        print(f"{shape} in blocks of {block}: {seen[shape]}")
    return seen


if __name__ == "__main__":
    found = list(main(sys.argv[1]).values())
    same = found[0] == (0, 1, 1) and max(*found[1][1:], *found[2][1:]) < 0.5 and "Cubed root" in found[3]
    sys.exit(not same)
PYTHON
TF_CPP_MIN_LOG_LEVEL=2 "$folder/env/bin/python" -W error::RuntimeWarning "$folder/volumes.py" "$folder"
