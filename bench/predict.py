"""`python -m bench.predict RUN --trial ID --images DIR --out DIR`: pictures and videos through a trial's checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from rich.progress import Progress

import results
from bench.core import EXIT_OK, UsageError, check_rooms, cli, command, nearest, prepare_process, start
from bench.data import IMAGE_SUFFIXES, check_image, read_image
from bench.execution import writable
from bench.prediction import video
from bench.spec import TrialSpec, parse
from models import BACKBONES

console = cli.console(stderr=True)


@command
def main(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a trial's.")],
    images: Annotated[Path, typer.Option(help="A picture or video, or a folder of them.")],
    out: Annotated[Path, typer.Option(help="Folder for what is found; new or empty.")],
    trial: Annotated[str | None, typer.Option(help="The trial's id; needed where there are several.")] = None,
    scales: Annotated[str, typer.Option(help="Scales to average, e.g. 0.5,1,1.5.")] = "1",
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored picture.")] = False,
    crf: Annotated[
        bool, typer.Option("--crf", help="Refine with a dense CRF at the size that the model sees.")
    ] = False,
    window: Annotated[
        int | None, typer.Option(min=64, help="Pixels: go over the picture, unscaled, in windows of this side.")
    ] = None,
) -> int:
    """Segment pictures with a trial's checkpoint: label ids (NAME.png) and an overlay (NAME-overlay.png) of each.

    Of a video: label ids of every frame (NAME/000000.png, ...) and an overlay (NAME-overlay.mp4).

    Exit status: 0 done, 2 usage.
    """
    check_rooms()
    factors = _scales(scales)
    stored = _trial(run, trial)
    spec, checkpoint = _spec(stored), _checkpoint(stored)
    if BACKBONES[spec.model.backbone].one_size and (factors != [1] or window):
        raise UsageError(
            f"backbone {spec.model.backbone!r} is another function at every size of image: "
            "leave out --scales and --window"
        )
    sources = _sources(images)
    _empty(out)
    prepare_process()
    dataset = stored.record.dataset
    assert dataset is not None  # a trial with weights has read its data
    predict = _predictor(spec, checkpoint, len(dataset.class_names), factors, flip, crf, window)
    colors = np.array(dataset.colors, np.uint8)
    if crf:
        _check_crf(sources, len(colors), None if window else spec.data.size)
    out.mkdir(parents=True, exist_ok=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("Predicting", total=sum(_count(source) for source in sources))

        def segment(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            labels = predict(picture)
            progress.advance(task)
            return labels, overlay(picture, labels, colors)

        for source in sources:
            if isinstance(source, video.Video):
                _segment_video(source, out, segment)
            else:
                _segment_picture(source, out, segment)
    print(f"{_summary(sources)}: {out}")
    return EXIT_OK


def overlay(picture: np.ndarray, labels: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Half picture, half class colour: uint8 (H, W, 3) from a picture of that shape, ids (H, W) and colours (C, 3)."""
    return ((picture.astype(np.uint16) + colors[labels] + 1) // 2).astype(np.uint8)


Segment = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def _segment_picture(path: Path, out: Path, segment: Segment) -> None:
    labels, mixed = segment(read_image(path))
    Image.fromarray(labels).save(out / f"{path.stem}.png")
    Image.fromarray(mixed).save(out / f"{path.stem}-overlay.png")


def _segment_video(source: video.Video, out: Path, segment: Segment) -> None:
    folder = out / source.path.stem
    folder.mkdir()
    with video.writer(out / f"{folder.name}-overlay.mp4", source) as append:
        for number, frame in enumerate(video.frames(source)):
            labels, mixed = segment(frame)
            Image.fromarray(labels).save(folder / f"{number:06}.png")
            append(mixed)


def _count(source: Path | video.Video) -> int:
    return source.frames if isinstance(source, video.Video) else 1


def _summary(sources: Sequence[Path | video.Video]) -> str:
    videos = sum(isinstance(source, video.Video) for source in sources)
    counts = {"picture": len(sources) - videos, "video": videos}
    return ", ".join(f"{count} {noun}{'s' * (count > 1)}" for noun, count in counts.items() if count)


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
    """The only trial of a run, or the one of that name; another's record that cannot be read is no hindrance."""
    try:
        held = results.read_run(run)
    except ValueError as error:
        raise UsageError(str(error)) from None
    found: dict[str, results.Stored] = {}
    for stored in held.trials:
        other = found.setdefault(stored.record.trial, stored)
        if other is not stored:
            raise UsageError(f"{run} has two trials {stored.record.trial}: name {other.folder} or {stored.folder}")
    if held.problems and name not in found:
        raise UsageError(held.problems[0])
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


def _sources(place: Path) -> list[Path | video.Video]:
    """Pictures and videos, every picture and the first frame of every video decoded once."""
    suffixes = (*IMAGE_SUFFIXES, *video.SUFFIXES)
    if place.is_dir():
        files = sorted(path for path in place.iterdir() if path.suffix.lower() in suffixes and _shown(path))
    else:
        files = [place] if place.exists() else []
    if not files:
        raise UsageError(
            f"--images {place}: no picture or video there ({', '.join(suffixes)})"
            if place.exists()
            else f"--images {place}: no such file or folder"
        )
    written: dict[str, Path] = {}
    for path in files:
        for name in _outputs(path):
            if name in written:
                raise UsageError(f"{path} and {written[name]} would both write {name}; rename one")
            written[name] = path
        if not _moves(path):
            check_image(path)
    return [video.check(path) if _moves(path) else path for path in files]


def _shown(path: Path) -> bool:
    """Whether it is a file as people see them: not the `._NAME` that macOS leaves beside each."""
    return path.is_file() and not path.name.startswith(".")


def _moves(path: Path) -> bool:
    return path.suffix.lower() in video.SUFFIXES


def _outputs(path: Path) -> tuple[str, str]:
    return (path.stem, f"{path.stem}-overlay.mp4") if _moves(path) else (f"{path.stem}.png", f"{path.stem}-overlay.png")


def _empty(out: Path) -> None:
    writable(out)
    if any(out.iterdir()) if out.is_dir() else out.exists():
        raise UsageError(f"--out {out} holds something already; name a new or an empty folder")


# --- prediction ------------------------------------------------------------------------------------------------------


def _predictor(
    spec: TrialSpec, checkpoint: Path, classes: int, scales: list[float], flip: bool, crf: bool, window: int | None
) -> Callable[[np.ndarray], np.ndarray]:
    """Picture uint8 (H, W, 3) to class ids uint8 (H, W).

    As in evaluation: the picture is brought to the trial's size, where the views are averaged and refined, and what
    comes of it to the picture's own size. With a window the picture keeps its size, and the model sees a window at a
    time.
    """
    import tensorflow as tf

    import models
    from bench.data import prepared, seen, squared
    from models import in_a_line, label_map, labels, probabilities, scores, sliding

    model = models.build(spec.model.model_copy(update={"weights": "none"}), classes)
    try:
        model.load_weights(str(checkpoint))
    except (ValueError, KeyError, OSError) as error:
        raise UsageError(f"{checkpoint} does not fit the trial's model: {in_a_line(error)}") from None
    square = BACKBONES[spec.model.backbone].one_size
    refine = models.DenseCRF(from_logits=False) if crf else None

    # One trace for pictures of all sizes.
    @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8), *[tf.TensorSpec((2,), tf.int32)] * 2])
    def segmented(image: tf.Tensor, content: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        margins = content[None] if square else None
        found = scores(model, image, scales=scales, flip=flip, crf=refine, sizes=margins)
        return tf.cast(labels(found[:, : content[0], : content[1]], size)[0], tf.uint8)

    @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32)])
    def part(images: tf.Tensor) -> tf.Tensor:
        return probabilities(model, images, scales=scales, flip=flip)

    def predict(picture: np.ndarray) -> np.ndarray:
        small = prepared(picture, spec.data)
        shown = squared(small, spec.data.size) if square else small
        return segmented(shown[None], *(np.array(one.shape[:2], np.int32) for one in (small, picture))).numpy()

    def by_windows(picture: np.ndarray) -> np.ndarray:
        assert window is not None
        whole = seen(picture, spec.data)[None]
        found = sliding(lambda images: part(images.astype(np.float32)), whole, window, window // 4)
        return label_map(found if refine is None else refine([picture[None], found]))[0].numpy().astype(np.uint8)

    return predict if window is None else by_windows


def _check_crf(sources: Sequence[Path | video.Video], classes: int, size: int | None) -> None:
    """Refuse, before anything is written, what TensorFlow's sparse product on a GPU does not take: a pixel has six
    neighbours in the lattice of place and colour.

    Args:
        size: of the longest side in the CRF, pixels; None: the picture's own.
    """
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return
    most = 2**31 // (6 * classes)
    for source in sources:
        if isinstance(source, video.Video):
            path, width, height = source[:3]
        else:
            with Image.open(source) as picture:
                path, (width, height) = source, picture.size
        factor = size / max(width, height) if size else 1
        width, height = round(width * factor), round(height * factor)
        if width * height >= most:
            raise UsageError(
                f"--crf: {path} has {width * height / 1e6:.2f} megapixels, more than the {most / 1e6:.2f} that a GPU "
                f"takes with {classes} classes; hide the GPUs for it: CUDA_VISIBLE_DEVICES=-1"
            )


if __name__ == "__main__":
    start(main)
