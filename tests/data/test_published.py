"""Published sets in small made-up files of their layouts: official ids, splits, faults, and what is told of each."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from typer.testing import CliRunner

from bench.core import UsageError
from bench.data import entries, load
from bench.data.__main__ import app
from bench.data.registry import names
from bench.list import LISTS
from bench.spec import DataSpec

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def picture(path, height=20, width=30):
    """Of its own for every path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(list(str(path).encode())).integers(0, 256, (height, width, 3))
    Image.fromarray(noise.astype(np.uint8)).save(path)


def opened(name, root, **fields):
    return load(DataSpec(dataset=name, root=str(root), **fields))


def ids(path, *values):
    """A mask that has each of these values in a row of its own; returns them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.repeat(np.array(values, np.uint8)[:, None], 30, 1)
    Image.fromarray(rows).save(path)
    return len(values)


def pair(image, annotation, *values):
    picture(image, height=ids(annotation, *values))


def label(dataset, split, key):
    """The class ids of the rows of a mask that `ids` drew."""
    part = dataset.splits[split]
    return part.read(part.keys.index(key))[1][:, 0].tolist()


# --- the catalogue ---------------------------------------------------------------------------------------------------


def test_every_set_is_described_and_every_description_has_a_set():
    assert tuple(sorted(entries())) == names()


def test_classes_are_those_of_the_sources():
    counts = {name: len(entry.classes) for name, entry in entries().items()}
    assert counts == {
        "scenes": 8, "folder": 0, "tfrecord": 0, "oxford_pets": 3, "oxford_pets_binary": 2, "oxford_pets_breeds": 38,
        "voc2012": 21, "voc2012_sbd": 21, "camvid": 11, "cityscapes": 19, "ade20k": 150, "coco_stuff": 171,
    }  # fmt: skip
    for entry in entries().values():
        assert len(set(entry.classes)) == len(entry.classes)
        assert len(set(entry.colors)) == len(entry.colors) == len(entry.classes)
        assert entry.ignore_index == 255
        assert entry.licence
        assert entry.source
    assert entries()["ade20k"].classes[64] == "coffee table"
    assert entries()["coco_stuff"].classes[11] == "stop sign"


def test_the_embedded_set_is_described_as_it_is():
    dataset, entry = load(DataSpec()), entries()["scenes"]
    assert (dataset.class_names, dataset.colors) == (entry.classes, entry.colors)
    assert {name: len(split) for name, split in dataset.splits.items()} == entry.splits


def test_every_set_is_listed():
    rows = LISTS["datasets"]()
    assert sorted(row["name"] for row in rows) == list(names())
    assert all(row["licence"] and row["source"] and row["ignore_index"] == 255 for row in rows)
    assert json.loads(json.dumps(rows)) == rows


# --- Oxford-IIIT Pet -------------------------------------------------------------------------------------------------


@pytest.fixture
def pets(tmp_path):
    """Ten cats and five dogs to train and validate, one of each to test."""
    lines = {"trainval": [], "test": []}
    for split, breed, number, count in (
        ("trainval", "Abyssinian", 1, 10), ("trainval", "yorkshire_terrier", 37, 5),
        ("test", "Abyssinian", 1, 1), ("test", "yorkshire_terrier", 37, 1),
    ):  # fmt: skip
        for index in range(count):
            key = f"{breed}_{index + 1 + 100 * (split == 'test')}"
            pair(tmp_path / f"images/{key}.jpg", tmp_path / f"annotations/trimaps/{key}.png", 1, 2, 3)
            (tmp_path / f"annotations/trimaps/._{key}.png").write_text("what macOS puts beside")
            lines[split].append(f"{key} {number} 1 1")
    for split, some in lines.items():
        (tmp_path / f"annotations/{split}.txt").write_text("\n".join(some))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "cat", "dog"),
    [
        ("oxford_pets", [0, 1, 2], [0, 1, 2]),
        ("oxford_pets_binary", [1, 0, 255], [1, 0, 255]),
        ("oxford_pets_breeds", [1, 0, 255], [37, 0, 255]),
    ],
)
def test_trimaps_of_pets(pets, name, cat, dog):
    dataset = opened(name, pets)
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 12, "val": 3, "test": 2}
    assert dataset.splits["val"].keys == ("Abyssinian_5", "Abyssinian_10", "yorkshire_terrier_5")
    assert label(dataset, "train", "Abyssinian_1") == cat
    assert label(dataset, "test", "yorkshire_terrier_101") == dog
    assert dataset.class_names == entries()[name].classes


def test_the_background_of_pets_is_told_to_their_pixel_weights(pets):
    places = {
        name: {split.background for split in opened(name, pets, pixel_weights="unet", train_limit=2).splits.values()}
        for name in ("oxford_pets", "oxford_pets_binary", "oxford_pets_breeds")
    }
    assert places == {"oxford_pets": {1}, "oxford_pets_binary": {0}, "oxford_pets_breeds": {0}}


def test_variants_of_pets_have_versions_of_their_own(pets):
    versions = {opened(name, pets).version for name in names() if name.startswith("oxford_pets")}
    assert len(versions) == 3


def test_faulty_lists_of_pets(pets):
    path = pets / "annotations/trainval.txt"
    for line, expected in (("Abyssinian_1", "expected NAME BREED"), ("nobody_1 3 1 1", "no image for key 'nobody_1'")):
        text = path.read_text()
        path.write_text(f"{text}\n{line}\n")
        with pytest.raises(UsageError, match=expected):
            opened("oxford_pets", pets)
        path.write_text(text)


# --- VOC -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def voc(tmp_path):
    base = tmp_path / "VOCdevkit/VOC2012"
    for key, values in (("2007_a", (0, 20, 255)), ("2007_b", (15, 1)), ("2007_v", (0, 3))):
        pair(base / f"JPEGImages/{key}.jpg", base / f"SegmentationClass/{key}.png", *values)
    (base / "ImageSets/Segmentation").mkdir(parents=True)
    (base / "ImageSets/Segmentation/train.txt").write_text("2007_a\n2007_b\n")
    (base / "ImageSets/Segmentation/val.txt").write_text("2007_v\n")
    picture(base / "JPEGImages/2008_unlisted.jpg")
    return tmp_path


def boundaries(root, key, *values):
    """A pair of the Semantic Boundaries Dataset."""
    base = root / "benchmark_RELEASE/dataset"
    (base / "cls").mkdir(parents=True, exist_ok=True)
    picture(base / f"img/{key}.jpg", height=len(values))
    savemat(base / f"cls/{key}.mat", {"GTcls": {"Segmentation": np.repeat(np.array(values, np.uint8)[:, None], 30, 1)}})


@pytest.mark.parametrize("below", ["", "VOCdevkit/VOC2012"])
def test_voc(voc, below):
    dataset = opened("voc2012", voc / below)
    assert {name: split.keys for name, split in dataset.splits.items()} == {
        "train": ("2007_a", "2007_b"),
        "val": ("2007_v",),
    }
    assert label(dataset, "train", "2007_a") == [0, 20, 255]
    assert dataset.class_names[15] == "person"


def test_voc_with_palettes_that_an_optimiser_rewrote(voc):
    """Its masks come with palettes; ids are their indices, as long as an index means the same in all."""
    folder = voc / "VOCdevkit/VOC2012/SegmentationClass"
    table = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
    true = {path: np.asarray(Image.open(path)) for path in folder.iterdir()}
    for path, ids in true.items():
        mask = Image.fromarray(ids)
        mask.putpalette(table.tobytes())
        mask.save(path)
    dataset = opened("voc2012", voc)
    np.testing.assert_array_equal(dataset.splits["val"].read(0)[1], true[folder / "2007_v.png"])
    for path, ids in true.items():
        used, indices = np.unique(ids, return_inverse=True)
        mask = Image.fromarray(indices.reshape(ids.shape).astype(np.uint8))
        mask.putpalette(table[used].tobytes())
        mask.save(path)
    with pytest.raises(
        UsageError, match=r"value 0 is shown as \[.*, so the values are not class ids; take the masks as they"
    ):
        opened("voc2012", voc)


def test_voc_with_boundaries_trains_on_all_but_what_validates(voc):
    for key, values in (("2007_a", (9,)), ("2007_v", (9,)), ("2008_s", (0, 7)), ("2008_t", (5,))):
        boundaries(voc, key, *values)
    base = voc / "benchmark_RELEASE/dataset"
    (base / "train.txt").write_text("2007_a\n2008_s\n")
    (base / "val.txt").write_text("2007_v\n2008_t\n")
    dataset = opened("voc2012_sbd", voc)
    assert dataset.splits["train"].keys == ("2007_a", "2007_b", "2008_s", "2008_t")
    assert dataset.splits["val"].keys == ("2007_v",)
    assert label(dataset, "train", "2007_a") == [0, 20, 255], "VOC's own mask"
    assert label(dataset, "train", "2008_s") == [0, 7]
    (base / "cls/2008_t.mat").write_bytes(b"MATLAB 5.0 MAT-file, and no more")
    with pytest.raises(UsageError, match=r"2008_t\.mat: cannot be read as a mask of SBD"):
        opened("voc2012_sbd", voc)


# --- streets ---------------------------------------------------------------------------------------------------------


def test_cityscapes_maps_official_ids(tmp_path):
    official = [*range(34)]
    train_ids = [255] * 7 + [0, 1, 255, 255, 2, 3, 4, 255, 255, 255, 5, 255, *range(6, 16), 255, 255, 16, 17, 18]
    assert len(train_ids) == 34
    for split, city, number in (("train", "aachen", 0), ("train", "bochum", 1), ("val", "munster", 2)):
        stem = f"{city}/{city}_00000{number}_000019"
        base = tmp_path / f"gtFine/{split}/{stem}_gtFine"
        pair(
            tmp_path / f"leftImg8bit/{split}/{stem}_leftImg8bit.png",
            base.with_name(f"{base.name}_labelIds.png"),
            *official,
        )
        for other in ("instanceIds", "color", "labelTrainIds"):
            ids(base.with_name(f"{base.name}_{other}.png"), 1)
    dataset = opened("cityscapes", tmp_path)
    assert dataset.splits["train"].keys == ("aachen/aachen_000000_000019", "bochum/bochum_000001_000019")
    assert label(dataset, "val", "munster/munster_000002_000019") == train_ids
    assert dataset.class_names[18] == "bicycle"
    assert dataset.colors[10] == (70, 130, 180)
    ids(tmp_path / "gtFine/val/munster/munster_000002_000019_gtFine_labelIds.png", *[34] * 34)
    with pytest.raises(UsageError, match=r"labelIds\.png: value 34 on 1020 pixels"):
        opened("cityscapes", tmp_path)


def test_cityscapes_with_ids_to_train_with_alone(tmp_path):
    for split, city in (("train", "aachen"), ("val", "munster")):
        stem = f"{city}/{city}_000000_000019"
        pair(
            tmp_path / f"leftImg8bit/{split}/{stem}_leftImg8bit.png",
            tmp_path / f"gtFine/{split}/{stem}_gtFine_labelTrainIds.png",
            0, 18, 7, 255,
        )  # fmt: skip
        ids(tmp_path / f"gtFine/{split}/{stem}_gtFine_color.png", 1)
    dataset = opened("cityscapes", tmp_path)
    assert label(dataset, "val", "munster/munster_000000_000019") == [0, 18, 7, 255]
    mask = tmp_path / "gtFine/val/munster/munster_000000_000019_gtFine_labelTrainIds.png"
    ids(mask, *[19] * 4)
    with pytest.raises(UsageError, match=r"labelTrainIds\.png: value 19 on 120 pixels"):
        opened("cityscapes", tmp_path)
    mask.unlink()
    with pytest.raises(
        UsageError, match=r"add one named 'munster/munster_000000_000019_gtFine_labelTrainIds' to gtFine/val/"
    ):
        opened("cityscapes", tmp_path)


def test_camvid_in_both_layouts(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    for split in ("train", "val", "test"):
        pair(first / f"{split}/{split}1.png", first / f"{split}annot/{split}1.png", 0, 10, 11)
        pair(second / f"images/{split}1.jpg", second / f"masks/{split}1.png", 0, 10, 255)
        (second / f"{split}.txt").write_text(f"{split}1\n")
    for root in (first, second):
        dataset = opened("camvid", root)
        assert list(dataset.splits) == ["train", "val", "test"]
        assert label(dataset, "test", "test1") == [0, 10, 255]
        assert dataset.class_names[10] == "bicyclist"
    (second / "test.txt").unlink()
    assert list(opened("camvid", second).splits) == ["train", "val"]
    for split in ("val", "train"):
        (second / f"{split}.txt").unlink()
        with pytest.raises(UsageError, match=r"(train|val)\.txt: no such split file"):
            opened("camvid", second)


# --- scenes of all kinds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "ADEChallengeData2016"])
def test_ade20k(tmp_path, below):
    for split, key in (("training", "ADE_train_1"), ("validation", "ADE_val_1")):
        base = tmp_path / below
        pair(base / f"images/{split}/{key}.jpg", base / f"annotations/{split}/{key}.png", 0, 1, 150)
    dataset = opened("ade20k", tmp_path)
    assert label(dataset, "train", "ADE_train_1") == [255, 0, 149]
    assert "no pixel of building" in dataset.notes[0]
    mask = tmp_path / below / "annotations/training/ADE_train_1.png"
    mask.rename(mask.with_name("ADE_train_2.png"))
    with pytest.raises(UsageError, match=r"ADE_train_1\.jpg: image without a mask; add one named 'ADE_train_1' to "):
        opened("ade20k", tmp_path)
    (tmp_path / below / "images/training/ADE_train_1.jpg").rename(tmp_path / below / "images/training/ADE_train_2.jpg")
    mask.with_name("ADE_train_3.png").write_bytes(b"")
    with pytest.raises(UsageError, match=r"ADE_train_3\.png: mask without an image; add one named 'ADE_train_3' to "):
        opened("ade20k", tmp_path)


@pytest.mark.parametrize(("images", "masks"), [("images/", "stuffthingmaps"), ("", "annotations")])
def test_coco_stuff_closes_the_gaps_of_its_ids(tmp_path, images, masks):
    for split in ("train", "val"):
        key = f"{split}_000001"
        pair(
            tmp_path / f"{images}{split}2017/{key}.jpg",
            tmp_path / f"{masks}/{split}2017/{key}.png",
            0,
            12,
            89,
            91,
            181,
            255,
        )
    dataset = opened("coco_stuff", tmp_path)
    found = label(dataset, "val", "val_000001")
    assert [dataset.class_names[index] for index in found[:-1]] == [
        "person",
        "stop sign",
        "toothbrush",
        "banner",
        "wood",
    ]
    assert found == [0, 11, 79, 80, 170, 255]
    ids(tmp_path / f"{masks}/val2017/val_000001.png", *[11] * 6)
    with pytest.raises(UsageError, match="value 11 on 180 pixels, which this set does not have"):
        opened("coco_stuff", tmp_path)


# --- what is not there -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in names() if name not in ("scenes", "folder", "tfrecord")])
def test_a_set_that_is_not_there_tells_where_it_is_from(name, tmp_path):
    for root in (None, str(tmp_path), str(tmp_path / "nowhere")):
        with pytest.raises(UsageError) as caught:
            load(DataSpec(dataset=name, root=root))
        message = str(caught.value)
        assert "\n" not in message
        assert entries()[name].source in message
        assert entries()[name].layout in message


def test_a_refused_download_tells_the_manual_way(tmp_path, monkeypatch):
    """All that leaves this machine goes to an address that nothing answers."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    result = CliRunner().invoke(app, ["download", "oxford_pets", "--data-root", str(tmp_path)])
    assert result.exit_code == 2
    line = result.stderr.strip().splitlines()[-1]
    assert re.search(r"could not be downloaded \(HTTPSConnectionPool.+\); get it from .*annotations\.tar\.gz", line)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_only_what_can_be_downloaded_is(tmp_path):
    result = CliRunner().invoke(app, ["download", "cityscapes", "--data-root", str(tmp_path)])
    assert result.exit_code == 2
    assert "by registration" in result.stderr


# --- real files ------------------------------------------------------------------------------------------------------


def test_real_camvid_by_its_name():
    root = SHARED / "camvid"
    if not root.is_dir():
        pytest.skip(f"no real data at {root}")
    dataset = opened("camvid", root, val_limit=4)
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 367, "val": 4, "test": 62}
    image, label = dataset.splits["val"].read(0)
    assert image.shape[:2] == label.shape == (360, 480)
    assert dataset.class_names[int(np.bincount(label[300:].ravel(), minlength=256)[:11].argmax())] == "road"
