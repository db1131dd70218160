"""Data sets in shards of tf.train.Example, in a form that a run, TFX and TensorFlow Data Validation read.

Files: SPLIT-00000-of-00004.tfrecord (not compressed), `schema.pbtxt` (tensorflow-metadata), `classes.yaml`. An
Examples artifact of TFX is read as it lies, too (shards.py). The features of an example are those of
`record_schema.py`. Examples are read by position, so no shuffle buffer is needed. TensorFlow is imported when
records are read or written.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

import results
from bench.core import UsageError
from bench.data.dataset import Dataset, Split
from bench.data.image_io import plain_format
from bench.data.sources import examination, slices
from bench.data.sources.agreement import code_of
from bench.data.sources.catalog import Entry
from bench.data.sources.classes import declared, written
from bench.data.sources.examination import Classes, Faults, Pair
from bench.data.sources.folder import checked, no_greys
from bench.data.sources.layout import inside, root_of
from bench.data.sources.public import Found, how_to_get, pets_code, pets_splits
from bench.data.sources.record_schema import KINDS, label_statistics, schema_text
from bench.data.sources.shards import expected, numbered, shards_of, unpacked

if TYPE_CHECKING:
    from bench.spec import DataSpec

MANIFEST = "prepared.json"
LAYOUT = 2
"""Of the examples. 1: without the statistics of labels; images as they were stored in any format."""


class Fields(NamedTuple):
    """Names of the features of an example that are read."""

    image: str
    mask: str
    key: str


OURS = Fields("image/encoded", "image/segmentation/class/encoded", "image/filename")
_PETS = Fields("image", "segmentation_mask", "file_name")
_BREED = "label"


# --- reading ---------------------------------------------------------------------------------------------------------


def load(spec: DataSpec) -> Dataset:
    """Open a data set of TFRecords from its folder, `spec.root`.

    Raises:
        UsageError: train or val has no examples, or the first fault. With `spec.on_error` skip: only a fault of the
            data set as a whole.
    """
    root = root_of("tfrecord", spec.root)
    faults = Faults(spec.on_error == "stop")
    shards = shards_of(root, faults)
    splits = {split: _pairs(root, files, OURS, faults) for split, files in shards.splits.items()}
    if not shards.ordered:  # or the same trial would see other batches
        splits = {split: dict(sorted(pairs.items())) for split, pairs in splits.items()}
    for split in ("train", "val"):
        if not splits[split]:
            raise UsageError(f"{root}: no examples in {expected(root, split)}; see docs/data.md, TFRecords")
    splits, known = {name: part for name, part in splits.items() if part}, declared(root)
    masks = (pair.mask for part in splits.values() for pair in part.values())
    # Only files that users draw have greys of 0 and 255, or in the colors of classes: `prepare` writes ids.
    how = "ids" if spec.mask_values == "binary" else spec.mask_values
    code, notes = code_of(root, masks, known.coded if known else None, how, greys_are_ids=True)
    found = examination.examine(splits, code, faults)
    if known is None and how == "auto":
        no_greys(root, found)
    values = {key: pair.image.features for part in splits.values() for key, pair in part.items()}  # type: ignore[attr-defined]
    dataset = checked(root, spec.model_copy(update={"mask_values": "ids"}), found, known, notes)
    return slices.with_features(dataset, values, str(root))


def pets(root: Path, entry: Entry, faults: Faults) -> Found:
    """Return the pairs of Oxford-IIIT Pet as stored by tensorflow-datasets, and how its masks are read.

    Raises:
        UsageError: it is not found, or the first fault, if faults stop.
    """
    versions = sorted(path.parent for path in root.rglob("oxford_iiit_pet-train.tfrecord-*"))
    if not versions:
        raise UsageError(f"{root}: no oxford_iiit_pet-train.tfrecord-*; {how_to_get(entry)}")
    parts = {}
    for split in ("train", "test"):
        shards = numbered(versions[-1], rf"oxford_iiit_pet-{split}\.tfrecord-(\d+)-of-(\d+)", faults)
        parts[split] = _pairs(root, shards, _PETS, faults)
    breeds = {
        key: int(pair.image.example()[_BREED].int64_list.value[0]) + 1  # type: ignore[attr-defined]
        for part in parts.values()
        for key, pair in part.items()
    }
    return Found(pets_splits(parts["train"], parts["test"]), pets_code(entry, breeds))


class Field:
    """A bytes feature of one example, read on demand.

    Attributes:
        file: which holds the example; of a compressed shard, its unpacked copy.
        place: (offset, length) of the example in it.
        feature: name of the feature.
        name: key of the example.
        features: what it says of its image besides the pixels, by name, see slices.py.
    """

    def __init__(
        self,
        shard: Path,
        number: int,
        file: Path,
        place: tuple[int, int],
        feature: str,
        key: str,
        features: Mapping[str, str],
    ) -> None:
        self._shard, self._number = shard, number
        self.file, self.place, self.feature, self.name, self.features = file, place, feature, key, features

    def __str__(self) -> str:
        return f"{self._shard}, record {self._number} ({self.name}), {self.feature}"

    def example(self) -> Mapping:  # type: ignore[type-arg]
        """Read its example and return all features by name."""
        import tensorflow as tf

        with open(self.file, "rb") as file:
            file.seek(self.place[0])
            return tf.train.Example.FromString(file.read(self.place[1])).features.feature

    def read_bytes(self) -> bytes:
        """Read its example and return the bytes of the feature."""
        return self.example()[self.feature].bytes_list.value[0]


def _pairs(root: Path, shards: list[Path], fields: Fields, faults: Faults) -> dict[str, Pair]:
    """Return the pairs of all examples in some shards, by key. Faulty examples are faults and are skipped."""
    import tensorflow as tf

    found: dict[str, Pair] = {}
    for path in shards:
        if not inside(root, path, faults) or (file := unpacked(path, faults)) is None:
            continue
        for number, (place, record) in enumerate(_records(file, path, faults)):
            try:
                features = tf.train.Example.FromString(record).features.feature
            except Exception:  # protobuf's DecodeError has moved between its versions
                faults.add(f"{path}, record {number}: not a tf.train.Example; make the set again")
                continue
            lacking = [name for name in fields if not features[name].bytes_list.value]
            if lacking:
                faults.add(f"{path}, record {number}: no feature {lacking[0]!r}; see docs/data.md, TFRecords")
                continue
            key = features[fields.key].bytes_list.value[0].decode("utf-8", "replace").removesuffix(".jpg")
            if key in found:
                faults.add(f"{path}, record {number}: key {key!r} occurs twice in this split; keep one")
                continue
            try:
                more = _features(features)
            except ValueError as error:
                faults.add(f"{path}, record {number}: {error}")
                continue
            names = (fields.image, fields.mask)
            found[key] = Pair(*(Field(path, number, file, place, name, key, more) for name in names))
    return found


def _features(features: Mapping[str, Any]) -> dict[str, str]:
    """Return what an example says of its image besides the pixels, by name.

    Raises:
        ValueError: a feature does not hold one value.
    """
    found = {}
    for name in sorted(name for name in features if name.startswith(slices.FEATURE)):
        try:
            found[name.removeprefix(slices.FEATURE)] = slices.value_of(features[name])
        except ValueError:
            raise ValueError(f"feature {name!r} has to hold one text or whole number; make the set again") from None
    return found


def _records(file: Path, shard: Path, faults: Faults) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield ((offset, length), bytes) of each record. Checksums are verified; reading stops at a damaged record.

    Args:
        file: with the records.
        shard: the file that messages name.
    """
    import tensorflow as tf

    # Not tf.data: it would initialise the devices, so a command that only reads data would take GPU memory.
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")  # the iterator is deprecated in favour of tf.data
    try:
        offset, records = 0, tf.compat.v1.io.tf_record_iterator(str(file))
        for record in records:
            yield (offset + 12, len(record)), record  # 12 bytes: length and its checksum; a checksum of 4 follows
            offset += 12 + len(record) + 4
    except (tf.errors.DataLossError, tf.errors.OutOfRangeError) as error:
        faults.add(f"{shard}: damaged after {offset} bytes ({error.message}); make the set again")
    finally:
        logger.setLevel(level)


# --- writing ---------------------------------------------------------------------------------------------------------


def shard_names(split: str, count: int, per_shard: int) -> list[str]:
    """Return the file names of the shards of a split with `count` examples, at least one."""
    shards = max(1, -(-count // per_shard))
    return [f"{split}-{number:05}-of-{shards:05}.tfrecord" for number in range(shards)]


def write(dataset: Dataset, out: Path, per_shard: int) -> Iterator[int]:
    """Write a data set in shards, yielding the number of examples that each step added.

    Existing shards are kept. A shard is written under a temporary name and renamed, so an interrupted call can be
    continued.

    Args:
        per_shard: examples per shard.

    Raises:
        UsageError: the folder contains something else, or cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        _claim(dataset, out, per_shard)
        (out / "classes.yaml").write_text(written(Classes(dataset.class_names, dataset.colors)), encoding="utf-8")
        (out / "schema.pbtxt").write_text(schema_text(dataset), encoding="utf-8")
        for name, split in dataset.splits.items():
            for number, shard in enumerate(shard_names(name, len(split), per_shard)):
                positions = range(number * per_shard, min((number + 1) * per_shard, len(split)))
                if (out / shard).exists():
                    yield len(positions)
                else:
                    yield from _write_shard(out / shard, split, positions)
        for left in out.glob("*.part"):  # left by a killed call
            left.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror or error})") from None


def _claim(dataset: Dataset, out: Path, per_shard: int) -> None:
    """Write the plan of the shards into the folder, or check that the plan there is the same.

    Raises:
        UsageError: the folder contains something else, another plan, or a damaged one.
    """
    plan = {
        "layout": LAYOUT,
        "version": dataset.version,
        "per_shard": per_shard,
        "splits": {name: _content(split) for name, split in dataset.splits.items()},
    }
    path = out / MANIFEST
    if not path.exists():
        if any(file.suffix != ".tmp" for file in out.iterdir()):  # .tmp: a plan that was not finished
            raise UsageError(f"{out} is not empty; name a new or an empty folder")
        results.write_bytes(path, json.dumps(plan).encode())
        return
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        raise UsageError(f"{path}: damaged, so the content of the shards is unknown; name a new folder") from None
    if isinstance(found, dict) and found.get("layout", 1) != LAYOUT:
        raise UsageError(
            f"{out} holds shards of another version of this project; they are still read, but not added to: name a new "
            "folder"
        )
    if found != plan:
        raise UsageError(
            f"{out} holds another set, or the same with other masks, order, slices or shards; name a new or an empty "
            "folder"
        )


def _content(split: Split) -> str:
    """Return the number of keys, and a digest of the version of a split, of its keys in order, and of its features."""
    features = (text for name, column in split.features.items() for text in (name, *column))
    text = "\n".join((split.version, *split.keys, *features))
    return f"{len(split)} {hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"


def _write_shard(path: Path, split: Split, positions: range) -> Iterator[int]:
    import tensorflow as tf

    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with tf.io.TFRecordWriter(str(part)) as writer:
            for position in positions:
                writer.write(_example(split, position))
                yield 1
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _example(split: Split, position: int) -> bytes:
    import tensorflow as tf

    key = split.keys[position]
    image, label = split.read(position)
    picture, kind = _picture(split, key, image)
    values = {
        "image/encoded": [picture],
        "image/filename": [key.encode()],
        "image/format": [kind.encode()],
        "image/height": [image.shape[0]],
        "image/width": [image.shape[1]],
        "image/channels": [3],
        "image/segmentation/class/encoded": [_png(label)],
        "image/segmentation/class/format": [b"png"],
        **label_statistics(label),
        **{f"{slices.FEATURE}{name}": [column[position].encode()] for name, column in split.features.items()},
    }
    features = {name: _feature(value) for name, value in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _feature(values: Sequence[int] | Sequence[float] | Sequence[bytes]) -> Any:
    """Return values of one type as a feature. None are whole numbers: only a list of classes may be empty."""
    import tensorflow as tf

    if all(isinstance(value, int) for value in values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _picture(split: Split, key: str, image: np.ndarray) -> tuple[bytes, str]:
    """Return an encoded image and its format: the stored bytes if every decoder reads them alike, else PNG.

    Other decoders ignore EXIF and do not convert grey to three channels, and TensorFlow reads no TIFF.
    """
    if split.stored and (kind := plain_format(stored := split.stored(key))) in KINDS:
        return stored, kind
    return _png(image), "png"


def _png(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(array).save(data, "png")
    return data.getvalue()
