"""An Examples artifact of TFX is read as it lies: folders Split-NAME, compressed files, examples in any order."""

import gzip
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from bench.core import UsageError, cache_folder
from bench.data import load
from bench.data.sources import tfrecords
from bench.spec import DataSpec

NAME = "data_tfrecord-{:05}-of-{:05}.gz"


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Seven pairs to train in two shards, two to validate in one, as `bench.data prepare` writes them."""
    root, out = (tmp_path_factory.mktemp(name) for name in ("set", "shards"))
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (root / part).mkdir()
    for key in range(9):
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), np.uint8)).save(root / f"images/k{key}.png")
        Image.fromarray(rng.choice(np.array([0, 1, 2, 255], np.uint8), (20, 24))).save(root / f"masks/k{key}.png")
    (root / "train.txt").write_text("\n".join(f"k{key}" for key in (3, 1, 0, 2, 4, 5, 6)))
    (root / "val.txt").write_text("k7\nk8\n")
    (root / "classes.yaml").write_text("0: {name: road, color: [1, 2, 3]}\n1: sky\n2: tree\n")
    for _ in tfrecords.write(load(DataSpec(dataset="folder", root=str(root))), out, 4):
        pass
    return out


@pytest.fixture
def artifact(shards, tmp_path_factory):
    """The same examples as ExampleGen leaves them, the shards of the training split in the other order."""
    root = tmp_path_factory.mktemp("examples") / "1"
    for split, folder in (("train", "Split-train"), ("val", "Split-eval")):
        (root / folder).mkdir(parents=True)
        files = sorted(shards.glob(f"{split}-*.tfrecord"), reverse=True)
        for number, file in enumerate(files):
            (root / folder / NAME.format(number, len(files))).write_bytes(gzip.compress(file.read_bytes()))
    shutil.copy(shards / "classes.yaml", root)
    return root


def opened(root, **fields):
    return load(DataSpec(dataset="tfrecord", root=str(root), **fields))


def fault(root, **fields):
    with pytest.raises(UsageError) as caught:
        opened(root, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_artifact_holds_what_its_shards_hold_in_the_order_of_the_keys(shards, artifact):
    before, after = opened(shards), opened(artifact)
    assert after.version == before.version
    assert (after.class_names, after.colors) == (before.class_names, before.colors)
    assert after.splits["train"].keys == tuple(f"k{key}" for key in range(7))
    assert after.splits["val"].keys == ("k7", "k8")
    for name, split in after.splits.items():
        for key in split.keys:
            for one, other in zip(before.splits[name].reader(key), split.reader(key), strict=True):
                np.testing.assert_array_equal(one, other)
            assert split.stored(key) == before.splits[name].stored(key)


def test_a_compressed_shard_is_unpacked_once(artifact, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("SEGMENTATION_BENCH_CACHE", str(tmp_path_factory.mktemp("unpacked")))
    opened(artifact)
    copies = {path: path.stat().st_ino for path in cache_folder().glob("*.tfrecord")}
    assert len(copies) == 3
    opened(artifact)
    assert {path: path.stat().st_ino for path in cache_folder().glob("*.tfrecord")} == copies
    monkeypatch.setenv("SEGMENTATION_BENCH_CACHE", "/dev/null/no")
    assert "cannot be unpacked into" in fault(artifact)
    assert "SEGMENTATION_BENCH_CACHE" in fault(artifact)


def test_an_artifact_need_not_be_compressed_and_may_call_its_split_val(artifact, shards):
    (artifact / "Split-eval").rename(artifact / "Split-val")
    for path in artifact.glob("Split-*/*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert opened(artifact).version == opened(shards).version


def test_a_damaged_shard_is_named_and_may_be_skipped(artifact):
    path = artifact / "Split-train" / NAME.format(0, 2)  # keys 4 to 6
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert fault(artifact).startswith(f"{path}: damaged (")
    assert opened(artifact, on_error="skip").splits["train"].keys == ("k0", "k1", "k2", "k3")
    path.write_bytes(b"no gzip" + whole)
    assert fault(artifact).startswith(f"{path}: damaged (")
    path.write_bytes(gzip.compress(gzip.decompress(whole)[:-7]))
    assert fault(artifact).startswith(f"{path}: damaged after "), "the shard is named, and not its copy in the cache"
    path.unlink()
    assert "shard 0 of those that match" in fault(artifact)


def test_what_is_no_artifact_of_ours_is_said(artifact):
    shutil.copytree(artifact / "Split-eval", artifact / "Split-val")
    assert "Split-val and Split-eval are both the split val" in fault(artifact)
    shutil.rmtree(artifact / "Split-val")
    (artifact / "Split-eval").rename(artifact / "Split-holdout")
    assert "no examples in Split-val/ or Split-eval/ (its splits are holdout, train)" in fault(artifact)
    assert f"{artifact} is an Examples artifact" in fault(artifact.parent)
    with tf.io.TFRecordWriter(str(artifact / "Split-train" / "other-00000-of-00002")) as writer:
        writer.write(b"")
    assert "are the same shard; keep one" in fault(artifact)
