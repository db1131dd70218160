"""`python -m bench.predict RUN --trial ID --images DIR --out DIR`: pictures through a trial's checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track

import results
from bench.cli import command, start
from bench.data.folder import IMAGE_SUFFIXES, check_image, read_image
from bench.environment import check_rooms, prepare_process
from bench.errors import EXIT_OK, UsageError, nearest
from bench.runfolder import writable
from bench.spec import TrialSpec, parse

console = Console(stderr=True, highlight=False)


@command
def main(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a trial's.")],
    images: Annotated[Path, typer.Option(help="A picture, or a folder of pictures.")],
    out: Annotated[Path, typer.Option(help="Folder for NAME.png and NAME-overlay.png; new or empty.")],
    trial: Annotated[str | None, typer.Option(help="The trial's id; needed where there are several.")] = None,
    scales: Annotated[str, typer.Option(help="Scales to average, e.g. 0.5,1,1.5.")] = "1",
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored picture.")] = False,
    crf: Annotated[bool, typer.Option("--crf", help="Refine with a dense CRF at the picture's own size.")] = False,
) -> int:
    """Segment pictures with a trial's checkpoint: label ids (NAME.png) and an overlay (NAME-overlay.png) of each.

    Exit status: 0 done, 2 usage.
    """
    check_rooms()
    factors = _scales(scales)
    stored = _trial(run, trial)
    spec, checkpoint = _spec(stored), _checkpoint(stored)
    pictures = _pictures(images)
    _empty(out)
    prepare_process()
    predict = _predictor(spec, checkpoint, len(stored.record.dataset.class_names), factors, flip, crf)
    colors = np.array(stored.record.dataset.colors, np.uint8)
    out.mkdir(parents=True, exist_ok=True)
    for name, path in track(pictures.items(), "Predicting", console=console, disable=not console.is_terminal):
        picture = read_image(path)
        labels = predict(picture)
        Image.fromarray(labels).save(out / f"{name}.png")
        Image.fromarray(overlay(picture, labels, colors)).save(out / f"{name}-overlay.png")
    print(f"{len(pictures)} picture{'s' * (len(pictures) > 1)}: {out}")
    return EXIT_OK


def overlay(picture: np.ndarray, labels: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Half picture, half class colour: uint8 (H, W, 3) from a picture of that shape, ids (H, W) and colours (C, 3)."""
    return ((picture.astype(np.uint16) + colors[labels] + 1) // 2).astype(np.uint8)


# --- what was asked, checked before TensorFlow comes in --------------------------------------------------------------


def _scales(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--scales {text!r}: numbers with commas between are wanted, as in 0.5,1,1.5") from None
    if not all(0 < scale <= 8 for scale in found):
        raise UsageError(f"--scales {text!r}: each has to be above 0 and at most 8")
    return found


def _trial(run: Path, name: str | None) -> results.Stored:
    try:
        found = {stored.record.trial: stored for stored in results.iterate(run)}
    except ValueError as error:
        raise UsageError(str(error)) from None
    if name is None and len(found) > 1:
        raise UsageError(f"{run} has {len(found)} trials; choose one with --trial: {', '.join(found)}")
    if name is not None and name not in found:
        raise UsageError(f"{run} has no trial {name!r}{nearest(name, found)}")
    return found[name or next(iter(found))]


def _spec(stored: results.Stored) -> TrialSpec:
    if stored.record.dataset is None:
        raise UsageError(f"{stored.folder}: trial {stored.record.trial} ({stored.record.status}) never saw its data")
    return parse(stored.record.spec, f"{stored.folder}: spec")


def _checkpoint(stored: results.Stored) -> Path:
    record = stored.record
    kept = next((artefact for artefact in record.artefacts if artefact.kind == "checkpoint"), None)
    if kept is None:
        raise UsageError(
            f"{stored.folder}: trial {record.trial} ({record.status}) kept no checkpoint; "
            "train with eval.keep_checkpoint best or last"
        )
    try:
        return results.artefact_path(stored, kept)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _pictures(source: Path) -> Mapping[str, Path]:
    """Output name -> file, every file decoded once."""
    if source.is_dir():
        files = sorted(path for path in source.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    else:
        files = [source] if source.exists() else []
    if not files:
        raise UsageError(
            f"--images {source}: no picture there ({', '.join(IMAGE_SUFFIXES)})"
            if source.exists()
            else f"--images {source}: no such file or folder"
        )
    found: dict[str, Path] = {}
    for path in files:
        for name in (path.stem, f"{path.stem}-overlay"):
            if name in found:
                raise UsageError(f"{path} and {found[name]} would both write {name}.png; rename one")
        check_image(path)
        found |= dict.fromkeys((path.stem, f"{path.stem}-overlay"), path)
    return {path.stem: path for path in files}


def _empty(out: Path) -> None:
    writable(out)
    if any(out.iterdir()) if out.is_dir() else out.exists():
        raise UsageError(f"--out {out} holds something already; name a new or an empty folder")


# --- prediction ------------------------------------------------------------------------------------------------------


def _predictor(
    spec: TrialSpec, checkpoint: Path, classes: int, scales: list[float], flip: bool, crf: bool
) -> Callable[[np.ndarray], np.ndarray]:
    """Picture uint8 (H, W, 3) to class ids uint8 (H, W).

    As in evaluation: the picture is brought to the trial's size, the logits from there to the picture's own size.
    """
    import tensorflow as tf

    import models
    from bench.data.pipeline import prepared
    from models.predict import label_map, probabilities

    model = models.build(spec.model.model_copy(update={"weights": "none"}), classes)
    try:
        model.load_weights(str(checkpoint))
    except (ValueError, OSError) as error:
        raise UsageError(f"{checkpoint} does not fit the trial's model: {str(error).splitlines()[0]}") from None
    if spec.model.architecture == "keras_cv":
        model = in_multiples(model, 32)
    refine = models.DenseCRF(from_logits=False) if crf else None

    # One trace for pictures of all sizes.
    @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8)] * 2)
    def labels(small: tf.Tensor, full: tf.Tensor) -> tf.Tensor:
        found = probabilities(model, small, scales=scales, flip=flip, size=tf.shape(full)[1:3])
        return tf.cast(label_map(found if refine is None else refine([full, found])), tf.uint8)

    def predict(picture: np.ndarray) -> np.ndarray:
        small = prepared(picture, spec.data)
        return labels(small[None], picture[None])[0].numpy()

    return predict


if __name__ == "__main__":
    start(main)
