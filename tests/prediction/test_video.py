"""Videos: a real one, made here, through the command; the rest of the file's contract."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.core import UsageError
from bench.prediction import video

WIDTH, HEIGHT, FRAMES = 64, 48, 5
needs_ffmpeg = pytest.mark.skipif(
    importlib.util.find_spec("imageio_ffmpeg") is None, reason="the optional extra `video` is not installed"
)


def flat(number: int) -> np.ndarray:
    """A frame of one grey, which survives compression."""
    return np.full((HEIGHT, WIDTH, 3), 40 * number + 20, np.uint8)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    with video.writer(path, video.Video(path, WIDTH, HEIGHT, 10.0, FRAMES)) as append:
        for number in range(FRAMES):
            append(flat(number))
    return path


@needs_ffmpeg
def test_frames_come_back_in_order_and_size(clip: Path) -> None:
    found = video.check(clip)
    assert found == (clip, WIDTH, HEIGHT, 10.0, FRAMES)
    frames = list(video.frames(found))
    assert [frame.shape for frame in frames] == [(HEIGHT, WIDTH, 3)] * FRAMES
    for number, frame in enumerate(frames):
        np.testing.assert_allclose(frame, flat(number), atol=3)


@needs_ffmpeg
def test_odd_sides_become_even(tmp_path: Path) -> None:
    path = tmp_path / "odd.mp4"
    with video.writer(path, video.Video(path, 33, 21, 5.0, 1)) as append:
        append(np.zeros((21, 33, 3), np.uint8))
    assert video.check(path)[1:3] == (34, 22)


@needs_ffmpeg
def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"nothing" * 100)
    with pytest.raises(UsageError, match=r"broken\.mp4: cannot be read \(not a video"):
        video.check(tmp_path / "broken.mp4")


def test_without_the_extra_its_name_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UsageError, match=r"clip\.mp4 is a video, which needs the extra `video`: pip install"):
        video.check(tmp_path / "clip.mp4")


@needs_ffmpeg
def test_a_video_is_segmented_frame_by_frame(clip: Path, tmp_path: Path) -> None:
    import keras

    import models
    import results
    from bench.core import WEIGHTS_FILE
    from bench.prediction import overlay
    from bench.spec import TrialSpec

    model = {"backbone": "mobilenetv3_small", "aspp_channels": 8, "decoder_channels": 8}
    spec = TrialSpec.model_validate({"model": model, "data": {"size": 64, "crop": 64}})
    colors = [(10, 20, 30), (200, 100, 0)]
    dataset = {"name": "tiny", "version": "0", "class_names": ["a", "b"], "colors": colors}
    home = tmp_path / "trial"
    home.mkdir()
    keras.utils.set_random_seed(1)
    models.build(spec.model, 2).save_weights(str(home / WEIGHTS_FILE))
    kept = results.artefact(home, WEIGHTS_FILE, "checkpoint")
    fields = {"trial": "t", "cell": spec.cell, "label": "t", "seed": 0, "status": "ok", "dataset": dataset}
    results.write(home, results.Record(**fields, spec=spec.model_dump(mode="json"), artefacts=[kept]))
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "bench.predict", str(home), "--images", str(clip), "--out", str(out)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.endswith(f"1 video: {out}\n")
    assert sorted(path.name for path in (out / "clip").iterdir()) == [f"{i:06}.png" for i in range(FRAMES)]
    overlaid = video.check(out / "clip-overlay.mp4")
    assert overlaid[1:] == (WIDTH, HEIGHT, 10.0, FRAMES)
    for number, frame in enumerate(video.frames(overlaid)):
        labels = np.asarray(Image.open(out / "clip" / f"{number:06}.png"))
        mixed = overlay(flat(number), labels, np.array(colors, np.uint8))
        assert np.abs(frame.astype(float) - mixed).mean() < 12  # colour is stored at half the resolution
