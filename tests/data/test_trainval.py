"""Training on train and val together: every image of both, each with its own pixels, and a test split is needed."""

import numpy as np
import pytest
from PIL import Image

from bench.core import UsageError
from bench.data import Split, load
from bench.data.dataset import Dataset, joined
from bench.data.judge import judged
from bench.spec import DataSpec


def _split(shade, keys, version="v", **more):
    image, label = np.full((2, 2, 3), shade, np.uint8), np.zeros((2, 2), np.uint8)
    return Split(keys, lambda key: (image + len(key), label), version, **more)


def test_equal_keys_of_two_splits_are_two_images():
    both = joined({"train": _split(10, ("a", "bb")), "val": _split(50, ("a",))})
    assert both.keys == ("train/a", "train/bb", "val/a")
    assert [int(both.read(index)[0][0, 0, 0]) for index in range(3)] == [11, 12, 51]
    assert both.version
    assert both.stored is None


def test_what_is_known_of_both_is_known_of_them_together():
    known = {"present": np.array([[True, False]]), "pixels": np.array([4]), "stored": str.encode}
    other = {"present": np.array([[False, True]]), "pixels": np.array([9])}
    other["stored"] = lambda key: b"other " + key.encode()
    both = joined({"train": _split(0, ("a",), **known), "val": _split(0, ("a",), **other)})
    assert both.present.tolist() == [[True, False], [False, True]]
    assert both.pixels.tolist() == [4, 9]
    assert [both.stored(key) for key in both.keys] == [b"a", b"other a"]
    unknown = joined({"train": _split(0, ("a",), **known), "val": _split(0, ("a",), version="")})
    assert (unknown.present, unknown.pixels, unknown.stored, unknown.version) == (None, None, None, "")


def test_limits_hold_for_each_part():
    dataset = load(DataSpec(train_on="trainval", train_limit=3, val_limit=2))
    found = dataset.training(("train", "val"))
    assert [key.partition("/")[0] for key in found.keys] == ["train"] * 3 + ["val"] * 2
    np.testing.assert_array_equal(found.read(4)[0], dataset.splits["val"].read(1)[0])
    assert dataset.training(("train",)) is dataset.splits["train"]


def test_without_a_test_split_nothing_would_be_scored(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for split in ("train", "val"):
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / f"{split}.png")
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 2).save(tmp_path / "masks" / f"{split}.png")
        (tmp_path / f"{split}.txt").write_text(f"{split}\n")
    with pytest.raises(UsageError, match="trainval leaves nothing to score, because there is no split test") as told:
        load(DataSpec(dataset="folder", root=str(tmp_path), train_on="trainval"))
    assert "\n" not in str(told.value)


def test_a_class_of_val_is_trained_if_val_is():
    def split(*classes):
        present = np.zeros((1, 3), bool)
        present[0, list(classes)] = True
        return _split(0, ("a",), present=present)

    dataset = Dataset("d", ("a", "b", "c"), ((0, 0, 0),) * 3, "v", {
        "train": split(0, 1), "val": split(0, 2), "test": split(0, 1, 2),
    })  # fmt: skip
    notes = judged(dataset).notes
    assert [note.split(" has classes that ")[0] for note in notes if "classes that" in note] == ["d: val", "d: test"]
    assert [note.split("; ")[0] for note in notes if "no pixel" in note] == ["d: val has no pixel of b (id 1)"]
    assert judged(dataset, ("train", "val")).notes == ()
