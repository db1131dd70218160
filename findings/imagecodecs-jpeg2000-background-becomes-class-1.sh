#!/bin/sh
# imagecodecs 2026.3.6 and tifffile 2026.3.3: JPEG 2000, lossless, turns a label map of uint32 from 0 into 1.
#
# `jpeg2k_encode` without a level is lossless. For uint32 it takes 26 bits a pixel (the docstring asks whether the data
# must have no more). JPEG 2000 moves unsigned numbers down by half the range, so that 0 becomes -2^25. OpenJPEG 2.5.4
# codes magnitudes of up to 25 bits, 2^25 - 1: -2^25 comes back as -2^25 + 1, and 0 as 1. Where the wavelet goes far
# below -2^25, at the edges of objects, numbers turn round to near 2^26. Small numbers do it, not large ones: a label of
# one bit is hit. int32 is not moved, and uint16 takes 16 bits; both are right, and so is uint32 with bitspersample=25.
# `tifffile.imwrite(compression="jpeg2000")` calls this encoder with its defaults.
#
# Seen, 64 x 64 pixels of uint32: 0 everywhere: 1 everywhere. A square of 16 x 16 pixels of 1 on 0: the background is 1
# everywhere, the square 1 in 156 pixels and 2 in 100; by tifffile the same. Squares of the labels 1 to 25 on 0: 2 % of
# the pixels wrong, by tifffile in tiles of 32 x 32 10 %. Blocks of 8 x 8 pixels without a background, 0 to 63: 3 %
# wrong, the largest label read is 67108863. All labels plus 64: all right. No error and no warning.
# Consequence: void becomes the first class, or empty patches of a data set become objects, in an archive that was made
# without loss. Labels are compressed by deflate or zstd, or read back before the original is deleted.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "imagecodecs==2026.3.6" "tifffile==2026.3.3" "numpy==2.4.6"
"$folder/env/bin/python" -W error - "$folder" <<'PYTHON'
import pathlib
import sys

import imagecodecs
import numpy as np
import tifffile

path = pathlib.Path(sys.argv[1], "labels.tif")


def stored(labels, **options):
    return imagecodecs.jpeg2k_decode(imagecodecs.jpeg2k_encode(labels, **options))


def by_tifffile(labels, **options):
    tifffile.imwrite(path, labels, compression="jpeg2000", **options)
    return tifffile.imread(path)


def wrong(labels, read):
    assert read.shape == labels.shape
    assert read.dtype == labels.dtype
    return float((read != labels).mean())


empty = np.zeros((64, 64), np.uint32)
square, squares = empty.copy(), empty.copy()
square[20:36, 24:40] = 1
for label, (row, column) in enumerate(np.ndindex(5, 5), 1):
    squares[2 + 12 * row : 11 + 12 * row, 2 + 12 * column : 11 + 12 * column] = label
blocks = np.kron(np.arange(64, dtype=np.uint32).reshape(8, 8), np.ones((8, 8), np.uint32))

print("OpenJPEG:", imagecodecs.jpeg2k_version())
seen = {}
for name, labels in (("empty", empty), ("square", square), ("squares", squares), ("blocks", blocks)):
    read = stored(labels)
    shares = wrong(labels, read), wrong(labels, by_tifffile(labels)), wrong(labels, by_tifffile(labels, tile=(32, 32)))
    right = [
        wrong(labels.astype(np.int32), stored(labels.astype(np.int32))),
        wrong(labels.astype(np.uint16), stored(labels.astype(np.uint16))),
        wrong(labels, stored(labels, bitspersample=25)),
        wrong(labels + 64, stored(labels + 64)),
    ]
    seen[name] = read, shares, right
    print(f"{name}: labels read {np.unique(read)[:3]} to {read.max()}; wrong: {shares[0]:.3f}, by tifffile")
    print(f"  {shares[1]:.3f}, in tiles {shares[2]:.3f}; int32, uint16, 25 bits, labels plus 64: {right}")

sys.exit(
    not (
        (seen["empty"][0] == 1).all()
        and seen["square"][1][0] > 0.9
        and seen["square"][1][1] == seen["square"][1][0]
        and (seen["square"][0][square == 0] == 1).all()
        and np.bincount(seen["square"][0][square == 1]).tolist() == [0, 156, 100]
        and 0 < seen["squares"][1][0] < seen["squares"][1][2]
        and seen["blocks"][0].max() == 67108863
        and not any(any(right) for _, _, right in seen.values())
    )
)
PYTHON
