#!/bin/sh
# batchgeneratorsv2 0.3.6: additive brightness shared by the channels, the default, is uniform from mu to sigma.
#
# `BrightnessAdditiveTransform(mu, sigma)`, from the library that augments for nnU-Net, "adds random additive brightness
# noise sampled from a Gaussian distribution (mu, sigma)". With synchronize_channels=False each channel gets a normal
# draw. With True, the default, the pair (mu, sigma) goes to a helper that reads a pair as the two ends of a range. With
# the usual mu = 0 no picture ever gets darker, and none by more than sigma brighter.
#
# Seen, pictures of one channel, for which the switch should change nothing, mu 0, sigma 0.5, 4000 draws each. Not
# shared: mean 0, standard deviation 0.5, half of the shifts below 0, 5 % beyond 1, as by hand. Shared: mean 0.25,
# standard deviation 0.14, none below 0, none above 0.5. mu 0.5, sigma 0.5: each picture gets exactly 0.5. mu -1, sigma
# 0.1: mean -0.45, where -1 is asked for.
# Consequence: pictures scaled to mean 0 are trained at 0 to 0.5 and tested at 0, the darkest end of what was seen; a
# comparison of shared with separate brightness compares two distributions. Brightness in the project is drawn from
# ranges that are named as ranges.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "torch==2.13.0" "numpy==2.4.6"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "batchgeneratorsv2==0.3.6"
"$folder/env/bin/python" - <<'PYTHON'
import sys
import warnings

import numpy as np
import torch
from batchgeneratorsv2.transforms.intensity.brightness import BrightnessAdditiveTransform

warnings.simplefilter("error")  # nothing is announced
torch.set_num_threads(1)
DRAWS = 4000


def shifts(mu, sigma, **options):
    """Return how far pictures of one channel, which are 0 everywhere, were moved."""
    np.random.seed(0)
    torch.manual_seed(0)
    transform = BrightnessAdditiveTransform(mu, sigma, **options)
    return np.array([float(transform(image=torch.zeros(1, 2, 2))["image"].mean()) for _ in range(DRAWS)])


def shape(values):
    """Return mean, standard deviation, share below 0 and share beyond 1, and the extremes."""
    shares = [np.mean(values < 0), np.mean(np.abs(values) > 1)]
    return [round(float(v), 3) for v in (values.mean(), values.std(), *shares, values.min(), values.max())]


default, shared = shape(shifts(0.0, 0.5)), shape(shifts(0.0, 0.5, synchronize_channels=True))
apart = shape(shifts(0.0, 0.5, synchronize_channels=False))
hand = shape(np.random.default_rng(0).normal(0, 0.5, DRAWS))
print("mean, deviation, below 0, beyond 1, least, most")
for name, values in {"default": default, "shared": shared, "apart": apart, "by hand": hand}.items():
    print(f"{name}: {values}")
equal = shifts(0.5, 0.5)
below = [round(float(shifts(-1.0, 0.1, synchronize_channels=s).mean()), 2) for s in (True, False)]
print("mu = sigma = 0.5:", np.unique(equal), "; mean for mu -1, sigma 0.1, shared and apart:", below)


def normal(found):
    return bool(np.allclose(found[:4], [0, 0.5, 0.5, 0.0455], atol=0.03) and found[4] < -1 and found[5] > 1)


uniform = default == shared and np.allclose(shared[:4], [0.25, 0.1443, 0, 0], atol=0.01) and shared[4] >= 0
as_seen = uniform and shared[5] <= 0.5 and normal(apart) and normal(hand)
sys.exit(not (as_seen and (equal == 0.5).all() and abs(below[0] + 0.45) < 0.02 and abs(below[1] + 1) < 0.02))
PYTHON
