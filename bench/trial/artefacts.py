"""Files that a trial writes beside its record: the reported weights, and images of its predictions."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import keras
from PIL import Image

import results
from bench.core import WEIGHTS_FILE
from bench.trial.facts import Facts
from bench.trial.scoring import Reported
from bench.trial.setup import Prepared


def save(prepared: Prepared, reported: Reported, folder: Path, facts: Facts) -> None:
    """Write the present weights of the model, and the images of predictions; list each file in the facts."""
    with facts.timer.phase("io"):
        with facts.timer.part("weights"):
            save_weights(prepared, reported, folder, facts)
        try:
            with facts.timer.part("pictures"):
                save_pictures(prepared, reported, folder, facts)
        except Exception:  # an image that cannot be read any more costs the images, not the scores
            traceback.print_exc()


def save_weights(prepared: Prepared, reported: Reported, folder: Path, facts: Facts) -> None:
    """Write the present weights of the model, unless `eval.keep_checkpoint` is "none"."""
    if prepared.spec.eval.keep_checkpoint != "none":
        path = folder / WEIGHTS_FILE
        # A model without an optimizer: the state of AdamW is twice as large as the weights, and nothing reads it.
        keras.Model(prepared.model.inputs, prepared.model.outputs).save_weights(str(path))
        facts.artefacts.append(_artefact(folder, path, "checkpoint", {"epoch": reported.epoch}))


def save_pictures(prepared: Prepared, reported: Reported, folder: Path, facts: Facts) -> None:
    """Write evenly spaced images of the split that judges the trial, their truth and their prediction as PNG."""
    split, wanted = prepared.dataset.splits[prepared.scored], prepared.pictured
    predicted = reported.scores.predictions if reported.scores else {}
    if not predicted and wanted:  # an earlier attempt scored these weights, or none was scored during the training
        predicted = prepared.evaluator.predict(prepared.evaluation[prepared.scored], wanted)
    (folder / "pictures").mkdir(exist_ok=True)
    for order, index in enumerate(wanted):
        image, label = split.read(index)
        shown: dict[results.ArtefactKind, Any] = {"image": image, "truth": label, "prediction": predicted[index]}
        for kind, pixels in shown.items():
            path = folder / "pictures" / f"{order:02d}-{kind}.png"
            Image.fromarray(pixels).save(path)
            facts.artefacts.append(_artefact(folder, path, kind, {"key": split.keys[index], "order": order}))


def _artefact(folder: Path, path: Path, kind: results.ArtefactKind, meta: dict[str, Any]) -> results.Artefact:
    return results.artefact(folder, path.relative_to(folder), kind, meta)
