"""Exports of annotation tools and public sets as they come: recognised, named, read to the pixel, and converted."""

import base64
import io
import json
import re
import zlib

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.core import UsageError
from bench.data import load
from bench.data.__main__ import app
from bench.data.sources import palette
from bench.spec import DataSpec

SIZE = 12, 16
RNG = np.random.default_rng(0)


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 255, (*SIZE, 3), np.uint8)).save(path)


def save(path, pixels, table=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    if table is not None:
        image.putpalette([part for color in table for part in color])
    image.save(path)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def label(shift=0):
    """Two boxes on a ground: class 1 and class 2."""
    found = np.zeros(SIZE, np.uint8)
    found[1:5, 2 + shift : 8 + shift] = 1
    found[7:11, 3:9] = 2
    return found


def box(x0, y0, x1, y1):
    """The corners of a box of pixels, both ends included."""
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


# --- the formats, each as its tool writes it: four pictures whose labels are label(0) to label(3) -------------------


def labelme_shape(name, points, kind="polygon", **more):
    return {
        "label": name,
        "points": points,
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
        **more,
    }


def labelme(root):
    for number in range(4):
        picture(root / f"{number}.jpg")
        shapes = [
            labelme_shape("cat", box(2 + number, 1, 7 + number, 4)),
            labelme_shape("dog", [[8, 10], [3, 7]], "rectangle"),
        ]
        write(
            root / f"{number}.json",
            {
                "version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"{number}.jpg", "imageData": None,
                "imageHeight": 12, "imageWidth": 16,
            },
        )  # fmt: skip
    return "labelme JSON", ("_background_", "cat", "dog")


def cvat(root):
    colors = np.array([[0, 0, 0], [250, 50, 83], [51, 221, 255]], np.uint8)
    write(
        root / "labelmap.txt",
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:250,50,83::\ndog:51,221,255::\n",
    )
    for number in range(4):
        picture(root / f"JPEGImages/{number}.jpg")
        save(root / f"SegmentationClass/{number}.png", colors[label(number)])
        save(root / f"SegmentationObject/{number}.png", colors[label(number)] // 2)
    write(root / "ImageSets/Segmentation/default.txt", "0\n1\n2\n3\n")
    return "CVAT segmentation mask 1.1", ("background", "cat", "dog")


def datumaro(root):
    """As Datumaro, which CVAT exports with, writes labels without colours."""
    cvat(root)
    write(root / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:::\ncat:::\ndog:::\n")
    for number in range(4):
        save(root / f"SegmentationClass/{number}.png", np.array(palette.voc(3), np.uint8)[label(number)])
    return "CVAT segmentation mask 1.1", ("background", "cat", "dog")


def labelme2voc(root):
    write(root / "class_names.txt", "_background_\ncat\ndog\n")
    for number in range(4):
        picture(root / f"JPEGImages/{number}.jpg")
        save(root / f"SegmentationClass/{number}.png", label(number), palette.voc(256))
        save(root / f"SegmentationClassVisualization/{number}.jpg", label(number))
    return "labelme2voc's folders", ("_background_", "cat", "dog")


def voc(root):
    base = root / "VOCdevkit/VOC2012"
    for number in range(4):
        picture(base / f"JPEGImages/{number}.jpg")
        save(base / f"SegmentationClass/{number}.png", label(number), palette.voc(256))
    picture(base / "JPEGImages/unlabelled.jpg")
    lists = {"train": "0\n1\n", "val": "2\n3\n", "trainval": "0\n1\n2\n3\n", "test": "9\n"}
    for name, text in lists.items():
        write(base / f"ImageSets/Segmentation/{name}.txt", text)
    return "PASCAL VOC", ("background", "aeroplane", "bicycle")


def bitmap(mask, mode):
    """A Supervisely bitmap: base64 of zlib of a PNG."""
    data = io.BytesIO()
    if mode == "RGBA":
        Image.fromarray(np.uint8(255 * np.repeat(mask[..., None], 4, 2)), "RGBA").save(data, "png")
    else:
        image = Image.fromarray(np.uint8(mask))
        image.putpalette([0, 0, 0, 255, 255, 255])
        image.save(data, "png")
    return base64.b64encode(zlib.compress(data.getvalue())).decode()


def supervisely(root):
    classes = [
        {"title": "cat", "shape": "polygon", "color": "#FA3253"},
        {"title": "dog", "shape": "bitmap", "color": "#33DDFF"},
    ]
    write(root / "meta.json", {"classes": classes, "tags": [], "projectType": "images"})
    for number in range(4):
        picture(root / f"ds/img/{number}.jpg")
        things = [
            {
                "classTitle": "cat", "geometryType": "polygon", "tags": [],
                "points": {"exterior": box(2 + number, 1, 7 + number, 4), "interior": []},
            },
            {
                "classTitle": "dog", "geometryType": "bitmap", "tags": [],
                "bitmap": {"data": bitmap(np.ones((4, 6), bool), "RGBA" if number % 2 else "P"), "origin": [3, 7]},
            },
        ]  # fmt: skip
        annotation = {"description": "", "tags": [], "size": {"height": 12, "width": 16}, "objects": things}
        write(root / f"ds/ann/{number}.jpg.json", annotation)
    return "Supervisely project", ("background", "cat", "dog")


def roboflow(root):
    for folder, numbers in (("train", (0, 1)), ("valid", (2, 3)), ("test", ())):
        write(root / folder / "_classes.csv", "Pixel Value, Class\n0, background\n1, cat\n2, dog\n")
        for number in numbers:
            picture(root / f"{folder}/{number}_jpg.rf.9f.jpg")
            save(root / f"{folder}/{number}_jpg.rf.9f_mask.png", label(number))
    return "Roboflow semantic segmentation masks", ("background", "cat", "dog")


def cityscapes(root, ending="labelIds", ids=(7, 8, 11)):
    for number, (split, city) in enumerate(
        [("train", "aachen"), ("train", "bochum"), ("val", "munster"), ("val", "lindau")]
    ):
        stem = f"{split}/{city}/{city}_00000{number}_000019"
        picture(root / f"leftImg8bit/{stem}_leftImg8bit.png")
        save(root / f"gtFine/{stem}_gtFine_{ending}.png", np.array(ids, np.uint8)[label(number)])
        save(root / f"gtFine/{stem}_gtFine_color.png", label(number))
        write(root / f"gtFine/{stem}_gtFine_polygons.json", {"imgHeight": 12, "imgWidth": 16, "objects": []})
    return "Cityscapes (cityscapes)", ("road", "sidewalk", "building")


def cityscapes_train_ids(root):
    return cityscapes(root, "labelTrainIds", (0, 1, 2))


def vistas_config():
    labels = [("Bird", True), ("Curb", True), ("Fence", True), ("Unlabeled", False)]
    rows = [
        {
            "name": f"thing--{name.lower()}", "readable": name, "evaluate": counts, "instances": False,
            "color": [10 * place, 20, 30],
        }
        for place, (name, counts) in enumerate(labels)
    ]  # fmt: skip
    return {"labels": rows, "version": "1.1", "mapping": "public", "folder_structure": "{split}/{content}/{image_id:s}"}


def vistas(root, version=""):
    write(root / f"config{'_' * bool(version)}{version}.json", vistas_config())
    for number in range(4):
        split = "training" if number < 2 else "validation"
        picture(root / f"{split}/images/{number}.jpg")
        for part in ("labels", "instances"):
            place = f"{split}/{version}/{part}" if version else f"{split}/{part}"
            save(root / f"{place}/{number}.png", label(number), palette.voc(256))
    picture(root / "testing/images/9.jpg")
    return "Mapillary Vistas", ("Bird", "Curb", "Fence")


def vistas_2(root):
    return vistas(root, "v2.0")


def ade20k(root):
    base = root / "ADEChallengeData2016"
    for number in range(4):
        split, name = ("training", "train") if number < 2 else ("validation", "val")
        picture(base / f"images/{split}/ADE_{name}_{number}.jpg")
        save(base / f"annotations/{split}/ADE_{name}_{number}.png", label(number) + 1)
    return "ADE20K scene parsing (ade20k)", ("wall", "building", "sky")


FORMATS = {
    one.__name__: one
    for one in (
        labelme, cvat, datumaro, labelme2voc, voc, supervisely, roboflow, cityscapes, cityscapes_train_ids, vistas,
        vistas_2, ade20k,
    )
}  # fmt: skip


def opened(root, **fields):
    return load(DataSpec(dataset="folder", root=str(root), **fields))


def fault(root, **fields):
    with pytest.raises(UsageError) as caught:
        opened(root, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def labels(dataset):
    """Key -> label of all splits."""
    return {split.keys[at]: split.read(at)[1] for split in dataset.splits.values() for at in range(len(split))}


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_is_recognised_and_read(name, tmp_path):
    kind, names = FORMATS[name](tmp_path)
    dataset = opened(tmp_path)
    found = labels(dataset)
    assert len(found) == 4
    for key, ids in found.items():
        number = int(key.split("_")[1] if name.startswith("cityscapes") else re.search(r"[0-3]", key)[0])
        np.testing.assert_array_equal(ids, label(number), key)
    assert dataset.class_names[:3] == names
    counts = {split: len(part) for split, part in dataset.splits.items()}
    said = f"{len(dataset.class_names)} classes, {counts['train']} to train, {counts['val']} to validate"
    assert dataset.notes[0] == f"{tmp_path}: read as {kind}: {said}"
    result = CliRunner().invoke(app, ["check", str(tmp_path)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert f"read as {kind}" in result.output


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_converted_reads_back_the_same(name, tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    FORMATS[name](root)
    result = CliRunner().invoke(app, ["convert", str(root), str(out)])
    assert result.exit_code == 0, result.output
    before, after = opened(root), opened(out)
    assert (before.class_names, before.colors) == (after.class_names, after.colors)
    assert {name: split.keys for name, split in before.splits.items()} == {
        name: split.keys for name, split in after.splits.items()
    }
    for split, part in before.splits.items():
        for at, key in enumerate(part.keys):
            for one, other in zip(part.read(at), after.splits[split].read(at), strict=True):
                np.testing.assert_array_equal(one, other, key)
    assert sorted(path.name for path in out.iterdir()) == ["classes.yaml", "images", "masks", "train.txt", "val.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_convert_chooses_what_validates_by_share_and_seed(tmp_path):
    labelme(tmp_path / "in")
    chosen = set()
    for seed in range(8):
        out = tmp_path / str(seed)
        result = CliRunner().invoke(
            app, ["convert", str(tmp_path / "in"), str(out), "--val", "0.5", "--seed", str(seed)]
        )
        assert result.exit_code == 0, result.output
        assert f"2 of 4 images are used for validation (chosen by seed {seed})" in result.output
        chosen.add((out / "val.txt").read_text())
    assert len(chosen) > 1
    again = CliRunner().invoke(app, ["convert", str(tmp_path / "in"), str(tmp_path / "0")])
    assert (again.exit_code, "is not empty" in again.stderr) == (2, True)


def test_a_picture_more_leaves_the_choice_as_it_was(tmp_path):
    for number in range(40):
        picture(tmp_path / f"images/{number}.png")
        save(tmp_path / f"masks/{number}.png", label())
    before = set(opened(tmp_path).splits["val"].keys)
    assert len(before) == 8
    picture(tmp_path / "images/x.png")
    save(tmp_path / "masks/x.png", label())
    assert len(before & set(opened(tmp_path).splits["val"].keys)) >= 7


# --- labelme ---------------------------------------------------------------------------------------------------------


def test_what_else_lies_there_is_left_aside(tmp_path):
    """JSON of other programs, hidden folders, and pictures that nobody has annotated, which are counted."""
    labelme(tmp_path)
    write(tmp_path / "settings.json", {"a": 1})
    write(tmp_path / ".cache/x.json", "{")
    picture(tmp_path / "later.jpg")
    picture(tmp_path / "elsewhere/other.jpg")
    dataset = opened(tmp_path)
    assert len(labels(dataset)) == 4
    assert dataset.notes[-1] == f"{tmp_path}: images without an annotation, left out: 1"


def redraw(root, shapes, **more):
    path = root / "0.json"
    write(path, json.loads(path.read_text()) | {"shapes": shapes} | more)
    return labels(opened(root))["0"]


@pytest.mark.parametrize(
    ("kind", "points", "expected"),
    [
        # By hand: pixels whose centre is within, or that an edge touches.
        ("polygon", [[1, 1], [4, 1], [4, 3], [1, 3]], {(x, y) for x in range(1, 5) for y in range(1, 4)}),
        ("polygon", [[2, 2], [4, 4], [2, 4]], {(2, 2), (2, 3), (3, 3), (2, 4), (3, 4), (4, 4)}),
        ("rectangle", [[4, 3], [1, 1]], {(x, y) for x in range(1, 5) for y in range(1, 4)}),
        ("circle", [[5, 5], [6, 5]], {(5, 4), (4, 5), (5, 5), (6, 5), (5, 6), (4, 4), (6, 4), (4, 6), (6, 6)}),
        ("oriented_rectangle", [[1, 1], [4, 1], [4, 3], [1, 3]], {(x, y) for x in range(1, 5) for y in range(1, 4)}),
        (None, [[1, 1], [4, 1], [4, 3], [1, 3]], {(x, y) for x in range(1, 5) for y in range(1, 4)}),
    ],
)
def test_shapes_of_labelme(tmp_path, kind, points, expected):
    labelme(tmp_path)
    found = redraw(tmp_path, [labelme_shape("cat", points, kind), labelme_shape("dog", box(10, 10, 11, 11))])
    ys, xs = np.nonzero(found == 1)
    seen = set(zip(xs.tolist(), ys.tolist(), strict=True))
    if kind == "circle":  # corners of so small a disc differ between versions of Pillow
        expected, seen = (
            expected & {(5, 4), (4, 5), (5, 5), (6, 5), (5, 6)},
            seen & {(5, 4), (4, 5), (5, 5), (6, 5), (5, 6)},
        )
    assert seen == expected


def test_shapes_that_are_pictures(tmp_path):
    labelme(tmp_path)
    data = io.BytesIO()
    Image.fromarray(np.array([[1, 0, 1], [0, 1, 0]], bool)).save(data, "png")
    shape = labelme_shape("cat", [[4, 2], [6, 3]], "mask", mask=base64.b64encode(data.getvalue()).decode())
    found = redraw(tmp_path, [shape, labelme_shape("dog", box(10, 10, 11, 11))])
    assert np.argwhere(found == 1).tolist() == [[2, 4], [2, 6], [3, 5]]


def test_later_shapes_cover_earlier_ones_and_ignored_ones_are_void(tmp_path):
    labelme(tmp_path)
    found = redraw(
        tmp_path,
        [
            labelme_shape("cat", box(0, 0, 5, 5)), labelme_shape("dog", box(2, 2, 3, 3)),
            labelme_shape("__ignore__", box(0, 0, 1, 1)), labelme_shape("_background_", box(5, 5, 5, 5)),
        ],
    )  # fmt: skip
    assert (found[1, 1], found[2, 2], found[4, 4], found[5, 5], found[9, 9]) == (255, 2, 1, 0, 0)


@pytest.mark.parametrize("place", ["in/labels.txt", "labels.txt"])
def test_the_list_of_labels_orders_the_classes(tmp_path, place):
    labelme(tmp_path / "in")
    write(tmp_path / place, "__ignore__\n_background_\ndog\nbird\ncat\n")
    dataset = opened(tmp_path / "in")
    assert dataset.class_names == ("_background_", "dog", "bird", "cat")
    np.testing.assert_array_equal(labels(dataset)["1"], np.array([0, 3, 1])[label(1)])
    write(tmp_path / place, "cat\n")
    assert f"label 'dog' is not in {tmp_path / place}; add it there" in fault(tmp_path / "in")


def test_folders_called_train_and_val_are_splits(tmp_path):
    labelme(tmp_path / "train")
    labelme(tmp_path / "Validation")
    assert {name: len(split) for name, split in opened(tmp_path).splits.items()} == {"train": 4, "val": 4}


def test_a_picture_within_the_file(tmp_path):
    labelme(tmp_path)
    inside = base64.b64encode((tmp_path / "0.jpg").read_bytes()).decode()
    before = np.asarray(Image.open(tmp_path / "0.jpg"))
    (tmp_path / "0.jpg").unlink()
    assert "its image '0.jpg' is neither there nor embedded" in fault(tmp_path)
    np.testing.assert_array_equal(
        redraw(tmp_path, json.loads((tmp_path / "0.json").read_text())["shapes"], imageData=inside), label(0)
    )
    after = opened(tmp_path)
    name, at = next((name, split.keys.index("0")) for name, split in after.splits.items() if "0" in split.keys)
    np.testing.assert_array_equal(after.splits[name].read(at)[0], before)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (labelme_shape("cat", [[1, 1]]), "shape 0 cannot be drawn (ValueError: a polygon of 1 point)"),
        (labelme_shape("cat", [[1, 1], [2, float("nan")], [3, 3]]), "shape 0 cannot be drawn"),
        (labelme_shape("cat", [[1, 1]], "cuboid"), "shape 0 cannot be drawn"),
        (labelme_shape("cat", "x"), "shape 0 cannot be drawn"),
        (labelme_shape("cat", [[0, 0], [1, 1]], "mask", mask="%"), "its embedded image cannot be read"),
    ],
)
def test_shapes_that_cannot_be_drawn(tmp_path, shape, expected):
    labelme(tmp_path)
    with pytest.raises(UsageError) as caught:
        redraw(tmp_path, [shape])
    assert str(caught.value).startswith(f"{tmp_path / '0.json'}: ")
    assert expected in str(caught.value)


def test_annotations_of_another_size_and_without_one(tmp_path):
    labelme(tmp_path)
    with pytest.raises(UsageError, match=r"0\.json: 17x12 pixels, but its image 0\.jpg is 16x12"):
        redraw(tmp_path, [], imageWidth=17)
    with pytest.raises(UsageError, match=r"0\.json: no size of its image"):
        redraw(tmp_path, [], imageWidth=None)
    with pytest.raises(UsageError, match=r"at most 16384 per side"):
        redraw(tmp_path, [], imageWidth=10**6)


# --- CVAT, Supervisely, Roboflow, Vistas -----------------------------------------------------------------------------


def test_subsets_of_cvat_are_splits(tmp_path):
    cvat(tmp_path)
    for name, text in (("Train", "0\n1\n"), ("Validation", "2\n"), ("Test", "3\n")):
        write(tmp_path / f"ImageSets/Segmentation/{name}.txt", text)
    (tmp_path / "ImageSets/Segmentation/default.txt").unlink()
    splits = opened(tmp_path).splits
    assert {name: split.keys for name, split in splits.items()} == {"train": ("0", "1"), "val": ("2",), "test": ("3",)}


def test_cvat_without_pictures_and_with_a_colour_of_no_label(tmp_path):
    cvat(tmp_path)
    write(tmp_path / "labelmap.txt", "background:0,0,0::\ncat:250,50,83::\n")
    assert "color [51, 221, 255] on 24 pixels is no class" in fault(tmp_path)
    write(tmp_path / "labelmap.txt", "background:0,0,0::\ncat:::\n")
    assert "'cat' has no color; give every label one, or none" in fault(tmp_path)
    for path in (tmp_path / "JPEGImages").iterdir():
        path.unlink()
    (tmp_path / "JPEGImages").rmdir()
    assert "no folder JPEGImages/, so its images are missing; export again with images" in fault(tmp_path)


def test_the_palette_of_voc():
    assert palette.voc(4) == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert palette.voc(22)[20:] == ((0, 64, 128), (128, 64, 128))
    assert palette.voc(256)[255] == (224, 224, 192)


def annotate(root, things, **more):
    path = root / "ds/ann/0.jpg.json"
    write(path, json.loads(path.read_text()) | {"objects": things} | more)
    return labels(opened(root))["ds/0"]


def test_holes_of_supervisely(tmp_path):
    supervisely(tmp_path)
    points = {"exterior": box(1, 1, 6, 6), "interior": [box(3, 3, 4, 4)]}
    found = annotate(
        tmp_path,
        [
            {
                "classTitle": "dog",
                "geometryType": "rectangle",
                "points": {"exterior": [[0, 0], [15, 11]], "interior": []},
            },
            {"classTitle": "cat", "geometryType": "polygon", "points": points},
        ],
    )
    assert (found == 1).sum() == 36 - 4
    assert (found[3:5, 3:5] == 2).all()


def test_bitmaps_of_supervisely_beyond_the_edge(tmp_path):
    supervisely(tmp_path)
    thing = {"classTitle": "dog", "geometryType": "bitmap"}
    thing["bitmap"] = {"data": bitmap(np.array([[1, 0], [1, 1]], bool), "P"), "origin": [15, 11]}
    other = {**thing, "bitmap": {**thing["bitmap"], "origin": [-1, -1]}, "classTitle": "cat"}
    found = annotate(tmp_path, [thing, other])
    assert (found[11, 15], found[0, 0], np.count_nonzero(found)) == (2, 1, 2)


def test_classes_of_supervisely(tmp_path):
    supervisely(tmp_path)
    classes = [
        {"title": "cat", "color": "#ff0000"},
        {"title": "BG", "color": "#000000"},
        {"title": "dog", "color": "#00ff00"},
    ]
    write(tmp_path / "meta.json", {"classes": classes})
    assert opened(tmp_path).class_names == ("BG", "cat", "dog")
    write(tmp_path / "meta.json", {"classes": classes[:2]})
    assert "object 1 cannot be drawn (KeyError: 'dog')" in fault(tmp_path)
    write(tmp_path / "meta.json", {"tags": []})
    assert "no list of classes with titles" in fault(tmp_path)


def test_colours_of_supervisely_and_colours_that_stand_twice(tmp_path):
    supervisely(tmp_path / "in")
    assert opened(tmp_path / "in").colors == ((0, 0, 0), (250, 50, 83), (51, 221, 255))
    classes = [{"title": "cat", "color": "#ffffff"}, {"title": "dog", "color": "#ffffff"}]
    write(tmp_path / "in/meta.json", {"classes": classes})
    assert CliRunner().invoke(app, ["convert", str(tmp_path / "in"), str(tmp_path / "out")]).exit_code == 0
    found = opened(tmp_path / "out").colors
    assert (found[:2], len(set(found))) == (((0, 0, 0), (255, 255, 255)), 3)
    write(tmp_path / "in/meta.json", {"classes": [{"title": "cat", "color": "red-ish"}, classes[1]]})
    assert "meta.json: color 'red-ish' of class 'cat'; expected #rrggbb" in fault(tmp_path / "in")


def test_as_many_colours_as_a_list_may_have():
    found = palette.told_apart([(255, 255, 255)] * 255)
    assert (len(found), len(set(found))) == (255, 255)


@pytest.mark.parametrize("name", ["labelme", "supervisely", "roboflow"])
def test_what_no_shape_covers_is_the_background_of_unet(name, tmp_path):
    FORMATS[name](tmp_path)
    assert {split.background for split in opened(tmp_path, pixel_weights="unet").splits.values()} == {0}


def test_splits_of_supervisely_by_tags(tmp_path):
    supervisely(tmp_path)
    for number, tag in enumerate(("train", "val", "train", "train")):
        path = tmp_path / f"ds/ann/{number}.jpg.json"
        write(path, json.loads(path.read_text()) | {"tags": [{"name": "checked"}, {"name": tag}]})
    assert opened(tmp_path).splits["val"].keys == ("ds/1",)


def test_bitmaps_that_cannot_be_read(tmp_path):
    supervisely(tmp_path)
    for data in ("%%%", base64.b64encode(b"no zlib").decode(), base64.b64encode(zlib.compress(b"no png")).decode()):
        with pytest.raises(UsageError, match=r"0\.jpg\.json: (object 0 cannot be drawn|cannot be read)"):
            annotate(
                tmp_path, [{"classTitle": "cat", "geometryType": "bitmap", "bitmap": {"data": data, "origin": [0, 0]}}]
            )


def test_roboflow_in_one_folder(tmp_path):
    roboflow(tmp_path / "all")
    one = tmp_path / "all/train"
    for number in (2, 3):
        for name in (f"{number}_jpg.rf.9f.jpg", f"{number}_jpg.rf.9f_mask.png"):
            (tmp_path / "all/valid" / name).rename(one / name)
    dataset = opened(one)
    assert sum(len(split) for split in dataset.splits.values()) == 4
    (one / "0_jpg.rf.9f_mask.png").unlink()
    assert "0_jpg.rf.9f.jpg: image without a mask; expected 0_jpg.rf.9f_mask.png beside it" in fault(one)


def test_roboflow_with_palettes_that_an_optimiser_rewrote(tmp_path):
    """Its list has no colors, so nothing tells which index is which class."""
    roboflow(tmp_path)
    colors = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0]], np.uint8)
    for number, path in enumerate(sorted(tmp_path.glob("*/*_mask.png"))):
        order = np.roll(np.arange(3), number % 2)
        ids = np.asarray(Image.open(path))
        save(path, np.argsort(order)[np.minimum(ids, 2)].astype(np.uint8), colors[order])
    assert re.search(r"value 0 is shown as .* take the masks as they were published or exported", fault(tmp_path))


def test_roboflow_with_other_classes_in_another_folder(tmp_path):
    roboflow(tmp_path)
    write(tmp_path / "valid/_classes.csv", "Pixel Value, Class\n0, background\n1, dog\n2, cat\n")
    assert "valid/_classes.csv: other classes than in" in fault(tmp_path)


def test_labels_of_vistas_that_are_not_evaluated_are_void(tmp_path):
    vistas(tmp_path)
    save(tmp_path / "training/labels/0.png", label() + 1, palette.voc(256))
    np.testing.assert_array_equal(labels(opened(tmp_path))["0"], np.array([1, 2, 255])[label()])
    save(tmp_path / "training/labels/0.png", label() + 2, palette.voc(256))
    assert "value 4 on 24 pixels, which this set does not have" in fault(tmp_path)
    config = vistas_config()
    config["labels"][1]["readable"] = "Bird"
    write(tmp_path / "config.json", config)
    save(tmp_path / "training/labels/0.png", label(), palette.voc(256))
    assert opened(tmp_path).class_names == ("thing--bird", "thing--curb", "thing--fence")
    write(tmp_path / "config.json", {"labels": [{}]})
    assert "no labels with readable, name, color and evaluate" in fault(tmp_path)


# --- what is not read ------------------------------------------------------------------------------------------------


def test_the_full_ade20k_is_refused_with_the_reason(tmp_path):
    picture(tmp_path / "images/ADE/training/urban/street/ADE_train_00016858.jpg")
    assert "this is the full ADE20K, whose masks name more than 3000 classes" in fault(tmp_path)


def test_an_unknown_folder_is_told_what_is_known(tmp_path):
    line = fault(tmp_path)
    for part in (
        "images/ + masks/",
        "Train_Images/",
        "labelme JSON",
        "CVAT segmentation mask 1.1",
        "Supervisely project",
    ):
        assert part in line
    assert "full ADE20K" not in line


@pytest.mark.parametrize("name", ["labelme", "supervisely"])
def test_links_and_damage(name, tmp_path, tmp_path_factory):
    FORMATS[name](tmp_path)
    path = next(path for path in sorted(tmp_path.rglob("*0*.json")))
    path.write_text("{")
    assert f"{path}: cannot be read as JSON" in fault(tmp_path)
    outside = tmp_path_factory.mktemp("outside") / path.name
    outside.write_text("{}")
    path.unlink()
    path.symlink_to(outside)
    assert f"{path}: links to {outside}, outside the data folder" in fault(tmp_path)
