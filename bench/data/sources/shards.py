"""The shards of a data set of TFRecords: those of `prepare`, or those of a TFX Examples artifact as it lies.

An artifact has a folder `Split-NAME` per split; its files may be compressed. Records are read by position, so a
compressed shard is unpacked once into the user's cache, which all processes of a machine share.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import zlib
from pathlib import Path
from typing import NamedTuple

import results
from bench.core import CACHE_VARIABLE, UsageError, cache_folder
from bench.data.decoded_cache import alone, forget
from bench.data.sources.examination import Faults

_IN_AN_ARTIFACT = {"train": ("train",), "val": ("val", "eval"), "test": ("test",)}
"""The names that a split may have in an artifact, by its name here. Those of TFX's own division are train and eval."""
_FOLDER = "Split-"
_PACKED = ".gz"


class Shards(NamedTuple):
    """The shards of train, val and test, in order, and whether the order of their examples means something."""

    splits: dict[str, list[Path]]
    ordered: bool


def shards_of(root: Path, faults: Faults) -> Shards:
    """Return the shards of a folder; the folders of an artifact count if there are no others.

    Beam writes the examples of an artifact in any order, another one each time.

    Raises:
        UsageError: shards of several data sets, two validation splits, or the first fault, if faults stop.
    """
    found = {split: numbered(root, rf"{split}-(\d+)-of-(\d+)\.tfrecord", faults) for split in _IN_AN_ARTIFACT}
    if any(found.values()) or not _names(root):
        return Shards(found, ordered=True)
    return Shards({split: _of_artifact(root, split, faults) for split in _IN_AN_ARTIFACT}, ordered=False)


def expected(root: Path, split: str) -> str:
    """Return where the examples of a split that has none were looked for, for a message."""
    if names := _names(root):
        places = " or ".join(f"{_FOLDER}{name}/" for name in _IN_AN_ARTIFACT[split])
        return f"{places} (its splits are {', '.join(names)})"
    text = f"{split}-00000-of-00001.tfrecord, ..."
    below = sorted(path for path in root.iterdir() if path.is_dir() and _names(path))
    return f"{text}; {below[-1]} is an Examples artifact" if below else text


def numbered(folder: Path, pattern: str, faults: Faults) -> list[Path]:
    """Return the files of a folder whose names match, in the order of their numbers. A missing number is a fault.

    Args:
        pattern: a regular expression of the whole name, with two groups: the number of the shard, and of all shards.

    Raises:
        UsageError: shards of several data sets, or the first fault, if faults stop.
    """
    found: dict[int, Path] = {}
    of = set()
    for path in sorted(folder.iterdir()):
        if match := re.fullmatch(pattern, path.name):
            if (number := int(match[1])) in found:
                raise UsageError(f"{folder}: {found[number].name} and {path.name} are the same shard; keep one")
            found[number] = path
            of.add(int(match[2]))
    if len(of) > 1:
        raise UsageError(f"{folder}: shards of several sets ({', '.join(f'-of-{n:05}' for n in sorted(of))}); keep one")
    for number in range(of.pop() if of else 0):
        if number not in found:
            faults.add(f"{folder}: shard {number} of those that match {pattern} is missing; make the set again")
    return [found[number] for number in sorted(found)]


def unpacked(path: Path, faults: Faults) -> Path | None:
    """Return the file in which the records of a shard can be read by position, or None after a fault.

    It is the shard itself, or a copy in the user's cache, named by a hash of the compressed bytes.

    Raises:
        UsageError: the copy cannot be written, or the first fault, if faults stop.
    """
    if path.suffix != _PACKED:
        return path
    try:
        copy = cache_folder() / f"{results.sha256(path)[:24]}.tfrecord"
        copy.parent.mkdir(parents=True, exist_ok=True)
        with alone(copy.with_suffix(".lock")):
            if not copy.exists():
                forget(copy.parent)
                with gzip.open(path) as packed, results.writing(copy) as file:
                    shutil.copyfileobj(packed, file, 1 << 20)
        os.utime(copy)  # marks it as read now, see `forget`
        return copy
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        faults.add(f"{path}: damaged ({error}); make the set again")
        return None
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be unpacked into {error.filename or CACHE_VARIABLE} ({error.strerror or error}); name "
            f"another folder in {CACHE_VARIABLE}"
        ) from None


def _names(root: Path) -> list[str]:
    return sorted(path.name.removeprefix(_FOLDER) for path in root.glob(f"{_FOLDER}*") if path.is_dir())


def _of_artifact(root: Path, split: str, faults: Faults) -> list[Path]:
    """Return the shards of a split of an artifact. The prefix of their names is that of whatever wrote them."""
    folders = [folder for name in _IN_AN_ARTIFACT[split] if (folder := root / f"{_FOLDER}{name}").is_dir()]
    if len(folders) > 1:
        raise UsageError(f"{root}: {' and '.join(one.name for one in folders)} are both the split {split}; keep one")
    return numbered(folders[0], rf"[^.].*-(\d+)-of-(\d+)(?:{re.escape(_PACKED)})?", faults) if folders else []
