"""The TensorBoard files of a run's trials: `tensorboard --logdir runs/NAME/tensorboard`.

Tags name the split: `train/loss`, `validation/miou`, `validation_iou/CLASS`. Ray's own logger puts all under `ray/tune`
and leaves the curve of an interrupted attempt beside that of the next one.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import results

MOST_PICTURES = 3
"""Images of a trial that are shown, with their truth and prediction."""
_HEIGHT = 256
_GROUPS = {
    "loss": "train/loss", "images_per_second": "train/images_per_second", "learning_rate": "train/learning_rate",
    "epoch": "train/epoch", "miou": "validation/miou",
}  # fmt: skip
"""Tags of the numbers of a progress event; others go by their beginning."""
_NOT_IN_TAGS = re.compile(r"[^-/\w.]")


class TensorBoard:
    """Writes what trials report, as a logger like those of Ray (`bench.execution.tracking`).

    An attempt begins a file of its own. From the first step that it reports, TensorBoard leaves out what earlier
    attempts wrote: all of it, or what follows the checkpoint from which the attempt goes on.
    """

    def __init__(self) -> None:
        self._writers: dict[str, Any] = {}
        self._last: dict[str, dict[str, float]] = {}
        self._steps: dict[str, int] = {}

    def log_trial_start(self, trial: Any) -> None:
        """Begin an attempt at a trial."""
        self._close(str(trial))
        trial.init_local_path()

    def log_trial_result(self, iteration: int, trial: Any, result: Mapping[str, Any]) -> None:
        """Write the numbers of a progress event. `result["iou"]` holds the IoU of classes by their names."""
        name, step = str(trial), int(result["timesteps_total"])
        writer = self._writers.get(name) or self._open(trial, step if "loss" in result else None)
        self._last[name] = {}
        self._steps[name] = step
        for tag, value in _tags(result):
            writer.add_scalar(tag, value, step)
            self._last[name][tag] = value
        writer.flush()

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """End a trial: its parameters beside its last numbers, and some of its pictures."""
        name = str(trial)
        writer = self._writers.get(name)
        if writer is None:
            return
        from tensorboardX.summary import hparams

        parameters = dict(_flat(trial.evaluated_params))
        for summary in hparams(hparam_dict=parameters, metric_dict=self._last.get(name, {})):
            writer.file_writer.add_summary(summary)
        if not failed:
            for tag, picture in _pictures(Path(trial.local_path).parents[1] / "trials" / name):
                writer.add_image(tag, picture, self._steps[name], dataformats="HWC")
        self._close(name)

    def on_experiment_end(self, trials: Any) -> None:
        """End the files of trials that have not ended."""
        for name in [*self._writers]:
            self._close(name)

    def _open(self, trial: Any, since: int | None) -> Any:
        """Begin a file; what earlier attempts wrote from step `since` on is left out."""
        from tensorboardX import SummaryWriter

        folder = Path(trial.local_path)
        earlier = len([*folder.glob("events.out.tfevents.*")])
        # The number keeps two attempts within a second apart.
        writer = SummaryWriter(
            str(folder), purge_step=since if earlier else None, flush_secs=30, filename_suffix=f".{earlier}"
        )
        self._writers[str(trial)] = writer
        return writer

    def _close(self, name: str) -> None:
        self._last.pop(name, None)
        self._steps.pop(name, None)
        if writer := self._writers.pop(name, None):
            writer.close()


def _tags(result: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield (tag, value) of every number of a progress event."""
    for name, value in result.items():
        if name in ("timesteps_total", "training_iteration"):
            continue
        if name == "iou":
            for one, iou in zip(_apart(value), value.values(), strict=True):
                yield f"validation_iou/{one}", float(iou)
        elif isinstance(value, int | float):
            beginning, _, rest = name.partition("_")
            kind = f"final/{rest}" if beginning == "final" else f"trial/{name}"
            yield _GROUPS.get(name, kind), float(value)


def _apart(names: Iterable[str]) -> list[str]:
    """Return names of classes or images as they stand in tags, and behind those that would be equal the place.

    tensorboardX writes "_" for every other sign, so `lane (dashed)` and `lane [dashed]` would be one curve.
    """
    written = [_NOT_IN_TAGS.sub("_", name) for name in names]
    found: list[str] = []
    for place, name in enumerate(written):
        tag = f"{name}_{place}" if written.count(name) > 1 else name
        while tag in found or (tag != name and tag in written):  # another one is called like this
            tag += "_"
        found.append(tag)
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, value) of nested parameters; lists as text, without what is None or empty."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value not in (None, [], ()):
            yield f"{prefix}{name}", value if isinstance(value, bool | int | float | str) else str(value)


def _pictures(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (tag, uint8 (H, W, 3)) of pictures that a trial kept: image, truth and prediction side by side.

    They are of the validation split, or of the test split if the former was trained on.

    What cannot be read is left out: pictures of a curve are no reason to lose it.
    """
    with contextlib.suppress(ValueError, OSError):
        record = results.read(folder)
        if record.dataset is None:
            return
        split = "validation" if any(view.split == "val" for view in record.views) else "test"
        colors = np.full((256, 3), 255, np.uint8)
        colors[: len(record.dataset.colors)] = record.dataset.colors
        kept: dict[int, dict[str, results.Artefact]] = {}
        for artefact in record.artefacts:
            if artefact.kind in ("image", "truth", "prediction"):
                kept.setdefault(int(artefact.meta["order"]), {})[artefact.kind] = artefact
        shown = [kept[order] for order in sorted(kept)[:MOST_PICTURES]]
        keys = (str(next(iter(files.values())).meta["key"]) for files in shown)
        for key, files in zip(_apart(keys), shown, strict=True):
            kinds = [kind for kind in ("image", "truth", "prediction") if kind in files]
            panels = [_panel(folder / files[kind].path, colors) for kind in kinds]
            yield f"{split}/{key}", np.concatenate(panels, axis=1)


def _panel(path: Path, colors: np.ndarray) -> np.ndarray:
    """Return an image, or class ids in their colours, uint8 (256, W, 3)."""
    with Image.open(path) as opened:
        photograph = opened.mode != "L"
        picture = opened.convert("RGB") if photograph else Image.fromarray(colors[np.asarray(opened)])
    size = max(1, round(picture.width * _HEIGHT / picture.height)), _HEIGHT
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR if photograph else Image.Resampling.NEAREST))
