"""Folders that are nearly a layout: what is read of them, and the line that says what to do about the others."""

import json
import unicodedata

import numpy as np
import pytest
from PIL import Image

from bench.core import UsageError
from bench.data import load
from bench.spec import DataSpec

KEYS = ("a", "b", "c")


def fill(root, images="images", masks="masks", keys=KEYS):
    """Write a picture and a mask of classes 0 and 1 for each key; each pair is another."""
    for number, key in enumerate(keys):
        for folder, array in ((images, np.full((8, 8, 3), number)), (masks, np.arange(64).reshape(8, 8) % 2)):
            path = root / folder / f"{key}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(path)


def opened(root, **fields):
    return load(DataSpec(dataset="folder", root=str(root), **fields))


def fault(root, **fields):
    with pytest.raises(UsageError) as caught:
        opened(root, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what is read ----------------------------------------------------------------------------------------------------


def test_another_mask_folder_without_split_files(tmp_path):
    fill(tmp_path, masks="labels/ids")
    assert sum(len(split) for split in opened(tmp_path, masks="labels/ids").splits.values()) == 3


def test_folders_of_splits_below_images_and_masks(tmp_path):
    fill(tmp_path, keys=("train/a", "train/x/b", "Valid/c"))
    found = opened(tmp_path)
    assert {name: split.keys for name, split in found.splits.items()} == {
        "train": ("train/a", "train/x/b"), "val": ("Valid/c",)
    }  # fmt: skip
    assert any("the folders Valid/, train/ of images/ are its splits" in note for note in found.notes)


@pytest.mark.parametrize("keys", [("train/a", "val/b", "other/c"), ("train/a", "val/b", "c"), ("val/a", "x/b", "c")])
def test_folders_that_are_not_all_splits_divide_nothing(tmp_path, keys):
    """Else the others would be left out in silence."""
    fill(tmp_path, keys=keys)
    found = opened(tmp_path)
    assert sum(len(split) for split in found.splits.values()) == 3
    assert any("it has no splits" in note for note in found.notes)


def test_split_files_win_over_folders_of_splits(tmp_path):
    fill(tmp_path, keys=("train/a", "val/b", "val/c"))
    (tmp_path / "train.txt").write_text("val/b\ntrain/a\n")
    (tmp_path / "val.txt").write_text("val/c\n")
    assert opened(tmp_path).splits["train"].keys == ("val/b", "train/a")


def test_splits_with_images_and_masks_of_their_own(tmp_path):
    for split, keys in (("train", KEYS), ("validation", ("a",)), ("test", ("d",)), ("more", ("e",))):
        fill(tmp_path / split, keys=keys)
    (tmp_path / "classes.txt").write_text("sky\nroad\n")
    found = opened(tmp_path)
    assert {name: split.keys for name, split in found.splits.items()} == {
        "train": ("train/a", "train/b", "train/c"), "val": ("validation/a",), "test": ("test/d",)
    }  # fmt: skip
    assert found.class_names == ("sky", "road")


# --- what is not read ------------------------------------------------------------------------------------------------


def test_annotations_that_are_no_masks(tmp_path):
    coco = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_train.json").write_text(json.dumps(coco))
    assert "annotations/instances_train.json is COCO JSON" in fault(tmp_path)
    (tmp_path / "annotations/instances_train.json").write_text(json.dumps({"version": 1}))
    assert "is COCO JSON" not in fault(tmp_path)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    assert "labels/a.txt is an annotation of YOLO" in fault(tmp_path)


def test_a_set_one_folder_down(tmp_path):
    fill(tmp_path / "export/set")
    assert f"the data set is in set/; name {tmp_path / 'export/set'} instead" in fault(tmp_path / "export")
    fill(tmp_path / "export/other")
    assert "it holds several data sets (other, set)" in fault(tmp_path / "export")


@pytest.mark.parametrize(
    ("folders", "fields", "expected"),
    [
        (
            ("Images", "Masks"),
            {},
            "rename Images/ to images/ and name the masks with --masks Masks (in a run: --set data.masks=",
        ),
        (("images", "labels"), {}, "it holds images/ and labels/; name the masks with --masks labels"),
        (("img", "gt"), {"masks": "gt"}, "it holds img/ and gt/; rename img/ to images/;"),
        (("images",), {}, "no folder masks/ beside images/"),
        (("masks",), {}, "no folder images/ beside masks/"),
        (("one", "two"), {}, "unknown layout: it holds one/, two/; expected images/ + masks/"),
        ((), {}, "unknown layout: the folder is empty; expected"),
    ],
)
def test_folders_of_other_names(tmp_path, folders, fields, expected):
    for folder in folders:
        (tmp_path / folder).mkdir()
    assert expected in fault(tmp_path, **fields)


def test_files_beside_no_folder(tmp_path):
    (tmp_path / "set.zip").write_bytes(b"PK")
    assert "set.zip is an archive; unpack it" in fault(tmp_path)
    (tmp_path / "set.zip").unlink()
    fill(tmp_path, images=".", masks="")
    assert "images such as a.png lie in the folder itself; move them to images/" in fault(tmp_path)


# --- a partner that is nearly there ----------------------------------------------------------------------------------


def test_partners_of_another_spelling_or_format(tmp_path):
    """The file that a reader sees beside the other one is named, with the reason why it does not count."""
    fill(tmp_path, keys=(*KEYS, "d"))
    mask = tmp_path / "masks/a.png"
    data = mask.read_bytes()
    mask.rename(tmp_path / "masks/A.png")
    assert "masks/A.png: mask without an image; images/a.png differs in upper and lower case" in fault(tmp_path)
    (tmp_path / "masks/A.png").unlink()
    np.savez(tmp_path / "masks/a.npz", np.zeros((8, 8)))
    assert "images/a.png: image without a mask; masks/a.npz is of a format that is not read" in fault(tmp_path)
    mask.write_bytes(data)
    (tmp_path / "images/a.png").rename(tmp_path / "images/a.heic")
    assert "masks/a.png: mask without an image; images/a.heic is of a format" in fault(tmp_path)
    (tmp_path / "images/a.heic").unlink()
    assert "add one named 'a' to images/" in fault(tmp_path)


def test_names_in_another_unicode_form(tmp_path):
    fill(tmp_path, keys=(*KEYS, unicodedata.normalize("NFC", "Grün")))
    one, other = (unicodedata.normalize(form, "Grün") for form in ("NFC", "NFD"))
    (tmp_path / f"masks/{one}.png").rename(tmp_path / f"masks/{other}.png")
    assert f"images/{one}.png has the same letters in another Unicode form" in fault(tmp_path)
    for key in KEYS:
        (tmp_path / f"images/{key}.png").unlink()
        (tmp_path / f"masks/{key}.png").unlink()
    assert f"masks/{other}.png has the same letters in another Unicode form" in fault(tmp_path), "of all masks"


@pytest.mark.parametrize("line", ["images/c", "images/c.png masks/c.png", "set/images/c.png", "./c\tmasks/c.png"])
def test_lists_of_other_tools(tmp_path, line):
    fill(tmp_path)
    (tmp_path / "train.txt").write_text("a\nb\n")
    (tmp_path / "val.txt").write_text(line)
    assert "val.txt, line 1: no image for key" in fault(tmp_path)
    assert "; write 'c': the path below that folder" in fault(tmp_path)


def test_a_list_of_faulty_keys_alone_is_not_called_empty(tmp_path):
    fill(tmp_path)
    (tmp_path / "train.txt").write_text("/data/images/a.png\n")
    (tmp_path / "val.txt").write_text("c\n")
    assert "train.txt, line 1: key '/data/images/a.png' leaves the data folder" in fault(tmp_path, on_error="skip")


def test_too_few_pairs_name_the_first_fault(tmp_path):
    fill(tmp_path, keys=("a",))
    assert fault(tmp_path).endswith("images with labels: 1; at least two are needed, to train and to validate")
    (tmp_path / "masks/a.png").rename(tmp_path / "masks/a.npz")
    assert "images with labels: 0 (" in fault(tmp_path, on_error="skip")
    assert "a.npz is of a format" in fault(tmp_path, on_error="skip")
