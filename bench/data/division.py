"""Divide a folder of images and masks into splits, once, by files that every later run reads."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.core import UsageError
from bench.data.sources import exports
from bench.data.sources.examination import Faults
from bench.data.sources.layout import has_entry, line_of, root_of
from results import counted

SPLITS = ("train", "val", "test")


def divide(keys: Iterable[str], shares: Mapping[str, float], seed: int, group_by: str = "") -> dict[str, list[str]]:
    """Divide keys into splits by groups that stay together, such as the frames of one video.

    Groups are taken in the order of the hash of seed and group. Each goes to the split that lacks the most keys,
    relative to its share. So equal keys, shares and seed give equal splits on every machine.

    Args:
        keys: keys of the images.
        shares: {split: share of the keys}, above zero, with a sum of 1.
        seed: seed of the choice.
        group_by: regular expression. The group of a key is what it matches, from the start of the key; empty: each key
            is a group.

    Raises:
        UsageError: the expression is none, it matches the start of some key not at all, or there are fewer groups than
            splits. One line.
    """
    groups: dict[str, list[str]] = {}
    for key in sorted(keys):
        groups.setdefault(_group(key, group_by), []).append(key)
    if len(groups) < len(shares):
        number = counted(len(groups), "group" if group_by else "pair")
        what = f"--group-by {group_by} gives {number}" if group_by else number
        raise UsageError(f"{what}; {len(shares)} splits need at least {len(shares)}")
    total = sum(map(len, groups.values()))
    found: dict[str, list[str]] = {split: [] for split in shares}
    order = sorted(groups, key=lambda group: hashlib.blake2b(f"{seed}\0{group}".encode()).digest())
    for position, group in enumerate(order):
        empty = [split for split in shares if not found[split]]
        open_to = empty if len(order) - position <= len(empty) else [*shares]  # no split stays without a group
        found[max(open_to, key=lambda split: 1 - len(found[split]) / (shares[split] * total))] += groups[group]
    return {split: sorted(chosen) for split, chosen in found.items()}


def _group(key: str, pattern: str) -> str:
    if not pattern:
        return key
    try:
        match = re.match(pattern, key)
    except re.error as error:
        raise UsageError(f"--group-by {pattern}: not a regular expression: {error}") from None
    if not match or not match.group():
        raise UsageError(f"--group-by {pattern}: matches nothing at the start of {key!r}")
    return match.group()


def pairs_of(root: str, masks: str) -> tuple[Path, list[str]]:
    """Return the folder, and the keys of its pairs.

    Raises:
        UsageError: it has no images/ and masks, it has split files already, or an image has no mask. One line.
    """
    folder = root_of("folder", root)
    if there := [name for name in SPLITS if has_entry(folder / f"{name}.txt")]:
        raise UsageError(f"{folder / there[0]}.txt is there already; remove the split files to divide the set again")
    if not ((folder / "images").is_dir() and (folder / masks).is_dir()):
        raise UsageError(f"{folder}: no images/ beside {masks}/; `python -m bench.data convert` divides other layouts")
    export = exports.read(folder, exports.Request(Faults(True), masks))
    return folder, [key for pairs in export.splits.values() for key in pairs]


def write(folder: Path, splits: Mapping[str, Sequence[str]]) -> None:
    """Write one file per split, with one key per line. If one cannot be written, none stays.

    Args:
        folder: has no split files.
        splits: {split: its keys}.

    Raises:
        UsageError: the folder cannot be written, or a key cannot be a line.
    """
    texts = {name: "".join(f"{line_of(key)}\n" for key in keys) for name, keys in splits.items()}
    parts = {name: folder / f"{name}.txt.{os.getpid()}.part" for name in splits}
    placed: list[Path] = []
    try:
        for name, text in texts.items():
            parts[name].write_text(text, encoding="utf-8")
        for name, part in parts.items():
            os.replace(part, folder / f"{name}.txt")
            placed.append(folder / f"{name}.txt")
    except OSError as error:
        for path in placed:
            path.unlink()
        raise UsageError(f"{folder}: cannot be written ({error.strerror or error})") from None
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
