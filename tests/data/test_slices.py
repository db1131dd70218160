"""Features of images, by which scores are reported: from slices.csv and from shards, to folders and shards."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image
from tensorflow_metadata.proto.v0 import schema_pb2
from typer.testing import CliRunner

from bench.core import UsageError
from bench.data import load
from bench.data.__main__ import app
from bench.data.sources import slices, tfrecords
from bench.spec import DataSpec

TABLE = """image,site,time
v0,Lund,day
v1.jpg,Lund,night
,,
v2, Umeå ,day
sub/v3,Lund,"day"
"""
KEYS = {"train": ("t0", "t1"), "val": ("v2", "v0", "sub/v3", "v1")}


@pytest.fixture
def folder(tmp_path):
    """Two images to train, which the table leaves out, and four to validate, in another order than the table's."""
    root = tmp_path / "set"
    for number, key in enumerate(key for keys in KEYS.values() for key in keys):
        for part in ("images", "masks"):
            (root / part / key).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 9, 3), 40 * number, np.uint8)).save(root / f"images/{key}.jpg")
        Image.fromarray(np.resize(np.array([0, 1, 1], np.uint8), (8, 9))).save(root / f"masks/{key}.png")
    for split, keys in KEYS.items():
        (root / f"{split}.txt").write_text("\n".join(keys))
    (root / "classes.txt").write_text("sky\nland\n")
    (root / "slices.csv").write_text(TABLE, encoding="utf-8")
    return root


def opened(root, dataset="folder", **fields):
    return load(DataSpec(dataset=dataset, root=str(root), **fields))


def shown(split):
    return [(one.feature, one.value, one.positions.tolist()) for one in split.slices()]


BY_HAND = [("site", "Lund", [1, 2, 3]), ("site", "Umeå", [0]), ("time", "day", [0, 1, 2]), ("time", "night", [3])]


def test_each_value_of_a_feature_is_a_slice(folder):
    found = opened(folder)
    assert found.splits["val"].features == {
        "site": ("Umeå", "Lund", "Lund", "Lund"), "time": ("day", "day", "day", "night"),
    }  # fmt: skip
    assert shown(found.splits["val"]) == BY_HAND
    assert shown(found.splits["train"]) == [], "no line names an image that is trained on"
    assert found.notes == (f"{folder}/slices.csv: scored by site (2 values), time (2 values)",)
    (folder / "slices.csv").unlink()
    without = opened(folder)
    assert (without.version, without.notes) == (found.version, ()), "slices are no part of what is learnt or scored"
    assert shown(without.splits["val"]) == []


def test_a_part_of_a_split_keeps_its_values(folder):
    part = opened(folder, val_limit=3).splits["val"]
    whole = opened(folder).splits["val"]
    assert len(part) == 3
    for name, values in whole.features.items():
        known = dict(zip(whole.keys, values, strict=True))
        assert part.features[name] == tuple(known[key] for key in part.keys)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (TABLE + "v9,Lund,day\n", "line 7: no image has the key 'v9'; did you mean 'v"),
        (TABLE.replace("v2", "v0"), "line 5: a second line of image 'v0'; keep one"),
        (
            TABLE.replace('sub/v3,Lund,"day"\n', ""),
            "image 'sub/v3' of the split val has no site; give one to every image",
        ),
        (TABLE + "t0,Lund,day\n", "image 't1' of the split train has no site"),
        (TABLE.replace('"day"', ""), "image 'sub/v3' of the split val has no time"),
        (TABLE.replace("day\nv1", "day,x\nv1"), "line 2: 4 fields, but the first line names 3"),
        (TABLE.replace("image,", "file,"), "line 1: 'file,site,time'; the first line is image,NAME,..."),
        (TABLE.replace("time\n", "site\n"), "line 1: 'image,site,site'; the first line is image,NAME,..."),
        ("image\nv0\n", "line 1: 'image'; the first line is image,NAME,..."),
        (TABLE.replace('"day"', '"day'), "not CSV"),
        ("image,site\n", "no line names an image with a value"),
        ("", "no line names an image with a value"),
        ("image,site\nt0,Lund\nt1,Lund\n", "no image of val or test has a site, so nothing is scored by it"),
    ],
)
def test_a_bad_table_is_one_line(folder, table, told):
    (folder / "slices.csv").write_text(table, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        opened(folder)
    assert str(caught.value).startswith(f"{folder}/slices.csv")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_command_ends_with_2(folder):
    (folder / "slices.csv").write_text(TABLE + "v9,Lund,day\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["check", str(folder)])
    assert done.exit_code == 2
    assert " ".join(done.output.split()).startswith(f"error: {folder}/slices.csv, line 7: no image")


def test_an_image_that_is_left_out_because_of_a_fault_may_be_named(folder):
    (folder / "images/v0.jpg").write_bytes(b"damaged")
    found = opened(folder, on_error="skip")
    assert found.splits["val"].keys == ("v2", "sub/v3", "v1")
    assert found.splits["val"].features["time"] == ("day", "day", "night")


def test_there_is_a_most_of_values(folder, monkeypatch):
    monkeypatch.setattr(slices, "MOST", 4)
    assert len(opened(folder).splits["val"].slices()) == 4
    monkeypatch.setattr(slices, "MOST", 3)
    with pytest.raises(
        UsageError, match=r"site \(2 values\), time \(2 values\); at most 3 values in all can be scored"
    ):
        opened(folder)


def test_a_folder_that_is_converted_keeps_them(folder, tmp_path):
    assert CliRunner().invoke(app, ["convert", str(folder), str(tmp_path / "out")]).exit_code == 0
    assert (tmp_path / "out/slices.csv").read_text("utf-8").splitlines()[:2] == ["image,site,time", "v2,Umeå,day"]
    assert shown(opened(tmp_path / "out").splits["val"]) == BY_HAND
    (folder / "slices.csv").unlink()
    assert CliRunner().invoke(app, ["convert", str(folder), str(tmp_path / "plain")]).exit_code == 0
    assert not (tmp_path / "plain/slices.csv").exists()


def prepared(folder, out):
    return CliRunner().invoke(app, ["prepare", str(out), "--data-root", str(folder)])


def test_shards_hold_them_as_features_and_the_schema_knows_them(folder, tmp_path):
    out = tmp_path / "shards"
    assert prepared(folder, out).exit_code == 0
    found = opened(out, "tfrecord")
    assert shown(found.splits["val"]) == BY_HAND
    assert shown(found.splits["train"]) == []
    schema = text_format.Parse((out / "schema.pbtxt").read_text(), schema_pb2.Schema())
    features = {one.name: one for one in schema.feature}
    assert list(features["image/slice/site"].string_domain.value) == ["Lund", "Umeå"]
    assert features["image/slice/site"].presence.min_fraction == 0, "images to train have none"
    (folder / "slices.csv").write_text(TABLE.replace("Umeå", "Kiruna"), encoding="utf-8")
    done = prepared(folder, out)
    assert done.exit_code == 2, "other values are another set of shards"
    assert "slices" in done.output


def test_a_feature_of_all_splits_has_to_be_there(folder, tmp_path):
    (folder / "slices.csv").write_text(TABLE + "t0,Kiruna,day\nt1,Lund,day\n", encoding="utf-8")
    assert prepared(folder, tmp_path / "shards").exit_code == 0
    schema = text_format.Parse((tmp_path / "shards/schema.pbtxt").read_text(), schema_pb2.Schema())
    (site,) = [one for one in schema.feature if one.name == "image/slice/site"]
    assert (site.presence.min_fraction, list(site.string_domain.value)) == (1, ["Kiruna", "Lund", "Umeå"])


def rewritten(path, change):
    """Change the features of the examples of a shard."""
    examples = [tf.train.Example.FromString(one.numpy()) for one in tf.data.TFRecordDataset(str(path))]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, example in enumerate(examples):
            change(number, example.features.feature)
            writer.write(example.SerializeToString())


def test_shards_of_others_may_hold_whole_numbers_but_one_value_each(folder, tmp_path):
    (folder / "slices.csv").unlink()
    assert prepared(folder, tmp_path / "shards").exit_code == 0
    (shard,) = (tmp_path / "shards").glob("val-*")

    def floor(number, features):
        features["image/slice/floor"].int64_list.value.append(number % 2)

    rewritten(shard, floor)
    assert shown(opened(tmp_path / "shards", "tfrecord").splits["val"]) == [
        ("floor", "0", [0, 2]), ("floor", "1", [1, 3]),
    ]  # fmt: skip
    rewritten(shard, lambda number, features: floor(number, features) if number == 3 else None)
    with pytest.raises(UsageError, match=r"record 3: feature 'image/slice/floor' has to hold one text or whole number"):
        opened(tmp_path / "shards", "tfrecord")


def test_an_example_without_a_value_that_others_have_is_refused(folder, tmp_path):
    assert prepared(folder, tmp_path / "shards").exit_code == 0
    (shard,) = (tmp_path / "shards").glob("val-*")
    rewritten(shard, lambda number, features: features.pop("image/slice/time") if number == 1 else None)
    with pytest.raises(UsageError, match="image 'v0' of the split val has no time") as caught:
        opened(tmp_path / "shards", "tfrecord")
    assert "\n" not in str(caught.value)


def test_what_is_prepared_without_them_has_the_digest_of_earlier_versions(folder):
    (folder / "slices.csv").unlink()
    split = opened(folder).splits["val"]
    import hashlib

    text = "\n".join((split.version, *split.keys))
    assert tfrecords._content(split) == f"4 {hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"
