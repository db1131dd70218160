"""TFRecords: what is prepared reads back the same, an interrupted call goes on, and TFX can read the schema."""

import json

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
from bench.data.sources import record_schema, tfrecords
from bench.spec import DataSpec


@pytest.fixture
def folder(tmp_path):
    """Seven pairs to train, two to validate, with named classes."""
    root = tmp_path / "set"
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for index in range(9):
        image = np.kron(rng.integers(0, 256, (5, 6, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        Image.fromarray(image).save(root / f"images/k{index}.jpg")
        Image.fromarray(rng.choice([0, 1, 2, 255], (20, 24)).astype(np.uint8)).save(root / f"masks/k{index}.png")
    (root / "train.txt").write_text("\n".join(f"k{index}" for index in (3, 1, 0, 2, 4, 5, 6)))
    (root / "val.txt").write_text("k7\nk8\n")
    (root / "classes.yaml").write_text("0: {name: road, color: [1, 2, 3]}\n1: sky\n2: tree\n")
    return root


def prepared(folder, out, *more):
    return CliRunner().invoke(app, ["prepare", str(out), "--data-root", str(folder), "--per-shard", "3", *more])


def test_what_255_means_is_said_and_can_be_told(folder, tmp_path):
    (folder / "classes.yaml").unlink()
    (folder / "classes.txt").write_text("road\nsky\n")
    for path in (folder / "masks").iterdir():
        Image.fromarray(np.where(np.asarray(Image.open(path)) == 255, 255, 0).astype(np.uint8)).save(path)
    said = prepared(folder, tmp_path / "auto").output
    assert "if 255 is void there, set data.mask_values=ids" in " ".join(said.split())
    for path in (folder / "masks").iterdir():  # as ids it takes a second class to learn anything
        label = np.asarray(Image.open(path)).copy()
        label[0, :2] = 1
        Image.fromarray(label).save(path)
    assert prepared(folder, tmp_path / "ids", "--mask-values", "ids").exit_code == 0
    for name, values in (("auto", {0, 1}), ("ids", {0, 1, 255})):
        label = load(DataSpec(dataset="tfrecord", root=str(tmp_path / name))).splits["val"].read(0)[1]
        assert set(np.unique(label)) == values


def shards(out):
    return sorted(path.name for path in out.glob("*.tfrecord"))


def test_what_is_prepared_reads_back_the_same(folder, tmp_path):
    out = tmp_path / "out"
    result = prepared(folder, out)
    assert result.exit_code == 0, result.output
    assert shards(out) == [
        "train-00000-of-00003.tfrecord", "train-00001-of-00003.tfrecord", "train-00002-of-00003.tfrecord",
        "val-00000-of-00001.tfrecord",
    ]  # fmt: skip
    before = load(DataSpec(dataset="folder", root=str(folder)))
    after = load(DataSpec(dataset="tfrecord", root=str(out)))
    assert (after.class_names, after.colors) == (before.class_names, before.colors)
    for name, split in before.splits.items():
        assert after.splits[name].keys == split.keys
        for index in range(len(split)):
            for one, other in zip(split.read(index), after.splits[name].read(index), strict=True):
                np.testing.assert_array_equal(one, other)
        key = split.keys[0]
        assert after.splits[name].stored(key) == (folder / f"images/{key}.jpg").read_bytes(), "not encoded again"


def features_of(out, split):
    for name in sorted(out.glob(f"{split}-*.tfrecord")):
        for record in tf.data.TFRecordDataset(str(name)):
            yield tf.train.Example.FromString(record.numpy()).features.feature


def test_pictures_are_upright_and_in_rgb_for_any_decoder(folder, tmp_path):
    """TensorFlow knows no EXIF: a turned JPEG would lie beside an upright mask. Nor does it say 3 for grey."""
    rng = np.random.default_rng(1)
    turned, exif = rng.integers(0, 256, (24, 20, 3)).astype(np.uint8), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(turned).save(folder / "images/k3.jpg", exif=exif)
    Image.fromarray(turned[:20, :, 0]).resize((24, 20)).save(folder / "images/k1.jpg")
    upright = Image.fromarray(turned).resize((24, 20))
    upright.save(folder / "images/k0.jpg", "mpo", save_all=True, append_images=[upright])
    upright.convert("RGBA").save(folder / "images/k2.png")
    (folder / "images/k2.jpg").unlink()
    assert prepared(folder, tmp_path / "out").exit_code == 0
    before = load(DataSpec(dataset="folder", root=str(folder))).splits["train"]
    kinds = []
    for index, features in enumerate(features_of(tmp_path / "out", "train")):
        kinds.append(features["image/format"].bytes_list.value[0].decode())
        data = features["image/encoded"].bytes_list.value[0]
        image = (tf.io.decode_png if kinds[-1] == "png" else tf.io.decode_jpeg)(data).numpy()
        sides = [features[f"image/{side}"].int64_list.value[0] for side in ("height", "width", "channels")]
        assert list(image.shape) == sides == [20, 24, 3], index
        if kinds[-1] == "png":
            np.testing.assert_array_equal(image, before.read(index)[0])
    assert kinds == ["png", "png", "jpeg", "png", "jpeg", "jpeg", "jpeg"]


def test_the_same_files_read_otherwise_are_another_set(folder, tmp_path):
    """Their bytes are the same: what the shards would hold is not."""
    (folder / "classes.yaml").unlink()
    for path in (folder / "masks").iterdir():
        Image.fromarray(np.where(np.asarray(Image.open(path)) < 2, 1, 0).astype(np.uint8)).save(path)
    out = tmp_path / "out"
    Image.fromarray(np.full((20, 24), 255, np.uint8)).save(folder / "masks/k0.png")
    assert prepared(folder, out, "--mask-values", "binary").exit_code == 0
    other = prepared(folder, out, "--mask-values", "ids")
    assert (other.exit_code, "holds another set, or the same with other masks" in other.stderr) == (2, True)
    assert prepared(folder, out, "--mask-values", "binary").exit_code == 0
    (folder / "val.txt").write_text("k8\nk7\n")
    assert prepared(folder, out, "--mask-values", "binary").exit_code == 2, "the keys in another order"


def test_a_cut_plan_is_told_and_a_whole_one_is_not_written_again(folder, tmp_path):
    out = tmp_path / "out"
    prepared(folder, out)
    plan = out / tfrecords.MANIFEST
    written = plan.stat().st_mtime_ns
    assert prepared(folder, out).exit_code == 0
    assert plan.stat().st_mtime_ns == written
    plan.write_bytes(plan.read_bytes()[:20])
    result = prepared(folder, out)
    assert (result.exit_code, result.stderr.startswith(f"error: {plan}: damaged")) == (2, True), result.stderr


def test_an_interrupted_call_goes_on_where_it_was(folder, tmp_path):
    dataset, out = load(DataSpec(dataset="folder", root=str(folder))), tmp_path / "out"
    steps = tfrecords.write(dataset, out, 3)
    for _ in range(5):
        next(steps)
    steps.close()  # in the middle of the second shard
    assert shards(out) == ["train-00000-of-00003.tfrecord"]
    assert not list(out.glob("*.part"))
    written = (out / shards(out)[0]).stat().st_mtime_ns
    (out / "train-00001-of-00003.tfrecord.7.part").write_bytes(b"what a killed call leaves")
    assert list(tfrecords.write(dataset, out, 3)) == [3, 1, 1, 1, 1, 1, 1], (
        "a kept shard in one step, then each example"
    )
    assert (out / shards(out)[0]).stat().st_mtime_ns == written
    assert not list(out.glob("*.part"))
    assert len(load(DataSpec(dataset="tfrecord", root=str(out))).splits["train"]) == 7


def test_a_folder_of_something_else_is_left_alone(folder, tmp_path):
    out = tmp_path / "out"
    prepared(folder, out)
    assert prepared(folder, out).exit_code == 0, "the same again has nothing to do"
    other = CliRunner().invoke(app, ["prepare", str(out), "--data-root", str(folder), "--per-shard", "4"])
    assert (other.exit_code, "holds another set" in other.stderr) == (2, True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").write_text("")
    other = prepared(folder, tmp_path / "full")
    assert (other.exit_code, "is not empty" in other.stderr) == (2, True)


def schema_of(out):
    return text_format.Parse((out / "schema.pbtxt").read_text(), schema_pb2.Schema())


def breaches(schema, examples):
    """What examples have that a schema does not allow, in the words of the schema; TFX's own library says more."""
    kinds = {"BYTES": "bytes_list", "INT": "int64_list", "FLOAT": "float_list"}
    counted = dict.fromkeys((feature.name for feature in schema.feature), 0)
    for features in examples:
        for name in set(features) - set(counted):
            yield name, "unknown"
        for feature in schema.feature:
            if feature.name not in features:
                continue
            counted[feature.name] += 1
            value = features[feature.name]
            if value.WhichOneof("kind") != kinds[schema_pb2.FeatureType.Name(feature.type)]:
                yield feature.name, "type"
                continue
            values = list(getattr(value, value.WhichOneof("kind")).value)
            if feature.HasField("shape") and len(values) != 1:
                yield feature.name, "shape"
            if feature.value_count.max and not feature.value_count.min <= len(values) <= feature.value_count.max:
                yield feature.name, "count"
            for kind in ("int_domain", "float_domain"):
                domain = getattr(feature, kind)
                if feature.HasField(kind) and not all(domain.min <= one <= domain.max for one in values):
                    yield feature.name, "domain"
            allowed = [one.encode() for one in feature.string_domain.value]
            if allowed and not set(values) <= set(allowed):
                yield feature.name, "domain"
    for feature in schema.feature:
        wanted = max(feature.presence.min_count, feature.presence.min_fraction * len(examples))
        if counted[feature.name] < wanted:
            yield feature.name, "presence"


def test_the_schema_is_that_of_the_examples(folder, tmp_path):
    """Parsed with tensorflow-metadata, as TFX does it: types, numbers and domains are those of every example."""
    out = tmp_path / "out"
    prepared(folder, out)
    schema = schema_of(out)
    for split in ("train", "val"):
        examples = list(features_of(out, split))
        assert not list(breaches(schema, examples))
        for features in examples:
            image = tf.io.decode_image(features["image/encoded"].bytes_list.value[0])
            sides = [features[f"image/{side}"].int64_list.value[0] for side in ("height", "width", "channels")]
            assert image.shape.as_list() == sides == [20, 24, 3]
    once = {feature.name for feature in schema.feature if feature.presence.min_fraction == 1}
    assert once == {*record_schema.SCHEMA, "image/segmentation/class/void"}
    without = [name for name, (_, _, domain) in record_schema.SCHEMA.items() if not domain]
    assert without == ["image/filename"], "nothing in a schema says that a key is unique"


def test_what_labels_hold_is_told_by_hand():
    """Twelve pixels: three void, six of class 1, three of class 4; void is no part of the shares of classes."""
    label = np.array([[255, 255, 255, 1], [1, 1, 1, 1], [1, 4, 4, 4]], np.uint8)
    assert record_schema.label_statistics(label) == {
        "image/segmentation/class/present": [1, 4],
        "image/segmentation/class/fraction/1": [pytest.approx(6 / 9)],
        "image/segmentation/class/fraction/4": [pytest.approx(3 / 9)],
        "image/segmentation/class/void": [0.25],
    }
    nothing = record_schema.label_statistics(np.full((2, 2), 255, np.uint8))
    assert nothing == {"image/segmentation/class/present": [], "image/segmentation/class/void": [1.0]}


def test_the_schema_knows_ids_out_of_range_and_classes_that_may_not_get_lost(folder, tmp_path):
    for key in ("k7", "k8"):  # the validation split has no tree
        path = folder / f"masks/{key}.png"
        label = np.asarray(Image.open(path)).copy()
        label[label == 2] = 1
        Image.fromarray(label).save(path)
    prepared(folder, tmp_path / "out")
    schema = schema_of(tmp_path / "out")
    examples = list(features_of(tmp_path / "out", "val"))
    assert not list(breaches(schema, examples))
    named = {feature.name: feature for feature in schema.feature}
    present = "image/segmentation/class/present"
    assert (named[present].int_domain.max, named[present].int_domain.is_categorical) == (2, True)
    assert [named[f"image/segmentation/class/fraction/{one}"].presence.min_count for one in range(3)] == [1, 1, 0]
    examples[0][present].int64_list.value.append(77)
    for features in examples:
        del features["image/segmentation/class/fraction/1"]
    assert list(breaches(schema, examples)) == [
        (present, "domain"), ("image/segmentation/class/fraction/1", "presence")
    ]  # fmt: skip


def test_a_picture_of_a_kind_that_tensorflow_lacks_is_stored_as_png(folder, tmp_path):
    (folder / "images/k7.jpg").unlink()
    pixels = np.random.default_rng(3).integers(0, 256, (20, 24, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "images/k7.tiff")
    prepared(folder, tmp_path / "out")
    first = next(features_of(tmp_path / "out", "val"))
    assert first["image/format"].bytes_list.value[0] == b"png"
    np.testing.assert_array_equal(tf.io.decode_png(first["image/encoded"].bytes_list.value[0]), pixels)


def test_shards_without_statistics_are_read_and_not_mixed_with_new_ones(folder, tmp_path):
    """As earlier versions wrote them: eight features, and a plan that does not say which layout."""
    out = tmp_path / "out"
    prepared(folder, out)
    before = load(DataSpec(dataset="tfrecord", root=str(out)))
    for path in sorted(out.glob("*.tfrecord")):
        examples = [tf.train.Example.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]
        with tf.io.TFRecordWriter(str(path)) as writer:
            for example in examples:
                for name in set(example.features.feature) - set(record_schema.SCHEMA):
                    del example.features.feature[name]
                writer.write(example.SerializeToString())
    plan = json.loads((out / tfrecords.MANIFEST).read_text())
    del plan["layout"]
    (out / tfrecords.MANIFEST).write_text(json.dumps(plan))
    assert load(DataSpec(dataset="tfrecord", root=str(out))).version == before.version
    again = prepared(folder, out)
    assert (again.exit_code, again.stderr.count("\n")) == (2, 1)
    assert "holds shards of another version" in again.stderr


def fault(out, **fields):
    with pytest.raises(UsageError) as caught:
        load(DataSpec(dataset="tfrecord", root=str(out), **fields))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_damaged_shards(folder, tmp_path):
    out = tmp_path / "out"
    prepared(folder, out)
    path = out / "train-00001-of-00003.tfrecord"
    data = path.read_bytes()
    path.write_bytes(data[:-7])
    assert fault(out).startswith(f"{path}: damaged after ")
    path.write_bytes(data[: len(data) // 2] + b"?" + data[len(data) // 2 + 1 :])
    assert fault(out).startswith(f"{path}: damaged after ")
    kept = load(DataSpec(dataset="tfrecord", root=str(out), on_error="skip"))
    assert 4 <= len(kept.splits["train"]) < 7
    assert len(kept.faults) == 1
    path.unlink()
    assert "shard 1 of those that match" in fault(out)


def test_records_of_another_kind(tmp_path):
    def write(*examples):
        for split in ("train", "val"):
            with tf.io.TFRecordWriter(str(tmp_path / f"{split}-00000-of-00001.tfrecord")) as writer:
                for example in examples:
                    writer.write(example)

    write(b"\xff\xff no example")
    assert "record 0: not a tf.train.Example" in fault(tmp_path)
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"x"]))
    write(tf.train.Example(features=tf.train.Features(feature={"image/encoded": feature})).SerializeToString())
    assert "no feature 'image/segmentation/class/encoded'" in fault(tmp_path)


def test_no_records_at_all(tmp_path):
    assert "no examples in train-00000-of-00001.tfrecord" in fault(tmp_path)


def test_pets_of_tensorflow_datasets(tmp_path):
    """Shards as oxford_iiit_pet has them: encoded picture and trimap, breed from 0, file name with its ending."""
    base = tmp_path / "oxford_iiit_pet/4.0.0"
    base.mkdir(parents=True)

    def example(key, breed, height):
        rng = np.random.default_rng(list(key.encode()))
        image = tfrecords._png(rng.integers(0, 256, (height, 8, 3)).astype(np.uint8))
        mask = tfrecords._png((np.arange(height * 8).reshape(height, 8) % 3 + 1).astype(np.uint8))
        values = {"image": image, "segmentation_mask": mask, "file_name": f"{key}.jpg".encode()}
        features = {
            name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for name, value in values.items()
        }
        features["label"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[breed]))
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()

    for split, keys in (("train", [f"beagle_{n}" for n in range(1, 11)]), ("test", ["pug_1"])):
        with tf.io.TFRecordWriter(str(base / f"oxford_iiit_pet-{split}.tfrecord-00000-of-00001")) as writer:
            for key in keys:
                writer.write(example(key, 4 if split == "train" else 25, 9))
    dataset = load(DataSpec(dataset="oxford_pets_breeds", root=str(tmp_path)))
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 8, "val": 2, "test": 1}
    assert dataset.splits["val"].keys == ("beagle_5", "beagle_10")
    assert dataset.splits["val"].read(0)[1][0, :3].tolist() == [5, 0, 255]
    assert dataset.class_names[5] == "beagle"
    assert dataset.splits["test"].read(0)[1][0, :3].tolist() == [26, 0, 255]
    assert dataset.class_names[26] == "pug"
    assert [note for note in dataset.notes if "beagle" in note and "test has no pixel" not in note] == []
