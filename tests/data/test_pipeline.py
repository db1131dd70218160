"""Batches: exact labels, replayable, and every image of an evaluation once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bench.core import IGNORE_INDEX
from bench.data import pipeline
from bench.data.dataset import Split
from bench.spec import DataSpec

SPEC = DataSpec(size=64, crop=48)


def make_split(shapes):
    """Images that carry their coordinates (red = 2 x, green = 2 y), labels with five classes and void stripes."""

    def reader(key):
        index = int(key)
        height, width = shapes[index]
        y, x = np.mgrid[:height, :width]
        image = np.stack([x * 2, y * 2, np.full_like(x, index * 10)], -1).astype(np.uint8)
        label = np.where((x + y) % 7 == 0, IGNORE_INDEX, 10 + x // 4 % 5 * 2).astype(np.uint8)
        return image, label

    return Split(tuple(str(i) for i in range(len(shapes))), reader)


def ids_split(count, shape=(64, 64)):
    """Every image and its label are filled with the image's number."""
    return Split(
        tuple(map(str, range(count))),
        lambda key: (np.full((*shape, 3), int(key), np.uint8), np.full(shape, int(key), np.uint8)),
    )


def rows(dataset):
    batches = [{name: value.numpy() for name, value in batch.items()} for batch in dataset]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def test_without_augmentation_a_full_crop_is_the_picture_itself():
    split = make_split([(64, 64)])
    crops = pipeline.Crops(split, DataSpec(size=64, crop=64, augment="none"), 3)
    for made, read in zip(crops[9], split.read(0), strict=True):
        np.testing.assert_array_equal(made, read)


def test_same_seed_same_bytes_other_seed_other_bytes():
    split = make_split([(64, 64), (50, 70), (80, 33)])

    def take(seed):
        return [[part.numpy() for part in batch] for batch in pipeline.train(pipeline.Crops(split, SPEC, seed), 4, 3)]

    first, again, other = take(0), take(0), take(1)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
    assert any((a[0] != b[0]).any() for a, b in zip(first, other, strict=True))


def test_the_stream_does_not_depend_on_the_batch_size():
    split = make_split([(64, 64), (50, 70), (80, 33)])

    def stream(batch_size):
        batches = pipeline.train(pipeline.Crops(split, SPEC, 7), batch_size, 12 // batch_size)
        return np.concatenate([image.numpy() for image, _ in batches])

    np.testing.assert_array_equal(stream(2), stream(6))


def test_each_epoch_holds_every_image_once_in_its_own_order():
    crops = pipeline.Crops(ids_split(20), DataSpec(size=64, crop=64, augment="none"), 0)
    epochs = [[int(crops[e * 20 + i][1][0, 0]) for i in range(20)] for e in range(3)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_training_batches_have_fixed_shapes():
    image, label = pipeline.train(pipeline.Crops(make_split([(64, 48)]), SPEC, 0), 5, 1).element_spec
    assert (tuple(image.shape), image.dtype.name) == ((5, 48, 48, 3), "uint8")
    assert (tuple(label.shape), label.dtype.name) == ((5, 48, 48), "uint8")


MIXED = [(64, 64), (50, 70), (80, 33), (64, 64), (20, 90), (64, 64), (61, 64)]


@pytest.mark.parametrize(("batch_size", "multiple"), [(1, 1), (3, 1), (4, 2), (7, None), (16, 2)])
def test_every_image_is_evaluated_once_whatever_the_batch_size(batch_size, multiple):
    split = make_split(MIXED)
    batches = list(pipeline.evaluation(split, SPEC, batch_size, multiple=multiple).as_numpy_iterator())
    index = np.concatenate([batch["index"] for batch in batches])
    assert sorted(i for i in index if i >= 0) == list(range(7))
    assert all(len(batch["index"]) % (multiple or batch_size) == 0 for batch in batches)
    assert all(len(batch["index"]) - sum(batch["index"] >= 0) < (multiple or batch_size) for batch in batches)
    counts = sum(np.bincount(batch["label"].ravel(), minlength=256) for batch in batches)
    native = np.bincount(np.concatenate([split.read(i)[1].ravel() for i in range(7)]), minlength=256)
    np.testing.assert_array_equal(counts[:IGNORE_INDEX], native[:IGNORE_INDEX])
    assert all((batch["label"][batch["index"] < 0] == IGNORE_INDEX).all() for batch in batches)


def test_a_batch_of_an_evaluation_holds_pictures_of_one_shape_as_they_are():
    """Whatever else is in the split, and what `bench.predict` makes of the same file."""
    split = make_split([*MIXED, (128, 128)])  # the last has the first one's shape, and a larger label
    dataset = pipeline.evaluation(split, SPEC, 4)
    seen = []
    for batch in dataset.as_numpy_iterator():
        for row, index in enumerate(batch["index"]):
            if index < 0:
                continue
            seen.append(index)
            image, label = split.read(index)
            np.testing.assert_array_equal(batch["image"][row], pipeline.prepared(image, SPEC))
            assert batch["image_size"][row].tolist() == list(batch["image"].shape[1:3])
            assert batch["label_size"][row].tolist() == list(label.shape)
            height, width = label.shape
            np.testing.assert_array_equal(batch["label"][row, :height, :width], label)
            assert (batch["label"][row, height:] == IGNORE_INDEX).all()
            assert (batch["label"][row, :, width:] == IGNORE_INDEX).all()
    assert seen == [0, 3, 5, 7, 1, 2, 4, 6], "the most frequent shape first, in each the order of the split"
    assert dataset.element_spec["image"].shape.as_list() == [4, None, None, 3]


def test_what_all_batches_share_is_static():
    """Models are faster where the size is known when they are traced."""
    table = rows(dataset := pipeline.evaluation(ids_split(3, (40, 80)), SPEC, 2))
    assert table["image"].shape == (4, 32, 64, 3)
    assert table["label"].shape == (4, 40, 80)
    assert dataset.element_spec["image"].shape.as_list() == [2, 32, 64, 3]
    dataset = pipeline.evaluation(ids_split(3, (40, 80)), SPEC, 2, multiple=1)
    assert dataset.element_spec["image"].shape.as_list() == [None, 32, 64, 3]


def test_evaluation_is_square_for_a_model_of_one_size():
    split = make_split([(60, 120), (90, 30)])
    table = rows(pipeline.evaluation(split, DataSpec(size=60), 2, square=True))
    assert table["image"].shape == (2, 60, 60, 3)
    assert table["image_size"].tolist() == [[30, 60], [60, 20]]
    assert table["label"].shape == (2, 90, 120)
    assert table["label_size"].tolist() == [[60, 120], [90, 30]]
    np.testing.assert_array_equal(table["label"][1][:90, :30], split.read(1)[1])
    padding = table["image"][0][30:].reshape(-1, 3)
    np.testing.assert_array_equal(padding, np.broadcast_to(pipeline.mean_color(table["image"][0][:30]), padding.shape))


def test_pictures_shrink_with_antialiasing_and_labels_by_choice():
    y, x = np.mgrid[:128, :128]
    image = np.repeat(((x + y) % 2 * 255).astype(np.uint8)[..., None], 3, -1)
    small, label = pipeline.resized(image, ((x + y) % 2 * 200).astype(np.uint8), 64)
    assert np.abs(small.astype(int) - 127).max() <= 3, "grey, not black and white"
    assert set(np.unique(label)) <= {0, 200}


def test_the_confusion_matrix_is_the_same_on_any_replicas_and_in_any_batches():
    """Seven images, in batches that leave partial ones, on one and on two replicas: each counts once."""
    worker = Path(__file__).with_name("replica_worker.py")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, worker], capture_output=True, text=True, check=False, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    labels = report.pop("labels")
    assert set(report) == {"1 x 1", "1 x 3", "2 x 2", "2 x 6", "alone"}
    first = report["1 x 1"]
    assert np.sum(first["confusion"], axis=1).tolist() == labels, "every labelled pixel of the split, once"
    for scores in report.values():
        assert scores["images"] == 7
        assert scores["confusion"] == first["confusion"]
        assert scores["boundary"] == first["boundary"]
        assert scores["mean_image_iou"] == pytest.approx(first["mean_image_iou"], rel=1e-6)
        assert scores["loss"] == pytest.approx(first["loss"], rel=1e-6)


def test_parts_of_workers_are_the_global_batch():
    split = make_split([(64, 64), (50, 70), (80, 33)])
    spec = DataSpec(size=64, crop=48, augment="strong", pixel_weights="balanced")

    def batches(**part):
        return [[column.numpy() for column in batch] for batch in pipeline.train(crops, 6, 2, **part)]

    crops = pipeline.Crops(split, spec, 7)
    whole, parts = batches(), [batches(worker=worker, workers=3) for worker in range(3)]
    for step in range(2):
        for column in range(3):
            np.testing.assert_array_equal(whole[step][column], np.concatenate([part[step][column] for part in parts]))
    with pytest.raises(ValueError, match="does not split evenly"):
        pipeline.train(crops, 6, 1, worker=0, workers=4)


@pytest.mark.parametrize(("cores", "batch_bytes", "threads"), [(5, 1, 5), (1, 1, 2), (200, 1, 64), (8, 1 << 28, 4)])
def test_batches_are_made_on_the_cores_to_use_and_within_the_memory_ahead(monkeypatch, cores, batch_bytes, threads):
    """How many threads run is up to the machine; how many are asked for is ours."""
    asked, made = [], tf.data.Dataset.map

    def seen(self, *arguments, **options):
        asked.append(options["num_parallel_calls"])
        return made(self, *arguments, **options)

    monkeypatch.setattr(pipeline, "usable_cores", lambda: cores)
    monkeypatch.setattr(tf.data.Dataset, "map", seen)
    assert [int(step) for step in pipeline._mapped(range(3), lambda step: step, batch_bytes)] == [0, 1, 2]
    assert asked == [threads]


def test_crops_of_another_side_are_those_of_a_stream_of_that_side():
    split = make_split([(64, 64), (50, 70), (80, 33)])
    crops = pipeline.Crops(split, SPEC, 7)
    small, alone = crops.of_side(32), pipeline.Crops(split, SPEC.model_copy(update={"crop": 32}), 7)
    for position in range(4):
        for made, expected in zip(small[position], alone[position], strict=True):
            np.testing.assert_array_equal(made, expected)
    assert crops[0][0].shape == (48, 48, 3)
