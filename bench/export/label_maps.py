"""Whether the label maps that a SavedModel gives of serialized Examples are those of `bench.predict`."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from results import counted

TOLERATED = 1e-3
"""Largest share of pixels that may differ: ties, which fall otherwise in another trace of the same model."""


@dataclass(frozen=True)
class SameMaps:
    """Label maps of Examples beside those of `bench.predict`.

    Attributes:
        examples: number of Examples.
        pixels: number of pixels of their pictures.
        differing: number of those whose class differs.
    """

    examples: int
    pixels: int
    differing: int

    @property
    def good(self) -> bool:
        """Return whether the signature computes what `bench.predict` does, up to ties."""
        return self.differing <= TOLERATED * self.pixels

    def __str__(self) -> str:
        how = f"{self.differing} of {self.pixels} labels differ from" if self.differing else "all labels equal"
        return f"{counted(self.examples, 'Example')}: {how} those of bench.predict"


def compared_maps(path: Path, pictures: Iterable[Image.Image], predict: Callable[[np.ndarray], np.ndarray]) -> SameMaps:
    """Hand each picture to a SavedModel, in an Example as JPEG and in one as PNG, and compare with `bench.predict`.

    Args:
        path: folder of the SavedModel, which has the signature "serving_examples".
        pictures: RGB, of any sizes.
        predict: from an image uint8 (H, W, 3) to class ids (H, W).
    """
    import tensorflow as tf

    serve = tf.saved_model.load(str(path)).signatures["serving_examples"]
    encoded = [_encoded(picture, kind) for picture in pictures for kind in ("jpeg", "png")]
    found = serve(examples=tf.constant([_example(data) for data in encoded]))["labels"].numpy()
    pixels = differing = 0
    for data, answer in zip(encoded, found[:, 0], strict=True):
        labels = predict(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
        given = np.asarray(Image.open(io.BytesIO(answer)))
        assert given.shape == labels.shape, f"labels {given.shape} of a picture {labels.shape}"
        pixels, differing = pixels + labels.size, differing + int((given != labels).sum())
    return SameMaps(len(encoded), pixels, differing)


def _encoded(picture: Image.Image, kind: str) -> bytes:
    data = io.BytesIO()
    picture.save(data, kind)
    return data.getvalue()


def _example(data: bytes) -> bytes:
    import tensorflow as tf

    feature = {"image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
