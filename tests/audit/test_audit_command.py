"""The command: what it refuses without TensorFlow Model Analysis, and with it a real trial, counted once more."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import results
from bench.audit import __main__ as command
from bench.audit import checked_record, material
from bench.core import WEIGHTS_FILE, UsageError
from bench.data import load
from bench.export import find_source
from bench.spec import TrialSpec
from tests.commands.here import call

REFEREE = importlib.util.find_spec("tensorflow_model_analysis")
SPEC = TrialSpec.model_validate(
    {
        "model": {"backbone": "resnet18", "aspp_channels": 8, "decoder_channels": 8, "output_stride": 32},
        "data": {"size": 64, "crop": 64, "train_limit": 8, "val_limit": 6},
        "train": {"precision": "float32", "epochs": 1, "steps_per_epoch": 2, "batch_size": 2},
    }
)
EQUALIZED = SPEC.model_copy(update={"data": SPEC.data.model_copy(update={"augment": "classic"})})


def write(folder: Path, **fields: Any) -> Path:
    """The folder of a trial as its record describes it; the weights are never read."""
    folder.mkdir()
    (folder / WEIGHTS_FILE).write_bytes(b"never read")
    kept = results.artefact(folder, WEIGHTS_FILE, "checkpoint")
    dataset = {"name": "tiny", "version": "v7", "class_names": ["a", "b"], "colors": [(1, 2, 3)] * 2}
    base = {
        "trial": folder.name, "cell": SPEC.cell, "label": "dice", "seed": 0, "status": "ok", "dataset": dataset,
        "spec": SPEC.model_dump(mode="json"), "artefacts": [kept],
        "views": [{"images": 4, "miou": 0.5, "confusion": [[3, 1], [0, 2]]}],
    }  # fmt: skip
    results.write(folder, results.Record(**{**base, **fields}))
    return folder


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Any]:
    """The command in this process, which has TensorFlow already: its exit status and what it printed."""

    def run(*arguments: object) -> tuple[int, str, str]:
        return call(command.main, *arguments, cwd=tmp_path, patch=monkeypatch, capsys=capsys)  # type: ignore[no-any-return]

    return run


@pytest.mark.skipif(REFEREE is not None, reason="TensorFlow Model Analysis is installed")
def test_without_the_referee_it_is_one_line_with_what_works(audit: Callable[..., Any], tmp_path: Path) -> None:
    status, _, error = audit(write(tmp_path / "t"))
    assert (status, error.count("\n")) == (2, 1)
    assert error.startswith("error: TensorFlow Model Analysis is not installed. What works is Python 3.12 or 3.13")
    assert "tensorflow-model-analysis 0.52.0 and tfx-bsl 1.21.0" in error
    assert error.strip().endswith(f"this is Python {sys.version_info[0]}.{sys.version_info[1]}")


@pytest.mark.parametrize(
    ("arguments", "fields", "told"),
    [
        (["--split", "test"], {}, "has no confusion matrix of the split test; it has one of val"),
        ([], {"views": []}, "has no confusion matrix of the split val"),
        ([], {"artefacts": []}, "kept no checkpoint"),
        ([], {"spec": EQUALIZED.model_dump(mode="json")}, "after CLAHE"),
    ],
)
def test_what_cannot_be_audited_is_one_line(
    audit: Callable[..., Any], tmp_path: Path, arguments: list[str], fields: dict[str, Any], told: str
) -> None:
    status, _, error = audit(write(tmp_path / "t", **fields), *arguments)
    assert (status, error.count("\n")) == (2, 1), error
    assert told in error


def test_other_data_than_the_record_s_are_refused(tmp_path: Path) -> None:
    source = find_source(write(tmp_path / "t"))
    spec, confusion = checked_record(source, "val", None)
    assert confusion.tolist() == [[3, 1], [0, 2]]
    with pytest.raises(UsageError, match="the record v7; name the folder of the record's data with --data-root"):
        material._same_data(source.trial.record, load(spec.data), "val")


@pytest.mark.slow
@pytest.mark.skipif(REFEREE is None, reason="TensorFlow Model Analysis is not installed: pip install -e '.[tfma]'")
def test_a_trial_of_the_suite_is_confirmed_and_a_pixel_is_found(
    audit: Callable[..., Any], thin_resnet: Any, tmp_path: Path
) -> None:
    from bench.trial import run

    record = run(SPEC, tmp_path / "t", label="dice")
    assert record.status == "ok"
    status, output, error = audit(tmp_path / "t")
    assert status == 0, error
    total = sum(map(sum, record.views[0].confusion))
    assert f"equal to the last integer: {total} pixels, mIoU {record.views[0].miou}" in output

    path = tmp_path / "t" / "record.json"
    changed = json.loads(path.read_text())
    changed["views"][0]["confusion"][0][1] += 1
    path.write_text(json.dumps(changed))
    status, output, _ = audit(tmp_path / "t")
    assert status == 1
    assert "1 entry differs, by 1 pixel in all" in output
