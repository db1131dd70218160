"""Names as users have them: of mask files, and of classes in the lists of tools."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.core import UsageError
from bench.data import load
from bench.data.__main__ import app
from bench.data.sources.classes import declared
from bench.data.sources.derived_files import plain_png
from bench.spec import DataSpec

LABEL = np.repeat(np.array([0, 1, 2, 255], np.uint8), 5)[:, None].repeat(30, 1)


@pytest.fixture
def folder(tmp_path):
    """images/a.jpg .. d.jpg with two splits; no masks yet."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for key in "abcd":
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), np.uint8)).save(tmp_path / f"images/{key}.jpg")
    (tmp_path / "train.txt").write_text("a\nb\n")
    (tmp_path / "val.txt").write_text("c\nd\n")
    return tmp_path


def masks(folder, name="{}.png", label=LABEL):
    for key in "abcd":
        path = folder / "masks" / name.format(key)
        if path.suffix == ".npy":
            np.save(path, label)
        else:
            Image.fromarray(label).save(path)


def opened(folder, **fields):
    return load(DataSpec(dataset="folder", root=str(folder), **fields))


def fault(folder, **fields):
    with pytest.raises(UsageError) as caught:
        opened(folder, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- mask files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["_mask", "_label", "_gt", "_gtFine_labelIds", "-seg", ".mask", " copy"])
def test_masks_with_an_ending_of_their_own(folder, ending):
    masks(folder, "{}" + ending + ".png")
    dataset = opened(folder)
    assert dataset.splits["val"].keys == ("c", "d")
    np.testing.assert_array_equal(dataset.splits["val"].read(0)[1], LABEL)
    assert f"all masks end in {ending!r}" in dataset.notes[0]


def test_images_with_an_ending_too(folder):
    for key in "abcd":
        (folder / f"images/{key}.jpg").rename(folder / f"images/{key}_sat.jpg")
    (folder / "train.txt").write_text("a_sat\nb_sat.jpg\n")
    (folder / "val.txt").write_text("c_sat\nd_sat\n")
    masks(folder, "{}_mask.png")
    assert opened(folder).splits["train"].keys == ("a_sat", "b_sat")


def test_an_ending_in_pairs_of_folders(folder):
    for split, keys in (("Train", "ab"), ("Val", "cd")):
        for part in ("Images", "Masks"):
            (folder / f"{split}_{part}").mkdir()
        for key in keys:
            (folder / f"images/{key}.jpg").rename(folder / f"{split}_Images/{key}.jpg")
            Image.fromarray(LABEL).save(folder / f"{split}_Masks/{key}_L.png")
    assert opened(folder).splits["val"].keys == ("c", "d")


def test_an_ending_that_not_all_have_is_none(folder):
    masks(folder, "{}_mask.png")
    (folder / "masks/a_mask.png").rename(folder / "masks/a.png")
    assert "masks/b_mask.png: mask without an image" in fault(folder)


def test_a_mask_without_an_image_is_still_one(folder):
    masks(folder, "{}_mask.png")
    Image.fromarray(LABEL).save(folder / "masks/z_mask.png")
    assert "masks/z_mask.png: mask without an image; add one named 'z' to images/" in fault(folder)


def test_the_name_that_is_asked_for_is_the_one_that_is_looked_for(folder):
    """With the endings of images and of masks, listed or not."""
    for key in "abcd":
        (folder / f"images/{key}.jpg").rename(folder / f"images/{key}_sat.jpg")
    masks(folder, "{}_mask.png")
    (folder / "train.txt").write_text("a_sat\nb_sat\n")
    (folder / "val.txt").write_text("c_sat\nd_sat\n")
    (folder / "masks/b_mask.png").rename(folder / "masks/z_mask.png")
    assert "masks/z_mask.png: mask without an image; add one named 'z_sat' to images/" in fault(folder)
    (folder / "masks/z_mask.png").unlink()
    assert f"b_sat.jpg: image without a mask; expected {folder}/masks/b_mask.png" in fault(folder)
    (folder / "train.txt").unlink()
    (folder / "val.txt").unlink()
    assert "b_sat.jpg: image without a mask; add one named 'b_mask' to masks/" in fault(folder)


def test_an_archive_is_told_to_be_unpacked(tmp_path):
    (tmp_path / "export.zip").write_bytes(b"PK")
    assert "export.zip: a file; if it is an archive, unpack it" in fault(tmp_path / "export.zip")


def test_names_that_do_not_agree_at_all(folder):
    masks(folder, "mask_{}.png")
    assert "masks: no mask belongs to an image by its name (mask_a.png is none of a.jpg)" in fault(folder)


def test_keys_that_end_alike_are_no_ending(folder):
    """img_1 and img_2 are no images called img."""
    masks(folder)
    dataset = opened(folder)
    assert not any("end in" in note for note in dataset.notes)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.int32, np.float32])
def test_arrays_are_masks(folder, dtype):
    label = LABEL.astype(dtype)
    masks(folder, "{}.npy", label)
    np.testing.assert_array_equal(opened(folder).splits["train"].read(1)[1], LABEL)
    if dtype in (np.int32, np.int64):
        masks(folder, "{}.npy", np.where(label == 255, -1, label))
        np.testing.assert_array_equal(opened(folder).splits["train"].read(1)[1], LABEL)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (300, 500)])
def test_a_plain_png_is_what_every_decoder_reads(shape):
    ids = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    image = Image.open(io.BytesIO(plain_png(ids)))
    assert image.mode == "L"
    np.testing.assert_array_equal(np.asarray(image), ids)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((20, 30, 3), np.uint8), r"an array of numbers (height, width), this is (20, 30, 3)"),
        (np.full((20, 30), 300), "holds the value 300"),
        (np.full((20, 30), 0.5), "holds the value 0.5"),
        (np.full((20, 30), np.nan), "holds the value nan"),
        (np.full((20, 30), -2), "holds the value -2"),
        (np.full((20, 30), "a"), "an array of numbers"),
    ],
)
def test_arrays_that_are_no_masks(folder, array, expected):
    masks(folder, "{}.npy")
    np.save(folder / "masks/c.npy", array)
    line = fault(folder)
    assert line.startswith(f"{folder / 'masks/c.npy'}: ")
    assert expected in line


def test_an_array_of_objects_is_not_loaded(folder):
    masks(folder, "{}.npy")
    np.save(folder / "masks/c.npy", np.array([[{}]], object), allow_pickle=True)
    assert "c.npy: cannot be read as an array" in fault(folder)


def test_jpeg_masks_are_refused_with_the_true_reason(folder):
    masks(folder, "{}.jpg")
    line = fault(folder)
    assert line.startswith(f"{folder / 'masks/a.jpg'}: the mask is a JPEG, which invents class ids")
    assert "data.mask_values=binary" in line


@pytest.mark.parametrize("channels", [1, 3])
def test_black_and_white_jpegs_are_read_where_that_is_said(folder, channels):
    """As those of Kvasir-SEG: three channels, and greys along the edges."""
    truth = np.zeros((20, 30), np.uint8)
    truth[5:12, 6:19] = 255
    masks(folder, "{}.jpg", truth if channels == 1 else truth[..., None].repeat(3, 2))
    assert len(np.unique(np.asarray(Image.open(folder / "masks/a.jpg")))) > 2
    dataset = opened(folder, mask_values="binary")
    np.testing.assert_array_equal(dataset.splits["val"].read(0)[1], truth // 255)
    assert dataset.class_names == ("background", "foreground")


def test_one_jpeg_among_others_is_the_mask_that_is_refused(folder):
    masks(folder)
    (folder / "masks/b.png").unlink()
    Image.fromarray(LABEL).save(folder / "masks/b.jpg")
    Image.fromarray(LABEL).save(folder / "masks/a.jpg")  # shown beside the mask
    Image.fromarray(LABEL).save(folder / "masks/legend.jpg")
    assert fault(folder).startswith(f"{folder / 'masks/b.jpg'}: the mask is a JPEG")


# --- no splits -------------------------------------------------------------------------------------------------------


def test_a_folder_without_split_files_is_divided(folder):
    masks(folder)
    for split in ("train", "val"):
        (folder / f"{split}.txt").unlink()
    dataset = opened(folder)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 3, "val": 1}
    assert "it has no splits, so 1 of 4 images is used for validation (chosen by seed 0)" in dataset.notes[0]
    assert opened(folder).version == dataset.version
    (folder / "masks/a.png").unlink()
    assert "images/a.jpg: image without a mask" in fault(folder)


# --- class lists -----------------------------------------------------------------------------------------------------


def names(folder, file, text):
    for path in folder.glob("*class*"):
        path.unlink()
    (folder / file).write_text(text)
    return declared(folder).classes.names


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("classes.yaml", "0: no\n1: off\n2: on\n3: y\n4: null\n5: 1e3\n6: 007\n", "no off on y null 1e3 007"),
        ("classes.yaml", '{"0": "road", "1": "tree", "2": "sky"}', "road tree sky"),
        ("classes.json", json.dumps({"0": "road", "1": {"name": "tree"}, "255": "void"}), "road tree"),
        ("classes.json", '["road", "tree"]', "road tree"),
        ("classes.json", '{"road": 0, "tree": 1}', "road tree"),
        ("classes.yaml", "tree: 1\nroad: 0\n", "road tree"),
        ("classes.yaml", "- road\n- no\n", "road no"),
        ("classes.txt", "__ignore__\n_background_\ncat\n", "_background_ cat"),
        ("labels.txt", "__ignore__\n_background_\ncat\n", "_background_ cat"),
        ("class_names.txt", "_background_\ncat\n", "_background_ cat"),
        ("classes.txt", "# mine\nroad\n\n  # and more\nsky\n", "road sky"),
        ("classes.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\n", "background cat"),
        ("labelmap.txt", "background:0,0,0::\na:b:128,0,0:head,leg:run\n", "background a:b"),
        ("_classes.csv", "Pixel Value, Class\n0, background\n1, cat\n", "background cat"),
        ("class_dict.csv", "name,r,g,b\nroad,1,2,3\ntree,4,5,6\n", "road tree"),
        ("class_dict.csv", "road,1,2,3\ntree,4,5,6\n", "road tree"),
        ("classes.txt", "1: tree\n0: road\n", "road tree"),
        ("classes.txt", "0 road\n1\ttree\n2. sky\n", "road tree sky"),
    ],
)
def test_lists_of_tools(tmp_path, file, text, expected):
    assert names(tmp_path, file, text) == tuple(expected.split())


def test_names_with_spaces_are_kept(tmp_path):
    assert names(tmp_path, "classes.txt", "traffic light\n tree \n") == ("traffic light", "tree")


@pytest.mark.parametrize("lines", [("1 euro", "2 euro"), ("0.5 mm", "1.5 mm"), ("0 mm", "1 mm"), ("0 road", "sky")])
def test_names_that_begin_with_a_number_are_kept(tmp_path, lines):
    """Unless all numbers are ids: from 0 without a gap, before names that differ."""
    assert names(tmp_path, "classes.txt", "\n".join(lines)) == lines


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("labelmap.txt", "# label:color_rgb:parts:actions\na:0,0,0::\nb:128,64,7::\n"),
        ("class_dict.csv", "n,r,g,b\na,0,0,0\nb,128,64,7"),
    ],
)
def test_lists_of_tools_have_colours(tmp_path, file, text):
    names(tmp_path, file, text)
    found = declared(tmp_path)
    assert found.classes.colors == ((0, 0, 0), (128, 64, 7))
    assert found.coded.ids == {(0, 0, 0): 0, (128, 64, 7): 1}


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("classes.yaml", "0: a\n1: b\n1: c\n", "'1' occurs twice"),
        ("classes.yaml", "0: a\n1:\n", "class 1 needs `name`"),
        ("classes.yaml", "a: 0\nb: 2\n", "ids must run from 0 to 1 without a gap"),
        ("classes.yaml", "0: {name: a, color: [1, 2, x]}\n", "of class 0"),
        ("classes.yaml", "0: {name: a, color: [1, 2, 3.5]}\n", "of class 0"),
        ("labelmap.txt", "a:0,0,0::\na:1,0,0::\n", "'a' occurs twice"),
        ("labelmap.txt", "a:0,0,0::\nb:0,0,0::\n", "color [0, 0, 0] is of class 0 and of class 1"),
        ("labelmap.txt", "a:0,0,0::\nb:0,0,300::\n", "color ['0', '0', '300'] of class 1"),
        ("_classes.csv", "Pixel Value, Class\n0, a\n2, b\n", "without a gap"),
        ("_classes.csv", "Pixel Value, Class\n0 a\n", "`value, name`"),
        ("class_dict.csv", "name,r,g,b\na,1,2\n", "`name, red, green, blue`"),
        ("classes.txt", "# nothing\n", "0 classes"),
    ],
)
def test_faulty_lists_of_tools(tmp_path, file, text, expected):
    with pytest.raises(UsageError) as caught:
        names(tmp_path, file, text)
    assert str(caught.value).startswith(f"{tmp_path / file}: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_come_out_as_they_are(folder):
    masks(folder)
    (folder / "classes.yaml").write_text('0: "[unlabeled]"\n1: "lane [/right]"\n2: ":cat: no"\n')
    result = CliRunner().invoke(app, ["check", str(folder)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    for name in ("[unlabeled]", "lane [/right]", ":cat: no"):
        assert name in result.output
