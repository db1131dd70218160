"""The inputs of a prediction: weights, images and videos. All are checked before TensorFlow is imported."""

from __future__ import annotations

from pathlib import Path

import results
from bench.core import UsageError, own_code
from bench.data import IMAGE_SUFFIXES, check_image
from bench.prediction import video
from bench.spec import TrialSpec, check_architecture, parse

LEGEND = "overlay-legend.png"
"""The file of the colours of the classes, beside the overlays."""


def run_of(stored: results.Stored) -> Path:
    """Return the folder of the run that a trial belongs to, if it belongs to one."""
    return stored.folder.resolve().parents[1]


def spec_of(stored: results.Stored) -> TrialSpec:
    """Return the specification of a trial.

    Raises:
        UsageError: the trial ended before it read its data, or its specification is invalid.
    """
    if stored.record.dataset is None:
        raise UsageError(
            f"{stored.folder}: trial {stored.record.trial} ({stored.record.status}) ended before it read its data; "
            "choose another"
        )
    return parse(stored.record.spec, f"{stored.folder}: spec")


def make_parts_importable(stored: results.Stored, spec: TrialSpec) -> None:
    """Make backbone and head of a trial importable if they are code of the user's own, which its run keeps.

    Raises:
        UsageError: they are not there, or are others than those that were trained; or the model is one of a library
            that is not installed.
    """
    try:
        check_architecture(spec.model)
    except UsageError as error:
        raise UsageError(f"{stored.folder}: {error}") from None
    own_code.make_importable(spec.own_code, own_code.kept(spec.own_code.values(), run_of(stored) / "code"))
    parts = [name for name in (spec.model.backbone, spec.model.head) if own_code.is_own(name)]
    own_code.verify({name: spec.own_code[name] for name in parts})


def checkpoint_of(stored: results.Stored) -> Path:
    """Return the file of a trial's weights.

    Raises:
        UsageError: the trial kept no weights, or their file is missing.
    """
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


def list_sources(place: Path) -> list[Path | video.Video]:
    """List images and videos. Every image and the first frame of every video is decoded once, as a check.

    Args:
        place: an image, a video, or a folder of them.

    Raises:
        UsageError: there are none, a file cannot be read, or two would write the same file.
    """
    suffixes = (*IMAGE_SUFFIXES, *video.SUFFIXES)
    if place.is_dir():
        files = sorted(path for path in place.iterdir() if path.suffix.lower() in suffixes and _shown(path))
    else:
        files = [place] if place.exists() else []
    if not files:
        raise UsageError(
            f"--images {place}: no image or video there ({', '.join(suffixes)})"
            if place.exists()
            else f"--images {place}: no such file or folder"
        )
    written = {LEGEND: Path("the legend")}
    for path in files:
        for name in _outputs(path):
            if name in written:
                raise UsageError(f"{path} and {written[name]} would both write {name}; rename one")
            written[name] = path
        if not _moves(path):
            check_image(path)
    return [video.check(path) if _moves(path) else path for path in files]


def _shown(path: Path) -> bool:
    """Return whether a path is a visible file, unlike the `._NAME` that macOS writes beside files."""
    return path.is_file() and not path.name.startswith(".")


def _moves(path: Path) -> bool:
    """Return whether a path is a video, by its suffix."""
    return path.suffix.lower() in video.SUFFIXES


def _outputs(path: Path) -> tuple[str, str]:
    """Return the names of the files or folders that a prediction of this file writes: labels and overlay."""
    return (path.stem, f"{path.stem}-overlay.mp4") if _moves(path) else (f"{path.stem}.png", f"{path.stem}-overlay.png")


def scale_factors(text: str) -> list[float]:
    """Return the numbers of `--scales`.

    Raises:
        UsageError: one is no number, or not above 0 and at most 8.
    """
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--scales {text!r}: expected numbers separated by commas, such as 0.5,1,1.5") from None
    if not all(0 < scale <= 8 for scale in found):
        raise UsageError(f"--scales {text!r}: each must be above 0 and at most 8")
    return found
