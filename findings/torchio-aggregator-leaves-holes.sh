#!/bin/sh
# TorchIO 1.2.1: a volume put together from overlapping patches of a model with stride has stripes of class 0.
#
# `GridAggregator(sampler, downsampling_factor=2)` is for models whose output is smaller than their input. In its mode
# "crop", which is the default, half the overlap is cut off each patch where another one follows. The places and the
# size of the output are divided by the factor, the overlap is not: what is cut is `factor` times too wide. Between
# neighbours a stripe of overlap x (1 - 1 / factor) voxels is filled by none and stays 0, the background. Where the
# overlap reaches 1 / factor of a patch, inner patches are cut to nothing. With a `padding_mode` the margin cut off at
# the end is not divided, either: the output is too small. The modes "average" and "hann" end with a RuntimeError, so
# "crop" is the only one that seems to work. Without overlap all is right.
#
# Seen: 64 x 64 x 64 voxels of the classes 1 to 3, patches of 32, a model that gives every second voxel, perfectly.
# Share of the output that is 0, and voxel accuracy: overlap 0: 0 and 1; overlap 8: 0.33 and 0.67; overlap 16: 0.875
# and 0.125. The same patches pasted at half their places by hand: accuracy 1 each time. With padding_mode="edge" and
# overlap 16: 24 voxels along each side, not 32, and all of them 0. No error and no warning.
# Consequence: the more overlap, which is there to make a prediction better, the worse the score: what is measured is
# the assembly, not the model. A sampler and its aggregator are tried with a perfect model, one that returns the truth.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "torch==2.13.0" "numpy==2.2.6" "scipy==1.17.1" "nibabel==5.4.2" "simpleitk==2.5.7" "torchio==1.2.1"
"$folder/env/bin/python" -W error::RuntimeWarning - <<'PYTHON'
import sys

import torch
import torchio

truth = torch.randint(1, 4, (1, 64, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
wanted = truth[:, ::2, ::2, ::2]


def assembled(overlap, mode="crop", padding=None):
    """Return what the aggregator makes of perfect patches, and what pasting them at half their places makes."""
    sampler = torchio.GridSampler(torchio.Subject(truth=torchio.LabelMap(tensor=truth)), 32, overlap, padding)
    aggregator = torchio.GridAggregator(sampler, mode, downsampling_factor=2)
    pasted = torch.zeros(1, *(size // 2 for size in sampler.subject.spatial_shape), dtype=torch.uint8)
    for patch in sampler:
        output, place = patch["truth"].data[:, ::2, ::2, ::2], patch[torchio.LOCATION]
        aggregator.add_batch(output[None], place[None])
        i, j, k = (int(index) // 2 for index in place[:3])
        pasted[:, i : i + 16, j : j + 16, k : k + 16] = output
    return aggregator.get_output_tensor(), pasted


def covered(overlap):
    """Return the share of an axis that is left when half an undivided overlap is cut off the inner ends."""
    starts = sorted({*range(0, 33, 32 - overlap), 32})
    kept = [
        range(start // 2 + overlap // 2 * (start > 0), start // 2 + 16 - overlap // 2 * (start < 32))
        for start in starts
    ]
    return len({index for indices in kept for index in indices}) / 32


seen = {}
for overlap in (0, 8, 16):
    output, pasted = assembled(overlap)
    empty = (output == 0).float().mean().item()
    accuracy, by_hand = ((labels == wanted).float().mean().item() for labels in (output, pasted))
    seen[overlap] = [round(value, 3) for value in (empty, accuracy, by_hand)]
    print(f"overlap {overlap}: share of 0, accuracy, accuracy by hand:", seen[overlap], tuple(output.shape[1:]))
padded, _ = assembled(16, padding="edge")
print("padding_mode='edge', overlap 16:", tuple(padded.shape[1:]), "share of 0:", (padded == 0).float().mean().item())
refused = []
for mode in ("average", "hann"):
    try:
        assembled(8, mode)
    except RuntimeError as error:
        refused.append(mode)
        print(f"{mode}: {error}")
sys.exit(
    not (
        seen == {0: [0, 1, 1], 8: [0.33, 0.67, 1], 16: [0.875, 0.125, 1]}
        and all(share == round(1 - covered(overlap) ** 3, 3) for overlap, (share, _, _) in seen.items())
        and tuple(padded.shape[1:]) == (24, 24, 24)
        and not padded.any()
        and refused == ["average", "hann"]
    )
)
PYTHON
