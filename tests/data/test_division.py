"""Splits: whole groups, the asked shares, the same on every machine, and files that are there whole or not at all."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.core import UsageError
from bench.data.division import divide, pairs_of, write
from bench.data.folder_writer import convert
from bench.data.registry import load
from bench.spec import DataSpec

PROJECT = Path(__file__).resolve().parents[2]


def folder(root, keys):
    for position, key in enumerate(keys):
        for name, values in (("images", np.full((8, 8, 3), position)), ("masks", np.arange(64).reshape(8, 8) % 3)):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(root / name / f"{key}.png")
    return root


def test_a_choice_is_the_same_everywhere():
    """By the hash of seed and key: a change would divide the sets of users anew."""
    keys = [f"k{number}" for number in range(10)]
    assert (
        divide(keys, {"train": 0.8, "val": 0.2}, 0)["val"] == divide(keys[::-1], {"train": 0.8, "val": 0.2}, 0)["val"]
    )
    assert divide(keys, {"train": 0.8, "val": 0.2}, 0)["val"] == ["k0", "k3"]
    assert divide(keys, {"train": 0.8, "val": 0.2}, 1)["val"] != ["k0", "k3"]


@given(
    st.lists(st.integers(1, 9), min_size=3, max_size=40), st.integers(0, 99),
    st.sampled_from([{"train": 0.8, "val": 0.2}, {"train": 0.5, "val": 0.25, "test": 0.25}]),
)  # fmt: skip
def test_groups_stay_together_and_shares_are_met_to_a_group(sizes, seed, shares):
    keys = [f"v{video}_{frame}" for video, size in enumerate(sizes) for frame in range(size)]
    found = divide(keys, shares, seed, r"v\d+_")
    assert sorted(key for split in found.values() for key in split) == sorted(keys)
    assert all(found.values())
    videos = {split: {key.partition("_")[0] for key in chosen} for split, chosen in found.items()}
    assert sum(map(len, videos.values())) == len(sizes)
    if len(sizes) > 10:
        for split, share in shares.items():
            assert abs(len(found[split]) - share * len(keys)) <= 2 * max(sizes)


@pytest.mark.parametrize(
    ("group_by", "message"),
    [("v", "gives 1 group;"), ("x", "matches nothing at the start of 'v0_a'"), ("(", "not a regular expression")],
)
def test_bad_groups_are_one_line(group_by, message):
    with pytest.raises(UsageError) as raised:
        divide(["v0_a", "v1_b", "v2_c"], {"train": 0.8, "val": 0.2}, 0, group_by)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_files_are_those_that_a_run_reads(tmp_path):
    keys = [f"{cat}_{number}" for cat in "abcde" for number in range(2)]
    folder(tmp_path, keys)
    done = subprocess.run(
        [sys.executable, "-m", "bench.data", "split", str(tmp_path), "--group-by", "[^_]+", "--val", "0.4"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}: train.txt with 6, val.txt with 4 of 10\n"), done.stderr
    found = load(DataSpec(dataset="folder", root=str(tmp_path)))
    assert {name: len(split.keys) for name, split in found.splits.items()} == {"train": 6, "val": 4}
    assert not {key[0] for key in found.splits["val"].keys} & {key[0] for key in found.splits["train"].keys}
    with pytest.raises(UsageError, match=r"train.txt is there already"):
        pairs_of(str(tmp_path), "masks")


def test_nothing_stays_if_a_file_cannot_be_written(tmp_path):
    (tmp_path / "val.txt").mkdir()  # in the way
    with pytest.raises(UsageError, match="cannot be written"):
        write(tmp_path, {"train": ["a"], "val": ["b"]})
    assert [path.name for path in tmp_path.iterdir()] == ["val.txt"]


def written_lists(root, keys):
    folder(root, keys)
    write(root, divide(pairs_of(str(root), "masks")[1], {"train": 0.5, "val": 0.5}, 0))
    return load(DataSpec(dataset="folder", root=str(root)))


def test_names_that_look_like_files_are_read_back(tmp_path):
    """A list may name files, so `a.jpg` in it is the key a; the image a.jpg.png has the key a.jpg."""
    keys = ["a.jpg", "b ", "c", "d.png.tif", "a"]
    found = written_lists(tmp_path / "own", keys)
    assert sorted(key for split in found.splits.values() for key in split.keys) == sorted(keys)
    converted = tmp_path / "converted"
    assert len([*convert(found, converted)]) == len(keys)
    again = load(DataSpec(dataset="folder", root=str(converted)))
    assert {name: split.keys for name, split in again.splits.items()} == {
        name: split.keys for name, split in found.splits.items()
    }


@pytest.mark.parametrize("key", ["a\nb", " a", "a\\b", "a\x85b"])
def test_a_name_that_no_line_can_hold_is_refused_before_anything_is_written(tmp_path, key):
    with pytest.raises(UsageError, match="cannot hold this name; rename the file"):
        written_lists(tmp_path, [key, "c", "d"])
    assert not [*tmp_path.glob("*.txt*")]


def test_a_set_is_converted_into_the_folder_where_the_user_is(tmp_path, monkeypatch):
    found = written_lists(tmp_path / "own", ["a", "b"])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert len([*convert(found, Path())]) == 2
    assert Path("train.txt").is_file()
