"""From an image to class ids with the weights of a trial, and the files written of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from bench.core import UsageError
from bench.data import read_image
from bench.prediction import video
from bench.spec import TrialSpec
from models import row_of


def trained_model(spec: TrialSpec, checkpoint: Path, classes: int) -> Any:
    """Build the model of a trial with its weights: (B, H, W, 3) in 0..255 to logits (B, H, W, classes).

    Raises:
        UsageError: the weights do not fit the trial's model, or what it is made of cannot be imported.
    """
    import models

    try:
        model = models.build(spec.model.model_copy(update={"weights": "none"}), classes)
    except ImportError as error:  # of a package that is missing or of another version, also in code of the user's own
        raise UsageError(f"the model of {checkpoint} cannot be built here: {models.in_a_line(error)}") from None
    try:
        model.load_weights(str(checkpoint))
    except (ValueError, KeyError, OSError) as error:
        raise UsageError(f"{checkpoint} does not fit the trial's model: {models.in_a_line(error)}") from None
    return model


def predictor(
    spec: TrialSpec, checkpoint: Path, classes: int, scales: list[float], flip: bool, crf: bool, window: int | None
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function of `segmenter` with the weights of a trial.

    Args:
        spec, scales, flip, crf, window: as for `segmenter`.
        checkpoint: file of the trial's weights.
        classes: number of classes.

    Raises:
        UsageError: the weights do not fit the trial's model.
    """
    return segmenter(trained_model(spec, checkpoint, classes), spec, scales, flip, crf, window)


def segmenter(
    model: Any, spec: TrialSpec, scales: list[float], flip: bool, crf: bool, window: int | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from an image uint8 (H, W, 3) to class ids uint8 (H, W).

    As in evaluation, the image is scaled to the trial's size, where predictions are averaged over scales and flip and
    refined by the CRF. The result is scaled to the image's own size. With a window the image keeps its size, and the
    model is applied to one window at a time.

    Args:
        model: of the trial, with its weights.
        spec: of the trial.
        scales: factors of the size over which predictions are averaged.
        flip: average with the prediction of the mirrored image, too.
        crf: refine with a dense CRF.
        window: side of the windows in pixels; None for the whole image at once.
    """
    import tensorflow as tf

    import models
    from bench.data import prepared, seen, squared
    from models import label_map, probabilities, sliding

    square = row_of(spec.model.backbone).fixed_size
    refine = models.DenseCRF(from_logits=False) if crf else None

    # One trace for images of all sizes. Nothing here needs AutoGraph, which would take seconds to find that out.
    kinds = [tf.TensorSpec((1, None, None, 3), tf.uint8), *[tf.TensorSpec((2,), tf.int32)] * 2]

    @tf.function(input_signature=kinds, autograph=False)
    def whole(image: tf.Tensor, content: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        inner = content if square else None
        found = models.segmented(model, image, size, content=inner, scales=scales, flip=flip, crf=refine)
        return tf.cast(found, tf.uint8)

    @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32)], autograph=False)
    def part(images: tf.Tensor) -> tf.Tensor:
        return probabilities(model, images, scales=scales, flip=flip)

    def predict(picture: np.ndarray) -> np.ndarray:
        small = prepared(picture, spec.data)
        shown = squared(small, spec.data.size) if square else small
        return whole(shown[None], *(np.array(one.shape[:2], np.int32) for one in (small, picture))).numpy()

    def by_windows(picture: np.ndarray) -> np.ndarray:
        assert window is not None
        large = seen(picture, spec.data)[None]
        found = sliding(lambda images: part(images.astype(np.float32)), large, window, window // 4)
        return label_map(found if refine is None else refine([picture[None], found]))[0].numpy().astype(np.uint8)

    return predict if window is None else by_windows


def check_crf(sources: Sequence[Path | video.Video], classes: int, size: int | None) -> None:
    """Refuse images that are too large for the CRF on a GPU, before anything is written.

    A pixel lies among six vertices of the lattice of position and colour and three of that of position, and
    TensorFlow's sparse product on a GPU needs 9 * pixels * classes < 2^31.

    Args:
        sources: images and videos.
        classes: number of classes.
        size: longest side in the CRF, in pixels; None for the image's own.

    Raises:
        UsageError: names the first image or video that is too large.
    """
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return
    most = 2**31 // (9 * classes)
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


def overlay(picture: np.ndarray, labels: np.ndarray, colors: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """Mix an image with the colours of its classes, and draw their outlines in full colour.

    A class that is black, as backgrounds are, leaves the image as it is.

    Args:
        picture: uint8 (H, W, 3).
        labels: class ids (H, W).
        colors: uint8 (C, 3).
        opacity: share of the colour inside the outlines, 0..1.

    Returns:
        uint8 (H, W, 3), halves rounded up.
    """
    colored = colors.any(axis=1)
    shares = np.where(colored, opacity, 0.0)[labels]
    shares[_edges(labels) & colored[labels]] = 1
    shares = shares[..., None]
    return np.floor(picture * (1 - shares) + colors[labels] * shares + 0.5).astype(np.uint8)


def _edges(labels: np.ndarray) -> np.ndarray:
    """Return which pixels are at an edge of their class, (H, W): one on either side per 500 of the longest side."""
    ids, edges = labels.astype(np.int16), np.zeros(labels.shape, np.uint8)
    down, right = np.diff(ids, axis=0) != 0, np.diff(ids, axis=1) != 0
    edges[:-1] |= down
    edges[1:] |= down
    edges[:, :-1] |= right
    edges[:, 1:] |= right
    width = 2 * max(1, max(labels.shape) // 500) - 1
    return cv2.dilate(edges, np.ones((width, width), np.uint8)) > 0


Segment = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""A function from an image uint8 (H, W, 3) to class ids uint8 (H, W) and overlay uint8 (H, W, 3)."""


def segment_image(path: Path, out: Path, segment: Segment) -> None:
    """Segment an image and write NAME.png (class ids) and NAME-overlay.png into the folder `out`."""
    labels, mixed = segment(read_image(path))
    Image.fromarray(labels).save(out / f"{path.stem}.png")
    Image.fromarray(mixed).save(out / f"{path.stem}-overlay.png")


def segment_video(source: video.Video, out: Path, segment: Segment) -> None:
    """Segment a video and write NAME/000000.png, ... (class ids) and NAME-overlay.mp4 into the folder `out`."""
    folder = out / source.path.stem
    folder.mkdir()
    with video.writer(out / f"{folder.name}-overlay.mp4", source) as append:
        for number, frame in enumerate(video.frames(source)):
            labels, mixed = segment(frame)
            Image.fromarray(labels).save(folder / f"{number:06}.png")
            append(mixed)
