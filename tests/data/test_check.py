"""`bench.data check` finds all that is wrong, a run says the same, and limits hold."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.core import UsageError
from bench.data import check, image_io, load
from bench.data.__main__ import app
from bench.spec import DataSpec


def noise(seed, height=40, width=50):
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(0, 256, (height // 5, width // 5, 3)), np.ones((5, 5, 1))).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Four pairs to train, two to validate; masks are half class 0, a quarter class 1, a quarter void."""
    label = np.repeat(np.array([0, 0, 1, 255], np.uint8), 10)[:, None].repeat(50, 1)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for index, key in enumerate("abcdvw"):
        Image.fromarray(noise(index)).save(tmp_path / f"images/{key}.png")
        Image.fromarray(label).save(tmp_path / f"masks/{key}.png")
    (tmp_path / "train.txt").write_text("a\nb\nc\nd\n")
    (tmp_path / "val.txt").write_text("v\nw\n")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["check", *map(str, arguments)], env={"COLUMNS": "200"})


def fault(root, **fields):
    with pytest.raises(UsageError) as caught:
        load(DataSpec(dataset="folder", root=str(root), **fields))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_sound_set(folder):
    result = run(folder, "--out", folder / "sheet.png")
    assert result.exit_code == 0, result.output
    assert "train 4 (50x40), val 2 (50x40)\n" in result.output
    rows = [line.split() for line in result.output.splitlines()]
    assert ["0", "class_0", "66.67", "%", "4", "66.67", "%", "2"] in rows, "of the labelled pixels"
    assert ["255", "void", "25.00", "%", "4", "25.00", "%", "2"] in rows, "of all pixels"
    assert "0 faults, 0 pairs of duplicates" in result.output
    assert Image.open(folder / "sheet.png").width > 500


def test_every_fault_of_a_set_is_told_and_a_run_leaves_the_same_out(folder):
    (folder / "images/a.png").write_bytes((folder / "images/a.png").read_bytes()[:100])
    Image.fromarray(np.zeros((39, 50), np.uint8)).save(folder / "masks/b.png")
    (folder / "masks/w.png").unlink()
    (folder / "val.txt").write_text("v\nw\nnobody\n../../etc/passwd\n")
    result = run(folder)
    assert result.exit_code == 2
    told = [line for line in result.output.splitlines() if line.startswith("fault ")]
    for expected in (
        "a.png: cannot be read", "b.png: 50x39 pixels, but its image", "w.png: image without a mask",
        "no image for key 'nobody'", "key '../../etc/passwd' leaves the data folder",
    ):  # fmt: skip
        assert sum(expected in line for line in told) == 1, expected
    assert len(told) == 5
    assert "on_error" not in result.output, "nobody asked for that, and every fault is told once"
    kept = load(DataSpec(dataset="folder", root=str(folder), on_error="skip"))
    assert {name: split.keys for name, split in kept.splits.items()} == {"train": ("c", "d"), "val": ("v",)}
    assert len(kept.faults) == 5
    assert "5 faults skipped (data.on_error=skip), the first: " in kept.notes[-1]
    assert fault(folder)


def test_a_table_of_classes_without_a_pixel_is_not_printed(folder):
    for names, shown in ((12, True), (13, False)):
        (folder / "classes.txt").write_text("\n".join(f"thing {name}" for name in range(names)))
        result = run(folder)
        assert ("\n 11  thing 11 " in result.output) == shown
        assert ("not shown: 11 classes without a pixel" in result.output) != shown
        assert "\n  1  thing 1 " in result.output


def test_ids_out_of_range_are_left_out_too(folder):
    (folder / "classes.txt").write_text("road\nsky\n")
    Image.fromarray(np.full((40, 50), 7, np.uint8)).save(folder / "masks/c.png")
    assert "class id 7 on 2000 pixels" in fault(folder)
    kept = load(DataSpec(dataset="folder", root=str(folder), on_error="skip"))
    assert kept.splits["train"].keys == ("a", "b", "d")
    assert kept.class_names == ("road", "sky")


def test_a_split_of_which_nothing_is_left_is_refused(folder):
    for key in "vw":
        (folder / f"images/{key}.png").write_text("no picture")
    assert "nothing is left of the split val" in fault(folder, on_error="skip")


def test_the_fault_is_told_where_no_pair_is_left(folder):
    """By both readers of the whole set: ids that no class has, masks in colours without a list, keys without masks."""
    (folder / "classes.txt").write_text("road\nsky\n")
    for key in "abcdvw":
        Image.fromarray(np.full((40, 50), 7, np.uint8)).save(folder / f"masks/{key}.png")
    expected = "nothing is left of the split train: "
    for dataset, what in (("folder", "class id 7 on 2000 pixels"), ("camvid", "value 77 on 2000 pixels")):
        if dataset == "camvid":
            for key in "abcdvw":
                Image.fromarray(np.full((40, 50), 77, np.uint8)).save(folder / f"masks/{key}.png")
        result = run(folder, "--dataset", dataset)
        assert (result.exit_code, expected in result.stderr, what in result.stderr) == (2, True, True), result.output
    (folder / "classes.txt").unlink()
    for key in "abcdvw":
        Image.fromarray(noise(1)).save(folder / f"masks/{key}.png")
    message = fault(folder, on_error="skip")
    assert expected in message
    assert "the mask has 3 channels" in message


def test_ids_out_of_the_range_of_a_published_set(tmp_path):
    """Read as ids, so that only their range is at fault."""
    base = tmp_path / "VOCdevkit/VOC2012"
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (base / part).mkdir(parents=True)
    for split in ("train", "val"):
        Image.fromarray(noise(len(split))).save(base / f"JPEGImages/{split}.png")
        Image.fromarray(np.full((40, 50), 77, np.uint8)).save(base / f"SegmentationClass/{split}.png")
        (base / f"ImageSets/Segmentation/{split}.txt").write_text(split)
    with pytest.raises(UsageError, match=r"nothing is left of the split train: .*train\.png: class id 77 on 2000"):
        load(DataSpec(dataset="voc2012", root=str(tmp_path), on_error="skip"))


@pytest.mark.parametrize("layout", ["listed", "paired"])
def test_a_split_without_masks_is_not_called_empty(folder, layout):
    for key in "vw":
        (folder / f"masks/{key}.png").unlink()
    if layout == "paired":
        for split, keys in (("Train", "abcd"), ("Val", "vw")):
            for part in ("Images", "Masks"):
                (folder / f"{split}_{part}").mkdir()
                for key in keys:
                    if (path := folder / f"{part.lower()}/{key}.png").exists():
                        path.rename(folder / f"{split}_{part}/{key}.png")
    message = fault(folder, on_error="skip")
    assert "nothing is left of the split val: " in message
    assert "v.png: image without a mask" in message


def test_pictures_in_two_splits(folder):
    """The same file, one scaled and compressed again, and two dark ones of which nothing can be told."""
    (folder / "images/v.png").write_bytes((folder / "images/a.png").read_bytes())
    Image.fromarray(noise(1)).resize((40, 32)).resize((50, 40)).save(folder / "images/w.png")
    Image.fromarray(np.full((40, 50, 3), 3, np.uint8)).save(folder / "images/c.png")
    result = run(folder)
    assert result.exit_code == 0, "a note, not a fault"
    assert "train/a and val/v: the same image" in result.output
    assert "train/b and val/w: similar (" in result.output
    assert "0 faults, 2 pairs of duplicates" in result.output
    notes = load(DataSpec(dataset="folder", root=str(folder))).notes
    assert "1 image is in two splits, which makes scores too high (train/a = val/v)" in notes[-1]


def test_difference_hash():
    image = noise(3, 80, 100)
    smaller = np.asarray(Image.fromarray(image).resize((67, 53)))
    bits = np.unpackbits(check.difference_hash(image) ^ check.difference_hash(smaller)).sum()
    assert bits <= check.NEAR
    other = np.unpackbits(check.difference_hash(image) ^ check.difference_hash(noise(4, 80, 100))).sum()
    assert other > 60


# --- colour masks ----------------------------------------------------------------------------------------------------


@pytest.fixture
def coloured(folder):
    colors = np.array([[200, 10, 10], [10, 200, 10], [10, 10, 200], [0, 0, 0]], np.uint8)
    rows = colors[np.repeat([0, 1, 2, 3], 10)][:, None].repeat(50, 1)
    for key in "abcdvw":
        Image.fromarray(rows).save(folder / f"masks/{key}.png")
    return folder


def test_masks_in_colours(coloured):
    (coloured / "classes.yaml").write_text(
        "0: {name: road, color: [200, 10, 10]}\n1: {name: tree, color: [[10, 200, 10], '#0a0ac8']}\n"
        "255: {name: void, color: [0, 0, 0]}\n"
    )
    dataset = load(DataSpec(dataset="folder", root=str(coloured)))
    assert dataset.splits["val"].read(0)[1][::10, 0].tolist() == [0, 1, 1, 255]
    assert (dataset.class_names, dataset.colors) == (("road", "tree"), ((200, 10, 10), (10, 200, 10)))
    (coloured / "classes.yaml").write_text("0: {name: road, color: [200, 10, 10]}\n1: {name: tree, color: '#0a0ac8'}\n")
    message = fault(coloured)
    assert "color [10, 200, 10] on 500 pixels is no class; name it in classes.yaml" in message
    (coloured / "classes.yaml").write_text("0: {name: road, color: [200, 10, 10]}\n1: tree\n")
    assert "the mask has 3 channels" in fault(coloured)
    assert "needs a classes.yaml with the color of every class" in fault(coloured, mask_values="colors")


@pytest.mark.parametrize("kind", ["png", "gif"])
def test_grey_masks_in_the_colours_of_the_list(folder, kind):
    """0 and 255 are colours there: white is class 0 and black class 1, not the other way round."""
    (folder / "classes.yaml").write_text(
        "0: {name: paper, color: [255, 255, 255]}\n1: {name: ink, color: '#000000'}\n255: {name: blot, color: '#8f0'}"
    )
    for key in "abcdvw":
        (folder / f"masks/{key}.png").unlink()
        values = np.repeat(np.array([255, 0, 0, 255], np.uint8), 10)[:, None].repeat(50, 1)
        Image.fromarray(values).save(folder / f"masks/{key}.{kind}")
    dataset = load(DataSpec(dataset="folder", root=str(folder)))
    assert dataset.splits["val"].read(0)[1][::10, 0].tolist() == [0, 1, 1, 0]
    assert dataset.notes == ()
    with pytest.raises(UsageError, match=r"the split train \(4 images\) has only one class, 'paper' \(id 0\)"):
        load(DataSpec(dataset="folder", root=str(folder), mask_values="ids"))


def test_a_list_in_greys_of_more_than_two_classes(folder):
    (folder / "classes.yaml").write_text(
        "0: {name: a, color: '#000000'}\n1: {name: b, color: '#7f7f7f'}\n2: {name: c, color: '#ffffff'}\n"
    )
    for key in "abcdvw":
        values = np.repeat(np.array([0, 127, 255, 0], np.uint8), 10)[:, None].repeat(50, 1)
        Image.fromarray(values).save(folder / f"masks/{key}.png")
    label = load(DataSpec(dataset="folder", root=str(folder))).splits["val"].read(0)[1]
    assert label[::10, 0].tolist() == [0, 1, 2, 0]


def test_ids_stay_ids_where_one_mask_could_be_black(folder):
    """Colours for the pictures alone: class 0 is red and void black. A mask of zeros is class 0, as in the others."""
    (folder / "classes.yaml").write_text(
        "0: {name: a, color: '#ff0000'}\n1: {name: b, color: '#ffffff'}\n255: {name: void, color: '#000000'}\n"
    )
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(folder / "masks/a.png")
    train = load(DataSpec(dataset="folder", root=str(folder))).splits["train"]
    assert not train.read(0)[1].any()
    assert train.read(1)[1][::10, 0].tolist() == [0, 0, 1, 255]


def test_one_colour_is_one_class(coloured):
    (coloured / "classes.yaml").write_text("0: {name: a, color: [1, 1, 1]}\n1: {name: b, color: '#010101'}\n")
    assert "color [1, 1, 1] is of class 0 and of class 1" in fault(coloured)


def test_a_palette_is_read_as_colours_where_that_is_asked_for(folder):
    for key in "abcdvw":
        indices = Image.fromarray(np.repeat(np.array([0, 5], np.uint8), 20)[:, None].repeat(50, 1))
        indices.putpalette([9, 9, 9] * 5 + [200, 0, 0])
        indices.save(folder / f"masks/{key}.png")
    (folder / "classes.yaml").write_text("0: {name: a, color: [200, 0, 0]}\n1: {name: b, color: [9, 9, 9]}\n")
    dataset = load(DataSpec(dataset="folder", root=str(folder), mask_values="colors"))
    assert dataset.splits["val"].read(0)[1][::20, 0].tolist() == [1, 0]


# --- limits ----------------------------------------------------------------------------------------------------------


def png_of(width, height):
    """A PNG that says it is so large; what follows does not matter, because it must not be read."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("width", "height"), [(20_000, 10), (9_000, 9_000), (60_000, 60_000), (10, 16_385)])
@pytest.mark.parametrize("part", ["images", "masks"])
def test_huge_pictures_are_not_decoded(folder, part, width, height):
    (folder / f"{part}/c.png").write_bytes(png_of(width, height))
    message = fault(folder)
    assert message.startswith(f"{folder / part / 'c.png'}: ")
    assert "at most 16384 per side and 80 million are read" in message


def test_the_largest_picture_is_read():
    image_io._within_limits("x.png", (16_384, 4_882))


def test_a_file_beyond_the_limit_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(image_io, "MAX_BYTES", 50)
    assert "at most 0 MiB are read" in fault(folder)


def test_a_bomb_in_a_comment_is_refused(folder):
    """100 MB of text in 100 kB of PNG."""
    import PIL.PngImagePlugin

    text = PIL.PngImagePlugin.PngInfo()
    text.add_text("comment", "a" * (100 << 20), zip=True)
    Image.fromarray(noise(0)).save(folder / "images/c.png", pnginfo=text)
    assert (folder / "images/c.png").stat().st_size < 200_000
    assert fault(folder).startswith(f"{folder / 'images/c.png'}: cannot be read")
