"""A label is what the file says: values whose meaning differs from file to file are read by color or refused."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from bench.core import UsageError
from bench.data import load
from bench.data.sources.agreement import sparse
from bench.data.sources.tfrecords import write
from bench.spec import DataSpec
from tests.data.test_stored import bmp, color_map, packed, png, tiff

CLASSES = np.array([[0, 0, 0], [48, 112, 32], [176, 112, 32]], np.uint8)
LIST = (
    "0: {name: ground, color: [0, 0, 0]}\n1: {name: cat, color: [48, 112, 32]}\n2: {name: dog, color: [176, 112, 32]}\n"
)
KEYS = "abcd"
HEIGHT, WIDTH = 6, 8


def ids(key, *values):
    """Labels of a key: no two alike."""
    return np.resize(np.repeat(values or (0, 1, 2), ord(key) % 3 + 2), (HEIGHT, WIDTH)).astype(np.uint8)


def as_png(indices, colors):
    return png(8, 3, indices, palette=bytes(colors))


def as_tiff(indices, colors):
    whole = bytes(colors) + bytes(768 - len(bytes(colors)))
    return tiff(indices.tobytes(), 8, 3, t320=color_map(whole))


def as_bmp(indices, colors):
    return bmp(indices, 8, np.frombuffer(bytes(colors), np.uint8).reshape(-1, 3).tolist())


def as_gif(indices, colors):
    image = Image.fromarray(indices)
    image.putpalette(colors)
    data = io.BytesIO()
    image.save(data, "gif", optimize=False)
    return data.getvalue()


WRITERS = {"png": as_png, "tif": as_tiff, "bmp": as_bmp, "gif": as_gif}


def numbered(label, order, colors, kind="png"):
    """A mask with a palette in which class `order[i]` has index i."""
    return WRITERS[kind](np.argsort(order)[label].astype(np.uint8), np.asarray(colors, np.uint8)[list(order)].tobytes())


def placed(root, masks, kind="png", **lists):
    """A set of these encoded masks; a, b and c are to train, d is to validate."""
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    for key, data in zip(KEYS, masks, strict=True):
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), ord(key), np.uint8)).save(root / f"images/{key}.png")
        (root / f"masks/{key}.{kind}").write_bytes(data)
    (root / "train.txt").write_text("a\nb\nc\n")
    (root / "val.txt").write_text("d\n")
    for name, text in lists.items():
        (root / f"classes.{name}").write_text(text)
    return root


def opened(root, **fields):
    return load(DataSpec(dataset="folder", root=str(root), **fields))


def labels(dataset):
    return [split.read(index)[1] for split in dataset.splits.values() for index in range(len(split))]


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def refused(root, **fields):
    with pytest.raises(UsageError) as caught:
        opened(root, **fields)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{root}: ")
    return str(caught.value).removeprefix(f"{root}: ")


ORDERS = [(0, 1, 2), (2, 0, 1), (1, 0, 2), (2, 1, 0)]


@pytest.mark.parametrize("kind", WRITERS)
def test_palettes_in_another_order_in_each_file(tmp_path, kind):
    true = [ids(key) for key in KEYS]
    masks = [numbered(label, order, CLASSES, kind) for label, order in zip(true, ORDERS, strict=True)]
    root = placed(tmp_path, masks, kind)
    if kind == "gif":
        with pytest.raises(UsageError, match="a GIF in colors, whose indices are no class ids"):
            opened(root)
    else:
        line = refused(root)
        assert line.startswith(f"value 0 is shown as [0, 0, 0] in {root}/masks/a.{kind} and ")
        assert f"as [176, 112, 32] in {root}/masks/b.{kind}; the values of these masks are no ids: write" in line
        assert "data.mask_values=colors" in line
    (root / "classes.txt").write_text("ground\ncat\ndog\n")
    with pytest.raises(UsageError):
        opened(root)
    (root / "classes.yaml").write_text(LIST)
    for values in ("auto", "colors"):
        same(labels(opened(root, mask_values=values)), true)


@pytest.mark.parametrize("kind", WRITERS)
def test_one_order_that_is_not_the_lists(tmp_path, kind):
    true = [ids(key) for key in KEYS]
    root = placed(tmp_path, [numbered(label, (2, 0, 1), CLASSES, kind) for label in true], kind, yaml=LIST)
    same(labels(opened(root)), true)
    assert opened(root).notes == ()
    if kind != "gif":
        same(labels(opened(root, mask_values="ids")), [np.array([1, 2, 0])[label] for label in true])


def test_one_palette_that_only_decorates(tmp_path):
    """Its colors are none of the classes': the indices are the ids, as they are without a list."""
    true = [ids(key) for key in KEYS]
    root = placed(tmp_path, [numbered(label, (0, 1, 2), CLASSES[::-1] // 2 + 1) for label in true])
    same(labels(opened(root)), true)
    (root / "classes.yaml").write_text(LIST)
    same(labels(opened(root)), true)
    assert opened(root).notes == ()


def test_palettes_in_another_order_in_colors_that_the_list_lacks(tmp_path):
    masks = [numbered(ids(key), order, CLASSES // 2 + 1) for key, order in zip(KEYS, ORDERS, strict=True)]
    with pytest.raises(
        UsageError, match=r"masks/a.png: color \[1, 1, 1\] on \d+ pixels is no class; name it in classes"
    ):
        opened(placed(tmp_path, masks, yaml=LIST))


def test_palettes_cut_to_what_a_file_uses_agree(tmp_path):
    true = [ids("a", 0, 1, 2), ids("b", 0, 1), ids("c", 0), ids("d", 2, 0)]
    masks = [as_png(label, CLASSES[: label.max() + 1].tobytes()) for label in true]
    same(labels(opened(placed(tmp_path, masks))), true)


def test_two_classes_of_one_color_in_a_palette_of_all_agree(tmp_path):
    true = [ids("a", 0, 1, 2), ids("b", 0, 1), ids("c", 0, 2), ids("d", 2, 0)]
    masks = [as_png(label, bytes([0, 0, 0, 9, 0, 0, 9, 0, 0])) for label in true]
    same(labels(opened(placed(tmp_path, masks))), true)


def test_a_color_under_two_indices(tmp_path):
    """No index is shown in two colors here, but a color has two."""
    masks = [as_png(ids(key, 0, 1), bytes([0, 0, 0, 9, 0, 0])) for key in "abc"]
    masks.append(as_png(ids("d", 0, 2), bytes([0, 0, 0, 7, 7, 7, 9, 0, 0])))
    line = refused(placed(tmp_path, masks))
    assert line.startswith("the color [9, 0, 0] has the value 2 in ")
    assert "masks/d.png and 1 in " in line


@pytest.mark.parametrize("kind", ["png", "tif", "bmp"])
def test_what_the_user_says_counts(tmp_path, kind):
    """Indices, in spite of colors; and it is said."""
    indices = [ids(key) for key in KEYS]
    masks = [WRITERS[kind](value, CLASSES[list(order)].tobytes()) for value, order in zip(indices, ORDERS, strict=True)]
    dataset = opened(placed(tmp_path, masks, kind), mask_values="ids")
    same(labels(dataset), indices)
    assert "value 0 is shown as [0, 0, 0] in" in dataset.notes[0]
    assert dataset.notes[0].endswith("read by their values (data.mask_values=ids)")


@pytest.mark.parametrize("kind", WRITERS)
def test_black_and_white_in_either_order(tmp_path, kind):
    """One mask is black alone."""
    true = [np.uint8(key != "c") * ids(key, 0, 1) for key in KEYS]
    colors, orders = [(0, 0, 0), (255, 255, 255)], ((0, 1), (1, 0), (0, 1), (1, 0))
    masks = [numbered(label, order, colors, kind) for label, order in zip(true, orders, strict=True)]
    root = placed(tmp_path, masks, kind)
    dataset = opened(root)
    assert dataset.class_names == ("background", "foreground")
    assert "data.mask_values=ids" in dataset.notes[0]
    same(labels(dataset), true)
    same(labels(opened(root, mask_values="binary")), true)
    (root / "classes.yaml").write_text("0: {name: thing, color: white}\n1: {name: rest, color: black}\n")
    same(labels(opened(root)), [1 - label for label in true])


def test_white_before_black_in_every_file(tmp_path):
    """Indices say that white is the background, and colors that black is."""
    true = [ids(key, 0, 1) for key in KEYS]
    root = placed(tmp_path, [numbered(label, (1, 0), [(0, 0, 0), (255, 255, 255)]) for label in true])
    assert refused(root).startswith(
        "in the palettes of the masks index 0 is white and 1 is black; set data.mask_values"
    )
    same(labels(opened(root, mask_values="binary")), true)
    same(labels(opened(root, mask_values="ids")), [1 - label for label in true])


def test_grey_ids_that_an_optimiser_put_in_palettes(tmp_path):
    """Where indices contradict each other, the greys that are shown are the ids, as in the files without a palette."""
    true = [ids("a", 0, 1, 2, 255), ids("b", 0, 2, 255), ids("c", 255, 1), ids("d", 0, 1, 2)]
    masks = [png(8, 0, true[0])]
    for label in true[1:]:
        greys = np.unique(label)[::-1]
        masks.append(
            as_png(np.searchsorted(-greys.astype(int), -label.astype(int)).astype(np.uint8), np.repeat(greys, 3))
        )
    same(labels(opened(placed(tmp_path, masks))), true)


def test_one_bit_and_eight_bits_of_black_and_white(tmp_path):
    """White is 1 in the one and 255 in the other; 255 is no void then."""
    true = [ids(key, 0, 1) for key in KEYS]
    masks = [png(1, 0, true[0]), png(8, 0, true[1] * 255), png(1, 0, true[2]), png(8, 0, true[3] * 255)]
    dataset = opened(placed(tmp_path, masks))
    assert dataset.class_names == ("background", "foreground")
    same(labels(dataset), true)


def test_one_bit_beside_ids(tmp_path):
    """White may be void, made smaller, or class 1: nothing tells."""
    root = placed(tmp_path, [png(1, 0, ids("a", 0, 1)), *[png(8, 0, ids(key, 0, 1, 2)) for key in "bcd"]])
    line = refused(root)
    assert f"value 1 is shown as [255, 255, 255] in {root}/masks/a.png and as [1, 1, 1] in {root}/masks/b" in line
    assert "set data.mask_values=ids if the values are ids" in line
    same(labels(opened(root, mask_values="ids")), [ids("a", 0, 1), *[ids(key) for key in "bcd"]])


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("photometric", ["png", "tif"])
def test_greys_of_few_bits_are_their_values(tmp_path, bits, photometric):
    true = [ids(key, 0, 1, 2, 3) for key in KEYS]
    write_one = (
        (lambda v: png(bits, 0, v)) if photometric == "png" else (lambda v: tiff(packed(v, bits).tobytes(), bits))
    )
    root = placed(tmp_path, [write_one(label) for label in true], photometric)
    same(labels(opened(root)), true)
    greys = "".join(f"{c}: {{name: c{c}, color: [{g}, {g}, {g}]}}\n" for c, g in enumerate((85, 0, 255, 170)))
    (root / "classes.yaml").write_text(greys)
    by_color = np.array([1, 0, 3, 2]) if bits == 2 else np.arange(4)
    same(labels(opened(root)), [by_color[label] for label in true])


@pytest.mark.parametrize("form", ["RGB", "P", "L"])
def test_white_void_read_by_color_is_no_foreground(tmp_path, form):
    """Masks of black and white alone, where the list has white for void: one class is left, and void stays void."""
    true = [255 * ids(key, 0, 1) for key in KEYS]
    shown = {
        "RGB": lambda label: png(8, 2, np.repeat(label[..., None], 3, -1)),
        "P": lambda label: as_png(np.uint8(label == 0), bytes([255, 255, 255, 0, 0, 0])),
        "L": lambda label: png(8, 0, label),
    }[form]
    rows = "0: {name: ground, color: black}\n1: {name: cat, color: red}\n255: {name: void, color: white}\n"
    root = placed(tmp_path, [shown(label) for label in true], yaml=rows)
    with pytest.raises(UsageError, match="only one class, 'ground'"):
        opened(root)
    (root / "classes.yaml").write_text("0: {name: ground, color: green}\n1: {name: cat, color: red}\n")
    if form == "L":
        same(labels(opened(root)), [label // 255 for label in true])


# --- in shards -------------------------------------------------------------------------------------------------------


def test_what_is_read_by_color_is_prepared_as_ids(tmp_path):
    true = [ids(key) for key in KEYS]
    (tmp_path / "set").mkdir()
    masks = [numbered(label, order, CLASSES) for label, order in zip(true, ORDERS, strict=True)]
    root = placed(tmp_path / "set", masks, yaml=LIST)
    assert sum(write(opened(root), tmp_path / "out", 2)) == len(KEYS)
    same(labels(load(DataSpec(dataset="tfrecord", root=str(tmp_path / "out")))), true)


def shards(root, masks, **lists):
    root.mkdir(exist_ok=True)
    picture = png(8, 2, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    for split, keys in (("train", KEYS[:3]), ("val", KEYS[3:])):
        with tf.io.TFRecordWriter(str(root / f"{split}-00000-of-00001.tfrecord")) as writer:
            for key in keys:
                values = {
                    "image/encoded": picture, "image/filename": key.encode(),
                    "image/segmentation/class/encoded": masks[KEYS.index(key)],
                }  # fmt: skip
                features = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in values.items()}
                writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    for name, text in lists.items():
        (root / f"classes.{name}").write_text(text)


def test_palettes_in_the_shards_of_others(tmp_path):
    true = [ids(key) for key in KEYS]
    masks = [numbered(label, order, CLASSES) for label, order in zip(true, ORDERS, strict=True)]
    shards(tmp_path, masks)
    spec = DataSpec(dataset="tfrecord", root=str(tmp_path))
    with pytest.raises(UsageError, match=r"value 0 is shown as \[0, 0, 0\] in .*record 0 \(a\)"):
        load(spec)
    (tmp_path / "classes.yaml").write_text(LIST)
    same(labels(load(spec)), true)


def test_greys_in_the_shards_of_others(tmp_path):
    shards(tmp_path, [png(8, 0, ids(key, 0, 128)) for key in KEYS])
    spec = DataSpec(dataset="tfrecord", root=str(tmp_path))
    with pytest.raises(UsageError, match="the masks hold 0, 128: 129 classes if these are class ids"):
        load(spec)
    assert len(load(spec.model_copy(update={"mask_values": "ids"})).class_names) == 129


# --- greys taken for ids ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        (0, 128), (0, 38), (0, 38, 75, 113), (0, 29, 76, 150), (0, 85, 170, 255), (0, 64, 128, 192, 255), (100, 200),
        (0, 14, 38, 52, 75, 89, 113, 128, 19, 33, 57, 71, 94, 108, 132, 147, 220),
    ],
)  # fmt: skip
def test_greys_are_no_ids(tmp_path, values):
    true = [np.resize(np.array(values, np.uint8), (HEIGHT, WIDTH)) for _ in KEYS]
    root = placed(tmp_path, [png(8, 0, label) for label in true])
    line, largest = refused(root), max(set(values) - {255})
    shown = sorted(set(values) - {255})
    assert line.startswith(f"the masks hold {', '.join(map(str, shown[:10]))}{', ...' if len(shown) > 10 else ''}: ")
    assert f"{largest + 1} classes if these are class ids, but only {len(shown)} are there" in line
    assert "data.mask_values=ids" in line
    dataset = opened(root, mask_values="ids")
    same(labels(dataset), true)
    assert len(dataset.class_names) == largest + 1
    assert all(note.count("class_") <= 10 for note in dataset.notes)
    assert f" and {largest + 1 - len(shown) - 10} more classes" in dataset.notes[-1]
    (root / "classes.txt").write_text("".join(f"c{number}\n" for number in range(255)))
    same(labels(opened(root)), true)
    grey = "".join(
        f"{index}: {{name: c{index}, color: [{v}, {v}, {v}]}}\n" for index, v in enumerate(sorted(set(values)))
    )
    (root / "classes.yaml").write_text(grey)
    same(labels(opened(root)), [np.searchsorted(sorted(set(values)), label) for label in true])


def test_greys_beyond_the_list(tmp_path):
    root = placed(tmp_path, [png(8, 0, ids(key, 0, 128)) for key in KEYS], txt="ground\ncat\n")
    with pytest.raises(UsageError, match=r"class id 128 on .* but 2 classes are declared .*; if the values are greys"):
        opened(root)
    (root / "classes.yaml").write_text("0: {name: ground, color: black}\n1: {name: cat, color: [128, 128, 128]}\n")
    same(labels(opened(root)), [ids(key, 0, 1) for key in KEYS])


@pytest.mark.parametrize(
    "values",
    [
        {0, 1}, {0, 1, 5}, {0, 15}, {0, 15, 255}, {0, 20}, {0, 8, 12}, {0, 1, 17, 18, 255},
        set(range(34)) - {14, 15, 16}, {0, 7, 8, 11, 21, 23, 26}, set(range(0, 150, 3)), set(),
    ],
)  # fmt: skip
def test_ids_with_gaps_are_ids(values):
    """One class of VOC, animals of COCO, Cityscapes, every third of ADE20K."""
    assert not sparse(values)
