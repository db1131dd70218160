"""Write the files of an export: each is run by its own runtime and compared with Keras before it is handed over."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.core import UsageError
from bench.export import formats
from bench.export.agreement import Agreement, compared
from bench.export.card import card
from bench.export.formats import Format, Views
from bench.export.label_maps import SameMaps, compared_maps
from bench.export.source import Source
from bench.prediction import checkpoint_of, make_parts_importable, segmenter, spec_of, trained_model
from bench.spec import TrialSpec
from models import row_of

CARD = "README.md"


@dataclass(frozen=True)
class Written:
    """A file of an export.

    Attributes:
        agreement: with Keras; None if its runtime is not installed here.
        maps: label maps of Examples; None if it takes no Examples.
    """

    format: Format
    path: Path
    size_mb: float
    agreement: Agreement | None
    maps: SameMaps | None = None

    @property
    def beside(self) -> str:
        """Return what the comparisons found, in words; empty if there was none."""
        return "; ".join(str(found) for found in (self.agreement, self.maps) if found)


def checked(source: Source, kinds: Sequence[Format], views: Views) -> tuple[TrialSpec, Path]:
    """Return the specification and the weights of a trial, with everything checked that needs no TensorFlow.

    Raises:
        UsageError: the trial has no weights, or a format cannot hold what is asked for.
    """
    spec, checkpoint = spec_of(source.trial), checkpoint_of(source.trial)
    make_parts_importable(source.trial, spec)
    if row_of(spec.model.backbone).fixed_size and tuple(views.scales) != (1.0,):
        raise UsageError(f"backbone {spec.model.backbone!r} works at a single image size only: leave out --scales")
    clahe = spec.data.policy.clahe
    for kind in kinds:
        formats.check(kind, views)
        if kind.has_examples and clahe and clahe.evaluation:
            raise UsageError(
                f"--format {kind.name}: the trial sees pictures after CLAHE, which TensorFlow does not have; take "
                "savedmodel, and prepare the pictures as its card says"
            )
    return spec, checkpoint


def write(source: Source, kinds: Sequence[Format], views: Views, out: Path) -> list[Written]:
    """Write the model of a trial in each format, and a model card beside them, into the folder `out`.

    They appear when all are written and checked; after an error there are none.

    Args:
        source: the trial.
        kinds: formats, each once.
        views: what the files compute.
        out: folder to make; it may exist if it is empty.

    Raises:
        UsageError: as for `checked`; a format has no form of the model; or a file does not compute what the model does.
    """
    spec, checkpoint = checked(source, kinds, views)
    dataset = source.trial.record.dataset
    assert dataset is not None  # a trial with weights has read its data
    model = trained_model(spec, checkpoint, len(dataset.class_names))
    existing = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.is_dir())
    with tempfile.TemporaryDirectory(prefix=".export-", dir=existing) as staging:
        home = Path(staging)
        written = [_written(kind, model, home, views, spec, source) for kind in kinds]
        (home / CARD).write_text(card(source, spec, written, views), encoding="utf-8")
        out.mkdir(parents=True, exist_ok=True)
        for path in [*home.iterdir()]:
            os.replace(path, out / path.name)
    return [replace(one, path=out / one.format.file) for one in written]


def _written(kind: Format, model: Any, home: Path, views: Views, spec: TrialSpec, source: Source) -> Written:
    path = home / kind.file
    square = spec.data.size if row_of(spec.model.backbone).fixed_size else None
    formats.write(kind, model, path, views, square, spec.data.size)
    maps = None
    try:
        runtime = formats.run_by_its_runtime(kind, path)
        found = None if runtime is None else compared(_images(source, spec, square), _keras(model, views), runtime)
        if kind.has_examples:
            predict = segmenter(model, spec, list(views.scales), views.flip, views.crf)
            maps = compared_maps(path, _pictures(source, _any_size(spec)), predict)
    except Exception as error:  # each runtime has kinds of its own
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise UsageError(f"--format {kind.name}: its runtime refuses the file: {reason[:300]}") from error
    if bad := next((one for one in (found, maps) if one is not None and not one.good), None):
        raise UsageError(f"--format {kind.name}: the file does not compute what the model does: {bad}")
    return Written(kind, path, _size(path) / 2**20, found, maps)


def _keras(model: Any, views: Views) -> Callable[[np.ndarray], formats.Found]:
    """Return the function that Keras computes, by the rules of an evaluation."""
    import tensorflow as tf

    from models import DenseCRF, labels, scores

    crf = DenseCRF(from_logits=False) if views.crf else None

    def run(images: np.ndarray) -> formats.Found:
        found = scores(model, images, scales=views.scales, flip=views.flip, crf=crf)
        probabilities = tf.nn.softmax(found) if found.shape[-1] != 1 else tf.sigmoid(found)
        return labels(found).numpy(), probabilities.numpy()

    return run


def _images(source: Source, spec: TrialSpec, square: int | None) -> Iterator[np.ndarray]:
    """Return the images of the comparison, uint8 (1, H, W, 3), of three sizes, one of them odd; one if one is fixed."""
    side = spec.data.size
    odd = [max(33, side * part // 4) | 1 for part in (2, 3)]
    sizes = [(side, side)] if square else [(side, side), (max(32, side * 3 // 4), side), (odd[0], odd[1])]
    return (np.asarray(picture)[None] for picture in _pictures(source, sizes))


def _any_size(spec: TrialSpec) -> list[tuple[int, int]]:
    """Return heights and widths of pictures that a trial makes smaller, and of one that it makes larger."""
    side = spec.data.size
    return [(side * 5 // 3 | 1, side * 5 // 4), (max(2, side // 2 | 1), max(2, side * 2 // 3))]


def _pictures(source: Source, sizes: Sequence[tuple[int, int]]) -> Iterator[Image.Image]:
    """Yield a picture of each height and width: the trial's own pictures, else noise."""
    kept = [one for one in source.trial.record.artefacts if one.kind == "image"]
    paths = [path for one in kept if (path := source.trial.folder / one.path).is_file()]
    rng = np.random.default_rng(0)
    for order, (height, width) in enumerate(sizes):
        picture = (
            Image.open(paths[order % len(paths)]).convert("RGB")
            if paths
            else Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
        )
        yield picture.resize((width, height), Image.Resampling.BILINEAR)


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
