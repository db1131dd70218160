#!/bin/sh
# TorchIO 1.2.1: Resize((64, 64, -1)) gives every volume the depth of the first one, and each worker has its own first.
#
# A size of -1 is to keep the size of that axis. `Resize` writes the size of the first volume over the -1 in its own
# `target_shape`, and from then on it is a number like the others. A data set has one transform for all of its
# volumes. Each worker of a DataLoader has a copy, which remembers the first volume that this worker gets.
#
# Seen: volumes of 8 x 8 pixels and 10, 20, 30, 40, 10, 20, 30 and 40 slices, an organ in slice 3 alone,
# Resize((4, 4, -1)), no shuffling. Slices afterwards: without workers 10 each, in the opposite order 40 each; two
# workers: 10, 20, 10, 20 and so on; four workers: 8 right ones. By a new Resize for each volume: 8 right ones. Of the
# organ 16 voxels remain where the depth is kept; of 30 and 40 slices made 10, its slice is not among those that
# nearest neighbour takes, and the class is gone. No error and no warning.
# Consequence: truth and picture are both thinned out or blown up, small objects vanish from both, and the score
# depends on shuffling, on the first file and on the number of workers. In one process all volumes come out alike and
# stack into batches, which hides it. A test of a transform calls one instance with volumes of two sizes.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "torch==2.13.0" "numpy==2.2.6" "scipy==1.17.1" "nibabel==5.4.2" "simpleitk==2.5.7" "torchio==1.2.1"
cat >"$folder/depths.py" <<'PYTHON'
import sys

import torch
import torchio

depths = [10, 20, 30, 40] * 2


def volume(depth):
    labels = torch.zeros(1, 8, 8, depth, dtype=torch.uint8)
    labels[..., 3] = 1
    return torchio.Subject(truth=torchio.LabelMap(tensor=labels))


def measure(subject):
    return subject["truth"].shape[-1], int(subject["truth"].data.sum())


def loaded(order, workers):
    """Return slices and voxels of the organ of each volume of one epoch."""
    subjects = torchio.SubjectsDataset([volume(depth) for depth in order], transform=torchio.Resize((4, 4, -1)))
    loader = torch.utils.data.DataLoader(subjects, batch_size=1, num_workers=workers, collate_fn=lambda batch: batch[0])
    return [measure(subject) for subject in loader]


def main():
    new = [measure(torchio.Resize((4, 4, -1))(volume(depth))) for depth in depths]
    backwards = loaded(depths[::-1], 0)
    by_workers = {workers: loaded(depths, workers) for workers in (0, 2, 4)}
    print("slices and voxels of the organ, a new Resize each:", new)
    print("one Resize, opposite order:", backwards)
    for workers, found in by_workers.items():
        print(f"one Resize, {workers} workers:", found)
    # By hand: the centres of 10 slices on a grid of `depth`; the organ stays where slice 3 is nearest to one of them.
    thinned = [(10, 16 if 3 in [int((index + 0.5) * depth / 10) for index in range(10)] else 0) for depth in depths]
    return (
        new == [(depth, 16) for depth in depths]
        and {slices for slices, _ in backwards} == {40}
        and by_workers[0] == thinned == [(10, 16), (10, 16), (10, 0), (10, 0)] * 2
        and [slices for slices, _ in by_workers[2]] == [10, 20] * 4
        and by_workers[4] == new
    )


if __name__ == "__main__":
    sys.exit(not main())
PYTHON
"$folder/env/bin/python" -W error::RuntimeWarning -W "ignore:This DataLoader will create" "$folder/depths.py"
