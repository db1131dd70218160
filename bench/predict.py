"""`python -m bench.predict RUN --trial ID --images DIR --out DIR`: segment images and videos with a trial's weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import Progress

import results
from bench import storage
from bench.core import EXIT_OK, UsageError, check_rooms, cli, command, prepare_process, start
from bench.execution import writable
from bench.prediction import (
    LEGEND,
    check_crf,
    checkpoint_of,
    choose_trial,
    list_sources,
    make_parts_importable,
    overlay,
    predictor,
    scale_factors,
    segment_image,
    segment_video,
    spec_of,
    video,
)
from models import row_of
from results import counted

console = cli.console(stderr=True)


@command
def main(
    run: Annotated[Path, typer.Argument(help="A run's or a trial's folder, or its address.")],
    images: Annotated[Path, typer.Option(help="An image or video, or a folder of them.")],
    out: Annotated[Path, typer.Option(help="Folder for the results; new or empty.")],
    trial: Annotated[
        str | None,
        typer.Option(metavar="TRIAL_OR_CELL", help="A trial, or a cell; needed if the run has several cells."),
    ] = None,
    scales: Annotated[str, typer.Option(help="Scales to average, e.g. 0.5,1,1.5.")] = "1",
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored image.")] = False,
    crf: Annotated[
        bool, typer.Option("--crf", help="Refine with a dense CRF at the size that the model sees.")
    ] = False,
    window: Annotated[
        int | None, typer.Option(min=64, help="Predict the unscaled image in windows of this side, in pixels.")
    ] = None,
    opacity: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the class colour inside the outlines of an overlay.")
    ] = 0.5,
) -> int:
    """Segment images with a trial's checkpoint: label ids (NAME.png) and an overlay (NAME-overlay.png) of each.

    For a video: label ids of every frame (NAME/000000.png, ...) and an overlay (NAME-overlay.mp4). The colours of the
    classes are in overlay-legend.png.

    Exit status: 0 done, 2 usage.
    """
    check_rooms()
    factors = scale_factors(scales)
    stored = choose_trial(storage.brought(run), trial)
    storage.bring_rest(stored.folder)
    spec, checkpoint = spec_of(stored), checkpoint_of(stored)
    if row_of(spec.model.backbone).fixed_size and (factors != [1] or window):
        raise UsageError(
            f"backbone {spec.model.backbone!r} works at a single image size only: leave out --scales and --window"
        )
    sources = list_sources(images)
    _empty(out)
    make_parts_importable(stored, spec)
    prepare_process()
    dataset = stored.record.dataset
    assert dataset is not None  # a trial with weights has read its data
    predict = predictor(spec, checkpoint, len(dataset.class_names), factors, flip, crf, window)
    colors = np.array(dataset.colors, np.uint8)
    if crf:
        check_crf(sources, len(colors), None if window else spec.data.size)
    out.mkdir(parents=True, exist_ok=True)
    _write_legend(dataset, out)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("Predicting", total=sum(_count(source) for source in sources))

        def segment(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            labels = predict(picture)
            progress.advance(task)
            return labels, overlay(picture, labels, colors, opacity)

        for source in sources:
            if isinstance(source, video.Video):
                segment_video(source, out, segment)
            else:
                segment_image(source, out, segment)
    print(f"{_summary(sources)} by trial {stored.record.trial}: {out}")
    return EXIT_OK


def _write_legend(dataset: results.Dataset, out: Path) -> None:
    """Write the names of the classes beside their colours."""
    from bench.data import legend

    colors = ((*color,) for color in dataset.colors)
    legend([*zip(dataset.class_names, colors, strict=True)], 480).save(out / LEGEND)


def _count(source: Path | video.Video) -> int:
    """Return the number of images to segment."""
    return source.frames if isinstance(source, video.Video) else 1


def _summary(sources: Sequence[Path | video.Video]) -> str:
    """Return how many images and videos there are, in words."""
    videos = sum(isinstance(source, video.Video) for source in sources)
    counts = {"image": len(sources) - videos, "video": videos}
    return ", ".join(counted(count, noun) for noun, count in counts.items() if count)


def _empty(out: Path) -> None:
    """Refuse a folder that is not writable or not empty.

    Raises:
        UsageError: names the folder.
    """
    writable(out)
    if any(out.iterdir()) if out.is_dir() else out.exists():
        raise UsageError(f"--out {out} is not empty; name a new or an empty folder")


if __name__ == "__main__":
    start(main)
