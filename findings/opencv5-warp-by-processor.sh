#!/bin/sh
# OpenCV 5.0.0.93 (headless wheel): bilinear warpAffine gives other bytes on a processor without AVX2 and FMA.
#
# OpenCV 4.14 and before compute the places of a warp in fixed point, and give the same bytes whatever the instruction
# set. OpenCV 5 computes them in floating point, with fused multiply-add where the processor has it. A rotation of an
# image of noise differs in about 0.03 % of its values, each by 1. Labels by INTER_NEAREST were equal here.
#
# Seen: 4.14.0.94: the same hash with and without AVX2; 5.0.0.93: two hashes, 0.030 % of the values apart, by 1.
# Consequence: images that are augmented by OpenCV 5 with equal seeds are equal on one kind of processor only. The
# project takes OpenCV below 5 (pyproject.toml), and its records name the version.
# Exit status: 0 as seen, 1 when it has changed, 77 on a processor without AVX2.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/warp.py" <<'PYTHON'
import sys

import cv2
import numpy as np

cv2.setNumThreads(0)
image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
turn = cv2.getRotationMatrix2D((160, 120), 17.3, 1.13)
np.save(sys.argv[1], cv2.warpAffine(image, turn, (320, 240), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))
PYTHON
cat >"$folder/compare.py" <<'PYTHON'
import sys

import cv2
import numpy as np

with_avx2, without = (np.load(name).astype(int) for name in sys.argv[1:3])
apart = with_avx2 != without
most = abs(with_avx2 - without).max()
print(f"OpenCV {cv2.__version__}: {100 * apart.mean():.3f} % of the values differ, by at most {most}")
sys.exit(bool(apart.any()) != (sys.argv[3] == "differ"))
PYTHON
grep -qw avx2 /proc/cpuinfo 2>/dev/null || { echo "this processor has no AVX2"; exit 77; }
look() {
    "${PYTHON:-python3}" -m venv "$folder/$1"
    "$folder/$1/bin/python" -m pip install --quiet --disable-pip-version-check "opencv-python-headless==$1"
    "$folder/$1/bin/python" "$folder/warp.py" "$folder/with.npy"
    OPENCV_CPU_DISABLE=AVX2,FMA3,FP16,AVX "$folder/$1/bin/python" "$folder/warp.py" "$folder/without.npy"
    "$folder/$1/bin/python" "$folder/compare.py" "$folder/with.npy" "$folder/without.npy" "$2"
}
look 4.14.0.94 equal
look 5.0.0.93 differ
