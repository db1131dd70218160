"""Video files, frame by frame, through ffmpeg. It needs the extra `video` (imageio-ffmpeg, which contains ffmpeg)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.core import UsageError

SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")


class Video(NamedTuple):
    """A file that ffmpeg reads.

    Attributes:
        path: of the file.
        width: of a frame as it is shown, in pixels.
        height: of a frame as it is shown, in pixels.
        per_second: frames per second.
        frames: estimated number of frames.
    """

    path: Path
    width: int
    height: int
    per_second: float
    frames: int


def check(path: Path) -> Video:
    """Open a video, read its first frame, and return its size and rate.

    Raises:
        UsageError: the extra is not installed, ffmpeg cannot read the file, or the file states no frame rate.
    """
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise UsageError(
            f"{path} is a video, which needs the extra `video`: pip install -e '.[video]' in the project's folder"
        )
    import imageio_ffmpeg

    reader = imageio_ffmpeg.read_frames(str(path))
    try:
        facts = next(reader)
        width, height = facts["size"]
        # A frame is read, because a truncated file may have a complete header.
        if len(next(reader)) != 3 * width * height:
            raise ValueError("its frames do not have the size that it states")
    except (OSError, RuntimeError, StopIteration, ValueError, KeyError):
        raise UsageError(f"{path}: cannot be read (not a video that ffmpeg knows, or cut short)") from None
    finally:
        reader.close()
    if not facts["fps"] > 0:
        raise UsageError(f"{path}: states no frame rate; convert it to a constant rate first")
    return Video(path, width, height, facts["fps"], round(facts["fps"] * facts["duration"]))


def frames(video: Video) -> Iterator[np.ndarray]:
    """Yield the frames of a video, each uint8 RGB (height, width, 3)."""
    import imageio_ffmpeg

    # At the rate of the overlay. By itself ffmpeg might choose a higher rate and repeat frames to reach it.
    reader = imageio_ffmpeg.read_frames(str(video.path), output_params=["-r", f"{video.per_second:g}"])
    next(reader)
    for frame in reader:
        yield np.frombuffer(frame, np.uint8).reshape(video.height, video.width, 3)


@contextmanager
def writer(path: Path, like: Video) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends a frame, uint8 (height, width, 3), to a new H.264 file.

    Odd sides grow by a pixel, because common players require even ones.

    Args:
        path: of the new file.
        like: a video with the size and frame rate of the new one.
    """
    import imageio_ffmpeg

    sink = imageio_ffmpeg.write_frames(
        str(path), (like.width, like.height), fps=like.per_second, quality=7, macro_block_size=2
    )
    sink.send(None)
    try:
        yield lambda frame: sink.send(np.ascontiguousarray(frame))
    finally:
        sink.close()
