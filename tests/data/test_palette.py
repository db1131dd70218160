"""Colours stay apart, for colour-blind readers too."""

import itertools

import numpy as np
import pytest

from bench.data.scenes import painter
from bench.data.sources import palette

# Linear RGB to what a protanope and a deuteranope see: Machado, Oliveira and Fernandes 2009, severity 1.
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]


def oklab(linear):
    """Björn Ottosson 2020, from linear RGB."""
    cone = np.array(
        [[0.41222147, 0.53633254, 0.05144599], [0.2119035, 0.68069955, 0.10739696], [0.08830246, 0.28171884, 0.6299787]]
    )
    mix = np.array(
        [
            [0.21045426, 0.79361779, -0.00407205],
            [1.9779985, -2.42859221, 0.45059371],
            [0.02590404, 0.78277177, -0.80867577],
        ]
    )
    return np.cbrt(np.clip(linear, 0, 1) @ cone.T) @ mix.T


def least_distance(colors, sight):
    share = np.array(colors) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = oklab(linear @ np.array(sight).T)
    return min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))


@pytest.mark.parametrize("sight", [np.eye(3), PROTANOPIA, DEUTERANOPIA], ids=["normal", "protanopia", "deuteranopia"])
@pytest.mark.parametrize(
    ("colors", "apart"), [(palette.colors(20), 0.08), (palette.colors(8), 0.15), (painter.COLORS, 0.09)]
)
def test_colours_are_told_apart(colors, apart, sight):
    assert least_distance(colors, sight) > apart


def test_as_many_distinct_colours_as_asked():
    colors = palette.colors(150)
    assert len(set(colors)) == 150
    assert all(0 <= part <= 255 for color in colors for part in color)
    assert palette.colors(30) == colors[:30]
