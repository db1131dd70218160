"""Data sets by name, limits, and what importing the room costs."""

import subprocess
import sys

import numpy as np
import pytest

import bench.data
from bench.core import UsageError
from bench.data.dataset import Split
from bench.spec import DataSpec


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match=r"unknown dataset 'scene'; did you mean 'scenes'\?"):
        bench.data.load(DataSpec(dataset="scene"))


def test_every_name_has_a_loader():
    for name in bench.data.names():
        with pytest.raises(UsageError, match=r"data\.root|data\.dataset=folder"):
            bench.data.load(DataSpec(dataset=name, root="/nowhere"))


def test_limits_are_nested_subsets_of_a_fixed_shuffle():
    keys = tuple(f"k{i}" for i in range(50))
    split = Split(keys, lambda key: (np.zeros((1, 1, 3), np.uint8), np.full((1, 1), int(key[1:]), np.uint8)))
    small, large = split.limited(5), split.limited(20)
    assert len(small) == 5
    assert large.keys[:5] == small.keys != keys[:5]
    assert set(large.keys) < set(keys)
    assert small.read(3)[1] == int(small.keys[3][1:])
    assert split.limited(50) is split.limited(None) is split


def test_load_applies_the_limit_of_each_split():
    splits = bench.data.load(DataSpec(train_limit=7, test_limit=3)).splits
    assert {name: len(split) for name, split in splits.items()} == {"train": 7, "val": 64, "test": 3}


def test_loading_a_set_imports_no_tensorflow():
    code = (
        "import sys, bench.data; from types import SimpleNamespace as N\n"
        "limits = dict(train_limit=1, val_limit=1, test_limit=1)\n"
        "spec = N(dataset='scenes', root=None, name=None, pixel_weights='none', trained=('train',), **limits)\n"
        "bench.data.load(spec).splits['val'].read(0); import bench.data.pipeline\n"
        "assert not {'tensorflow', 'keras', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
