"""A folder of a user: both layouts read right, and every fault told in one line that names the file."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.core import UsageError
from bench.data import load
from bench.spec import DataSpec

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def picture(path, height=20, width=30, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:height, :width]
    Image.fromarray(np.stack([x * 8, y * 8, x + y + 3 * (ord(path.stem[0]) - 97)], -1).astype(np.uint8)).save(
        path, **options
    )


def mask(path, values=(0, 1, 2, 255), height=20, width=30):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.resize(np.repeat(np.array(values, np.uint8), 7), (height, width))
    Image.fromarray(array).save(path)
    return array


@pytest.fixture
def listed(tmp_path):
    """images/ + masks/ + split files: four pairs for training, two for validation."""
    for key in ("a", "b", "sub/c", "d.1", "v", "w"):
        picture(tmp_path / f"images/{key}.jpg")
        mask(tmp_path / f"masks/{key}.png")
    (tmp_path / "train.txt").write_text("a\nsub/c\n\nb\nd.1\n")
    (tmp_path / "val.txt").write_text("v\nw\n")
    return tmp_path


@pytest.fixture
def paired(tmp_path):
    """Train_Images/, Train_Masks/, ..., Test_Masks/."""
    for split, keys in (("Train", "ab"), ("Val", "cd"), ("Test", "e")):
        for key in keys:
            picture(tmp_path / f"{split}_Images/{key}.png")
            mask(tmp_path / f"{split}_Masks/{key}.png")
    return tmp_path


def open_folder(root, **fields):
    return load(DataSpec(dataset="folder", root=str(root), **fields))


def fault(root, **fields):
    """The one line that the folder is refused with."""
    with pytest.raises(UsageError) as caught:
        open_folder(root, **fields)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- what is read ----------------------------------------------------------------------------------------------------


def test_listed_layout(listed):
    dataset = open_folder(listed)
    assert {name: split.keys for name, split in dataset.splits.items()} == {
        "train": ("a", "sub/c", "b", "d.1"),
        "val": ("v", "w"),
    }
    assert dataset.class_names == ("class_0", "class_1", "class_2")
    assert (dataset.name, dataset.ignore_index, dataset.notes) == (listed.name, 255, ())
    image, label = dataset.splits["train"].read(1)
    assert (image.shape, image.dtype, label.shape, label.dtype) == ((20, 30, 3), np.uint8, (20, 30), np.uint8)
    np.testing.assert_array_equal(label, mask(listed / "masks/sub/c.png"))


def test_paired_layout(paired):
    dataset = open_folder(paired, name="mine")
    assert {name: split.keys for name, split in dataset.splits.items()} == {
        "train": ("a", "b"),
        "val": ("c", "d"),
        "test": ("e",),
    }
    assert dataset.name == "mine"
    np.testing.assert_array_equal(dataset.splits["test"].read(0)[1], mask(paired / "Test_Masks/e.png"))


def test_folders_that_number_alike(paired):
    """Other pictures under the same names are told apart, in order; a picture in two splits stays a fault (below)."""
    for part in ("Images", "Masks"):
        (paired / f"Val_{part}/c.png").rename(paired / f"Val_{part}/a.png")
    dataset = open_folder(paired)
    assert (dataset.splits["train"].keys, dataset.splits["val"].keys) == (("a", "b"), ("val/a", "d"))
    for split, place in (("train", "Train"), ("val", "Val")):
        np.testing.assert_array_equal(
            dataset.splits[split].read(0)[1], np.asarray(Image.open(paired / f"{place}_Masks/a.png"))
        )
    assert dataset.notes == ()


def test_test_split_is_optional_in_both_layouts(listed):
    assert "test" not in open_folder(listed).splits
    picture(listed / "images/t.jpg")
    mask(listed / "masks/t.png")
    (listed / "test.txt").write_text("t\n")
    assert open_folder(listed).splits["test"].keys == ("t",)


def test_keys_may_carry_the_image_ending(listed):
    (listed / "train.txt").write_text("a.jpg\nd.1\n")
    assert open_folder(listed).splits["train"].keys == ("a", "d.1")


def test_another_mask_folder(listed):
    shutil.copytree(listed / "masks", listed / "parts")
    mask(listed / "parts/a.png", values=(4,))
    assert len(open_folder(listed, masks="parts").class_names) == 5


def test_a_palette_is_no_label(listed):
    """Indices are ids, whatever colours the palette paints them in."""
    indices = mask(listed / "masks/a.png", values=(0, 1, 2))
    coloured = Image.fromarray(indices)
    coloured.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200])
    coloured.save(listed / "masks/a.png")
    assert Image.open(listed / "masks/a.png").mode == "P"
    np.testing.assert_array_equal(open_folder(listed).splits["train"].read(0)[1], indices)


def test_images_are_turned_upright(listed):
    """EXIF orientation 6: the stored picture is turned by 90 degrees, the mask was drawn on the upright one."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(listed / "images/a.jpg", height=30, width=20, exif=exif, quality=95)
    image, label = open_folder(listed).splits["train"].read(0)
    assert image.shape[:2] == label.shape == (20, 30)
    assert image[10, 0, 1] > image[10, -1, 1] + 100, "stored rows (green) run from right to left once upright"


def test_masks_of_0_and_255_are_binary_and_it_is_said(listed):
    for path in (listed / "masks").rglob("*.png"):
        mask(path, values=(0, 255))
    dataset = open_folder(listed)
    assert dataset.class_names == ("background", "foreground")
    assert "mask_values=ids" in dataset.notes[0]
    label = dataset.splits["val"].read(0)[1]
    assert set(np.unique(label)) == {0, 1}
    np.testing.assert_array_equal(label == 1, mask(listed / "masks/v.png", values=(0, 255)) == 255)
    assert not open_folder(listed, mask_values="binary").notes
    (listed / "classes.txt").write_text("road\nsky\n")
    for key in ("a", "w"):
        mask(listed / f"masks/{key}.png", values=(0, 1))
    as_ids = open_folder(listed, mask_values="ids")
    assert set(np.unique(as_ids.splits["val"].read(0)[1])) == {0, 255}


def all_masks(root, *values):
    for path in (root / "masks").rglob("*.png"):
        mask(path, values=values)


@pytest.mark.parametrize("values", [(0, 0, 128, 255, 255), (0, 255, 255, 255, 40, 200, 0)])
def test_soft_edges_are_no_classes(listed, values):
    all_masks(listed, *values)
    message = fault(listed)
    assert re.search(r"the masks hold \d values? besides 0 and 255, up to (128|200), on fewer pixels than 255", message)
    assert "threshold them, name the classes in classes.txt, or set data.mask_values=ids" in message
    assert len(open_folder(listed, mask_values="ids").class_names) == max(set(values) - {255}) + 1
    (listed / "classes.txt").write_text("".join(f"thing {index}\n" for index in range(201)))
    assert len(open_folder(listed).class_names) == 201


@pytest.mark.parametrize("values", [(0, 15, 15, 255), (0, *range(100, 150), 255)])
def test_ids_that_may_be_soft_edges_are_read_and_it_is_said(listed, values):
    all_masks(listed, *values)
    dataset = open_folder(listed)
    assert len(dataset.class_names) == max(set(values) - {255}) + 1
    assert "besides 0 and 255" in dataset.notes[0]
    assert "read as class ids; if they are soft edges, threshold them" in dataset.notes[0]


@pytest.mark.parametrize("values", [(0, 3, 5, 255, 255), (0, 15), (0, 255), (0, 1, 2, 3)])
def test_what_cannot_be_soft_edges_is_not_doubted(listed, values):
    all_masks(listed, *values)
    assert not any("soft edges" in note for note in open_folder(listed).notes)


def test_one_mask_with_a_third_value_makes_255_void_everywhere(listed):
    for path in (listed / "masks").rglob("*.png"):
        mask(path, values=(0, 255))
    for key in ("a", "w"):
        mask(listed / f"masks/{key}.png", values=(0, 1, 255))
    assert 255 in open_folder(listed).splits["val"].read(0)[1]


def test_class_names_from_text(listed):
    (listed / "classes.txt").write_text("road\nsky\n\ntree\n")
    assert open_folder(listed).class_names == ("road", "sky", "tree")


def test_lists_with_a_byte_order_mark(listed):
    (listed / "classes.txt").write_bytes(b"\xef\xbb\xbfroad\nsky\ntree\n")
    (listed / "train.txt").write_bytes(b"\xef\xbb\xbfa\nb\n")
    dataset = open_folder(listed)
    assert dataset.class_names == ("road", "sky", "tree")
    assert dataset.splits["train"].keys == ("a", "b")


def test_hidden_folders_are_left_aside(listed):
    mask(listed / "masks/.ipynb_checkpoints/a-checkpoint.png")
    picture(listed / "images/sub/.cache/c.jpg")
    assert open_folder(listed).splits["train"].keys == ("a", "sub/c", "b", "d.1")


def test_class_names_and_colours_from_yaml(listed):
    text = "1: sky\n0: {name: road, color: [1, 2, 3]}\n2: {name: tree, color: '#00ff10'}\n3: bird\n255: void\n"
    (listed / "classes.yaml").write_text(text)
    dataset = open_folder(listed)
    assert dataset.class_names == ("road", "sky", "tree", "bird")
    assert dataset.colors[0] == (1, 2, 3)
    assert dataset.colors[2] == (0, 255, 16)
    assert dataset.notes == (f"{listed}: no pixel of bird in any mask",)


def test_the_version_follows_content_and_splits_alone(listed, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy") / "other"
    shutil.copytree(listed, copy)
    version = open_folder(listed).version
    assert open_folder(copy).version == version
    (copy / "val.txt").write_text("w\nv\n")
    assert open_folder(copy).version == version, "the order of keys is not content"
    (copy / "val.txt").write_text("w\n")
    assert open_folder(copy).version != version
    mask(listed / "masks/a.png", values=(0, 2))
    assert open_folder(listed).version != version


# --- what is refused -------------------------------------------------------------------------------------------------


def test_no_root():
    with pytest.raises(UsageError, match=r"give data\.root"):
        load(DataSpec(dataset="folder"))


def test_missing_root_and_unknown_layout(tmp_path):
    assert "no such folder" in fault(tmp_path / "none")
    assert "Train_Images/" in fault(tmp_path)


def test_image_without_mask(listed):
    (listed / "masks/a.png").unlink()
    assert re.search(r"images/a\.jpg: image without a mask", fault(listed))


def test_image_without_mask_in_pairs(paired):
    (paired / "Val_Masks/d.png").unlink()
    assert re.search(r"Val_Images/d\.png: image without a mask", fault(paired))


def test_mask_without_image(listed):
    (listed / "images/v.jpg").unlink()
    assert re.search(r"masks/v\.png: mask without an image", fault(listed))


def test_mask_without_image_in_pairs(paired):
    mask(paired / "Train_Masks/z.png")
    assert re.search(r"Train_Masks/z\.png: mask without an image", fault(paired))


def test_key_without_files(listed):
    (listed / "val.txt").write_text("v\nnobody\n")
    assert re.search(r"val\.txt, line 2: no image for key 'nobody'", fault(listed))


def test_sizes_that_differ(listed):
    mask(listed / "masks/sub/c.png", height=21)
    assert re.search(r"masks/sub/c\.png: 30x21 pixels, but its image c\.jpg is 30x20", fault(listed))


@pytest.mark.parametrize("name", ["images/b.jpg", "masks/b.png"])
@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_unreadable_file(listed, name, damage):
    path = listed / name
    data = path.read_bytes()
    path.write_bytes({"cut": data[: len(data) // 2], "text": b"no picture", "empty": b""}[damage])
    assert fault(listed).startswith(f"{path}: cannot be read")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "(the file is empty); replace or remove the file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "fetch it with `git lfs pull`"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "(HEIC, AVIF or a video under another name); convert it"),
        (b"\n<!DOCTYPE html><title>403</title>", "(a web page, not an image); download it again"),
        (b"<html>", "(a web page, not an image); download it again"),
        (b"ZZZZ", "(not an image, or of an unknown kind); replace or remove the file"),
    ],
)
def test_what_lies_under_the_name_of_an_image(listed, data, expected):
    (listed / "images/b.jpg").write_bytes(data)
    assert expected in fault(listed)


def test_masks_drawn_on_the_image_as_stored(listed):
    """EXIF turns the image on its side, and then the mask does not fit it, but the image as it is stored."""
    exif = Image.Exif()
    exif[274] = 6
    picture(listed / "images/a.jpg", exif=exif)
    assert re.search(
        r"a\.png: 30x20 pixels, but its image a\.jpg is 20x30 upright \(its EXIF orientation is 6\); turn the mask",
        fault(listed),
    )
    mask(listed / "masks/a.png", height=31)
    assert "a.jpg is 20x30; they must be the same; scale masks by nearest neighbour" in fault(listed)


@pytest.mark.parametrize("stored", [(20, 30, 3), (20, 20, 6)])
def test_masks_that_fit_an_image_turned_and_unturned(listed, stored):
    """Nothing tells which was meant, unless the mask of another turned image fits it upright only."""
    height, width, orientation = stored
    exif = Image.Exif()
    exif[274] = orientation
    picture(listed / "images/sub/c.jpg", height, width, exif=exif)
    mask(listed / "masks/sub/c.png", height=height, width=width)
    notes = open_folder(listed).notes
    assert [note for note in notes if "1 image is turned upright by EXIF (sub/c), and their masks fit either" in note]
    exif[274] = 8
    picture(listed / "images/a.jpg", exif=exif)
    mask(listed / "masks/a.png", height=30, width=20)
    assert not any("EXIF" in note for note in open_folder(listed).notes)


def test_very_long_images_are_named(listed):
    """Of the longest side the model sees `data.size` pixels, and of the other one in proportion."""
    for key, height, width in (("a", 10, 80), ("b", 90, 10), ("d.1", 10, 81)):
        picture(listed / f"images/{key}.jpg", height, width)
        mask(listed / f"masks/{key}.png", height=height, width=width)
    notes = [note for note in open_folder(listed).notes if "times as long as wide" in note]
    assert len(notes) == 1
    assert "2 images are more than 8 times as long as wide (b: 10x90)" in notes[0]


@pytest.mark.parametrize("name", ["Void", "__ignore__", "unlabeled"])
def test_a_class_called_void_is_a_class_and_it_is_said(listed, name):
    (listed / "classes.txt").write_text(f"sky\nroad\n{name}\ntree\n")
    notes = open_folder(listed).notes
    assert any(f"class {name!r} (id 2) is trained and scored like any other" in note for note in notes)
    all_masks(listed, 0, 1, 3)
    assert not any("like any other" in note for note in open_folder(listed).notes), "it has no pixel"


def test_values_with_gaps_are_numbered_on_by_greys(listed):
    """The recipes of docs/data.md: gaps closed, and a value that becomes void."""
    all_masks(listed, 0, 7, 24)
    assert any("docs/data.md says how to close them" in note for note in open_folder(listed).notes)
    (listed / "classes.yaml").write_text("0: ground\n7: road\n24: person\n")
    grey = "number on and give each value as color: `1: {name: road, color: [7, 7, 7]}`"
    assert f"if masks hold 0, 7, 24, {grey}" in fault(listed)
    (listed / "classes.yaml").write_text(
        "0: {name: road, color: [7, 7, 7]}\n1: {name: person, color: [24, 24, 24]}\n"
        "255: {name: ground, color: [0, 0, 0]}\n"
    )
    label = open_folder(listed).splits["val"].read(0)[1]
    meant = {0: 255, 7: 0, 24: 1}
    np.testing.assert_array_equal(label, np.vectorize(meant.get)(mask(listed / "masks/v.png", (0, 7, 24))))


def test_class_id_out_of_range(listed):
    (listed / "classes.txt").write_text("road\nsky\n")
    assert re.search(r"\.png: class id 2 on \d+ pixels, but 2 classes are declared \(ids 0\.\.1", fault(listed))


def test_value_beyond_a_byte(listed):
    Image.fromarray(np.full((20, 30), 300, np.uint16)).save(listed / "masks/a.png")
    assert re.search(r"masks/a\.png: the mask holds the value 300", fault(listed))


def test_colour_mask(listed):
    picture(listed / "masks/a.png")
    assert re.search(r"masks/a\.png: the mask has 3 channels", fault(listed))


def test_a_binary_set_has_two_classes(listed):
    (listed / "classes.txt").write_text("cat\n")
    assert "mask_values=binary has two classes, but 1 are declared" in fault(listed, mask_values="binary")
    (listed / "classes.txt").unlink()
    for path in (listed / "masks").rglob("*.png"):
        mask(path, values=(0, 0))
    assert "one class alone" in fault(listed)


def test_third_value_in_a_binary_set(listed):
    assert re.search(r"value 2 in a binary mask", fault(listed, mask_values="binary"))


def test_sixteen_bit_image(listed):
    (listed / "images/a.jpg").unlink()
    Image.fromarray(np.full((20, 30), 300, np.uint16)).save(listed / "images/a.png")
    assert re.search(r"images/a\.png: more than 8 bits", fault(listed))


def test_empty_split(listed):
    (listed / "val.txt").write_text("\n\n")
    assert re.search(r"val\.txt: the split is empty", fault(listed))


def test_empty_split_in_pairs(paired):
    for folder in ("Val_Images", "Val_Masks"):
        shutil.rmtree(paired / folder)
        (paired / folder).mkdir()
    assert re.search(r"Val_Images: the split is empty", fault(paired))


def test_missing_split_file(listed):
    (listed / "val.txt").unlink()
    assert re.search(r"val\.txt: no such split file", fault(listed))


@pytest.mark.parametrize("name", ["train.txt", "test.txt", "classes.txt", "classes.yaml"])
def test_lists_in_another_encoding(listed, name):
    (listed / name).write_bytes("a\nstra\u00dfe\n".encode("latin-1"))
    assert fault(listed).startswith(f"{listed / name}: cannot be read as text (")


@pytest.mark.parametrize("name", ["train.txt", "val.txt", "test.txt", "classes.txt", "classes.yaml"])
def test_a_list_that_is_no_file_does_not_pass_for_absent(listed, name):
    (listed / name).unlink(missing_ok=True)
    (listed / name).symlink_to("moved.txt")
    assert fault(listed) == f"{listed / name}: cannot be read (a link to what is not there)"
    (listed / name).unlink()
    (listed / name).mkdir()
    assert fault(listed) == f"{listed / name}: cannot be read (Is a directory)"


def test_split_files_whose_links_are_broken_are_not_divided_anew(listed):
    for name in ("train.txt", "val.txt"):
        (listed / name).unlink()
        (listed / name).symlink_to("moved.txt")
    assert fault(listed) == f"{listed / 'train.txt'}: cannot be read (a link to what is not there)"


def test_test_images_whose_link_is_broken(paired):
    shutil.rmtree(paired / "Test_Images")
    (paired / "Test_Images").symlink_to("moved")
    assert "no folder Test_Images/" in fault(paired)


def test_missing_folder_in_pairs(paired):
    shutil.rmtree(paired / "Val_Masks")
    assert "no folder Val_Masks/" in fault(paired)


def test_key_twice_in_a_split(listed):
    (listed / "train.txt").write_text("a\nb\na\n")
    assert re.search(r"train\.txt, line 3: key 'a' occurs twice", fault(listed))


def test_key_in_two_splits(listed):
    (listed / "val.txt").write_text("v\na\n")
    assert re.search(r"key 'a' is in train and in val", fault(listed))


def test_two_images_for_a_key(listed):
    picture(listed / "images/a.png")
    assert "a second file for key 'a'" in fault(listed)


def test_paths_of_windows_in_a_list(listed):
    (listed / "val.txt").write_text("sub\\v\nw\n")
    assert "val.txt, line 1: key 'sub\\\\v' has backslashes, as Windows writes paths; write 'sub/v'" in fault(listed)


@pytest.mark.parametrize("kind", ["tiff", "gif", "png", "webp"])
def test_several_images_in_one_file(listed, kind):
    """Nothing shows which belongs to the mask. Smaller copies and transparency masks in a TIFF do not count."""
    pages = [Image.fromarray(np.full((20, 30, 3), grey, np.uint8)) for grey in (0, 90, 200)]
    (listed / "images/a.jpg").unlink()
    path = listed / f"images/a.{kind}"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    assert f"images/a.{kind}: 3 images in one file; keep the one that is meant" in fault(listed)
    if kind == "tiff":
        for page, subfile in zip(pages[1:], (1, 4), strict=True):
            page.encoderinfo = {"tiffinfo": {254: subfile}}
        pages[0].save(path, save_all=True, append_images=pages[1:])
        assert open_folder(listed).splits["train"].read(0)[0].max() == 0


@pytest.mark.parametrize("key", ["../a", "sub/../../a", "/etc/a", "..\\a", "C:\\a"])
def test_keys_that_leave_the_folder(listed, key):
    (listed / "val.txt").write_text(f"{key}\n")
    assert re.search(r"val\.txt, line 1: key .* leaves the data folder", fault(listed))


def test_links_that_leave_the_folder(listed, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "a.png"
    mask(outside)
    (listed / "masks/a.png").unlink()
    (listed / "masks/a.png").symlink_to(outside)
    message = fault(listed)
    assert message.startswith(f"{listed / 'masks/a.png'}: links to {outside}, outside the data folder")
    assert open_folder(listed, on_error="skip").faults == (message,), "one cause, one fault"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0: road\n2: sky\n", "without a gap"),
        ("road\n", "expected lines of `id: name`"),
        ("0: road\n1: {name: sky, color: [1, 2]}\n", "of class 1"),
        ("0: road\n1: {name: sky, colour: [1, 2, 3]}\n", "class 1 needs `name`"),
        ("0: road\n1: road\n", "'road' occurs twice"),
        ("0: [road\n", "cannot be read as YAML"),
    ],
)
def test_bad_class_lists(listed, text, expected):
    (listed / "classes.yaml").write_text(text)
    message = fault(listed)
    assert message.startswith(f"{listed / 'classes.yaml'}: ")
    assert expected in message


# --- real files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "counts", "classes"),
    [
        ("camvid", {"train": 367, "val": 101, "test": 62}, 11),
        ("feral_cats", {"train": 679, "val": 98}, 2),
        ("nuclei_dsb2018", {"train": 431, "val": 100}, 3),
        ("oxford_pets_tiny", {"train": 19, "val": 7}, 3),
    ],
)
def test_real_sets(name, counts, classes):
    root = SHARED / name
    if not root.is_dir():
        pytest.skip(f"no real data at {root}")
    dataset = open_folder(root)
    assert {split: len(part) for split, part in dataset.splits.items()} == counts
    assert len(dataset.class_names) == classes
    image, label = dataset.splits["val"].read(0)
    assert image.shape[:2] == label.shape
    assert set(np.unique(label)) <= {*range(classes), 255}


def test_a_name_in_another_encoding_is_a_fault_and_not_a_crash(listed):
    """As archives of Windows leave them on Linux: lists, shards and records hold names as text in UTF-8."""
    (listed / "images/a.jpg").rename(os.fsdecode(os.fsencode(listed) + b"/images/caf\xe9.jpg"))
    message = r"images/caf\xe9.jpg: the file name is not UTF-8; rename it"
    assert message in fault(listed)
    for name in ("train.txt", "val.txt"):
        (listed / name).unlink()
    assert any(message in one for one in open_folder(listed, on_error="skip").faults)
    other = Path(os.fsdecode(os.fsencode(listed.parent) + b"/\xe9"))
    listed.rename(other)
    assert r"\xe9: the name of the folder is not UTF-8" in fault(other)


def test_a_list_that_is_a_folder_is_not_called_wrong_text(listed):
    (listed / "train.txt").unlink()
    (listed / "train.txt").mkdir()
    assert fault(listed).endswith("train.txt: cannot be read (Is a directory)")
