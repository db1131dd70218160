"""Write a data set in the folder layout: images as stored, masks as PNG of class ids, class list, split files."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from bench.core import UsageError
from bench.data.dataset import Dataset, Split
from bench.data.image_io import JPEG
from bench.data.sources import palette, slices
from bench.data.sources.classes import written
from bench.data.sources.examination import Classes
from bench.data.sources.layout import line_of


def convert(dataset: Dataset, out: Path) -> Iterator[None]:
    """Write a data set into a new folder, yielding after each pair.

    The folder is written under a temporary name and renamed when it is complete. An empty folder that is there already
    is filled then.

    Raises:
        UsageError: the folder exists and is not empty, or cannot be written; or a key cannot be a line of a list.
    """
    out = out.resolve()  # `.` has no name
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    lines = {name: "".join(f"{line_of(key)}\n" for key in split.keys) for name, split in dataset.splits.items()}
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"{out} is not empty; name a new or an empty folder")
        (part / "images").mkdir(parents=True)
        for name, split in dataset.splits.items():
            for position, key in enumerate(split.keys):
                _write(part, split, position, key)
                yield
            (part / f"{name}.txt").write_text(lines[name], encoding="utf-8")
        classes = Classes(dataset.class_names, palette.told_apart(dataset.colors))
        (part / "classes.yaml").write_text(written(classes), encoding="utf-8")
        if text := slices.text(dataset):
            (part / slices.FILE).write_text(text, encoding="utf-8")
        if out.is_dir():  # the folder itself stays: it may be where the user is
            for made in sorted(part.iterdir()):
                os.replace(made, out / made.name)
        else:
            os.replace(part, out)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror or error})") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(out: Path, split: Split, position: int, key: str) -> None:
    image, label = split.read(position)
    if split.stored:
        data = split.stored(key)
        with Image.open(io.BytesIO(data)) as found:
            kind = found.format or "png"
        suffix = "jpg" if kind in JPEG else kind.lower()
    else:
        data, suffix = _png(Image.fromarray(image)), "png"
    for path, content in ((f"images/{key}.{suffix}", data), (f"masks/{key}.png", _png(Image.fromarray(label)))):
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(content)


def _png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "png")
    return data.getvalue()
