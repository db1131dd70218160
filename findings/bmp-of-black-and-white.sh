#!/bin/sh
# Pillow 13.0.0 scrambles a bitmap of 8 bits a pixel whose palette is black and white, without a word.
#
# A picture of mode P with the palette black, white is saved as BMP with 8 bits a pixel and a palette of two
# colors, which is valid. Opened again it has mode "1": the reader takes two greys for a sign of 1 bit a pixel,
# whatever the header says, and unpacks each byte as eight pixels. With white first it is read right. A bitmap
# of 4 bits whose palette is greys goes wrong in the same way.
#
# Seen: mode 1, and 53 of 128 pixels as they were saved; the file itself holds all 128; white first: mode P, 128
# of 128.
# Consequence: the bits of the header are asked before pixels are believed; see bench/data/image_io.py.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check pillow==13.0.0
"$folder/env/bin/python" - <<'PYTHON'
import io
import random

from PIL import Image

WIDTH, HEIGHT = 16, 8
pixels = bytes(random.Random(0).choices((0, 1), k=WIDTH * HEIGHT))


def saved(colors):
    picture = Image.frombytes("P", (WIDTH, HEIGHT), pixels)
    picture.putpalette(colors)
    data = io.BytesIO()
    picture.save(data, "BMP")
    return data.getvalue()


def right(data):
    picture = Image.open(io.BytesIO(data))
    found = picture.convert("L").tobytes() if picture.mode == "1" else picture.tobytes()
    return picture.mode, sum(bool(one) == bool(other) for one, other in zip(found, pixels))


data = saved([0, 0, 0, 255, 255, 255])
bits, at = int.from_bytes(data[28:30], "little"), int.from_bytes(data[10:14], "little")
rows = [data[at + WIDTH * row : at + WIDTH * (row + 1)] for row in reversed(range(HEIGHT))]
print("bits in the header:", bits, "- pixels in the file as saved:", b"".join(rows) == pixels)
black_first, white_first = right(data), right(saved([255, 255, 255, 0, 0, 0]))
print("black first:", black_first, "white first:", white_first)
same = bits == 8 and b"".join(rows) == pixels and black_first[0] == "1" and black_first[1] < 100
raise SystemExit(not (same and white_first == ("P", WIDTH * HEIGHT)))
PYTHON
