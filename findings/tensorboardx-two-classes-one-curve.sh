#!/bin/sh
# tensorboardX 2.6.5: curves whose names differ only in signs are written as one curve.
#
# Each character of a tag that is no letter, digit, "_", "-", "." or "/" becomes "_". That is reported (tensorboardX
# issue 696) as a matter of looks. What is not: two tags that become equal go into one curve, in the order of the
# calls, with nothing but a line of the logging level INFO. TensorBoard then draws a zigzag between the two, and a
# reader that takes the last value of a tag gets the one that was written last. Ray Tune writes its curves by
# tensorboardX.
#
# Seen: "iou/lane (dashed)" and "iou/lane [dashed]" as well as "loss=dice" and "loss+dice": of four curves of three
# steps, two arrive, with six values each and each step twice.
# Consequence: scores of two classes, or of two losses that are named by their terms, are mixed, and a figure drawn
# from the event file shows neither. The project puts the class's place behind such names
# (bench/execution/tensorboard.py).
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "tensorboardX==2.6.5" "numpy==2.2.6" "tensorboard==2.21.0"
cat >"$folder/curves.py" <<'PYTHON'
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX import SummaryWriter

names = ["iou/lane (dashed)", "iou/lane [dashed]", "loss=dice", "loss+dice"]
with SummaryWriter(sys.argv[1]) as writer:
    for step in range(3):
        for place, name in enumerate(names):
            writer.add_scalar(name, place + step / 10, step)
events = EventAccumulator(sys.argv[1]).Reload()
read = {tag: [(event.step, round(event.value, 1)) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
for tag, values in read.items():
    print(tag, values)
mixed = [(step, round(place + step / 10, 1)) for step in range(3) for place in (0, 1)]
sys.exit(not (list(read) == ["iou/lane__dashed_", "loss_dice"] and read["iou/lane__dashed_"] == mixed))
PYTHON
"$folder/env/bin/python" "$folder/curves.py" "$folder/events" 2>"$folder/log" ||
    { status=$?; cat "$folder/log"; exit $status; }
