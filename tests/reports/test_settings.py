"""What a report says was trained: shared settings once, differing ones per cell, a search with its candidates."""

import json

import pytest

import results
from reports import html, markdown
from reports.document import Document, Facts
from reports.pages import run as page
from reports.settings import Tuned, _augmentation, settings
from reports.summary import summarize
from tests.invented_runs import lifelike as fake

SPEC = {
    "model": {"backbone": "resnet18", "weights": "none", "output_stride": 16, "head": "bilinear"},
    "loss": {"name": "dice", "params": {"smooth": 0.5}},
    "data": {"size": 160, "crop": 128, "augment": "light"},
    "train": {
        "epochs": 3, "steps_per_epoch": 16, "batch_size": 16, "optimizer": "adamw", "weight_decay": 1e-4,
        "learning_rate": 1e-3, "schedule": "polynomial", "power": 0.9, "warmup": 0.1, "precision": "auto",
    },
}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """Two cells that differ in their backbone, with a grid that asks a question."""
    folder = fake.write_run(tmp_path / "mine", labels=["a", "b"], seeds=2, pictures=0)
    _change(folder, lambda record: {"spec": _spec(record.label)})
    grid = "name: g\ndescription: Which backbone is best. At one\n  rate.\npreset: quick\nsearch: null\ncells:\n- {bad"
    (folder / "grid.yaml").write_text(grid)
    return folder


def _spec(label):
    return {**SPEC, "model": {**SPEC["model"], "backbone": "resnet18" if label == "a" else "densenet121"}}


def _change(folder, change):
    for trial in (folder / "trials").iterdir():
        record = results.read(trial)
        results.write(trial, record.model_copy(update=change(record)))


def _page(folder):
    stored = results.read_run(folder)
    return markdown.render(page.document(stored, summarize(stored), {}))


def test_shared_settings_are_told_once_and_differing_ones_per_cell(run):
    found = settings(results.read_run(run))
    assert found.shared | {"preset": "quick"} == found.shared
    expected = {
        "backbone's weights": "random", "output stride": "16", "head": "bilinear", "loss": "dice (smooth=0.5)",
        "data set": "fake, 7 classes", "images": "64 train, 16 val", "size": "longest side 160 px, crops of 128 px",
        "augmentation": "light", "batch": "16", "training": "3 epochs × 16 steps = 48 steps",
        "optimiser": "adamw, weight decay 0.0001", "learning rate": "0.002 (0.001 for a batch of 8)",
        "schedule": "polynomial (power 0.9), warm-up over 10 % of the steps", "precision": "auto",
        "hardware": "2 cores", "preset": "quick",
    }  # fmt: skip
    assert found.shared == expected
    assert found.differing == {"00cell": {"backbone": "resnet18"}, "01cell": {"backbone": "densenet121"}}
    text = _page(run)
    assert text.startswith("# Which backbone is best · mine\n\nAt one rate.\n")
    section = text.split("## What was trained")[1].split("\n## ")[0]
    assert "| **training** | 3 epochs × 16 steps = 48 steps |" in section
    assert "| a | resnet18 |" in section
    assert "| b | densenet121 |" in section


def test_what_a_failed_trial_does_not_tell_differs_from_nothing(run):
    _change(
        run, lambda record: {"status": "crashed", "dataset": None, "environment": {}} if record.label == "b" else {}
    )
    assert settings(results.read_run(run)).shared["images"] == "64 train, 16 val"


def test_records_that_tell_no_settings_make_no_block(tmp_path):
    folder = fake.write_run(tmp_path / "old", labels=["a"], seeds=1, pictures=0)
    _change(folder, lambda record: {"dataset": None, "environment": {}})
    (folder / "run.json").write_text(json.dumps({"cells": []}))
    text = _page(folder)
    assert text.startswith("# old\n")
    assert "What was trained" not in text


def test_a_search_is_told_with_its_candidates_and_its_edge(run):
    offered = [{"value": value, "miou": 0.5} for value in (0.01, 0.0001, 0.001)]

    def tuned(record):
        chosen = 0.01 if record.label == "a" else 0.001
        return {"tuning": {"field": "train.learning_rate", "chosen": chosen, "candidates": offered}}

    _change(run, tuned)
    found = settings(results.read_run(run))
    assert "learning rate" not in found.shared
    assert found.tuned["00cell"] == Tuned("train.learning_rate", 0.01, (0.0001, 0.001, 0.01))
    assert (found.tuned["00cell"].at_edge, found.tuned["01cell"].at_edge) == (True, False)
    text = _page(run)
    assert "| **searched learning rate** | per cell among 0.0001, 0.001, 0.01 |" in text
    assert "| a | resnet18 | 0.01 (edge) |" in text
    assert "| b | densenet121 | 0.001 |" in text
    assert "a better one may lie beyond them: a." in text


def test_facts_are_a_table_in_markdown_and_a_list_in_html():
    document = Document("t", [Facts([("batch", "8"), ("a|b", "<i>")])])
    assert "| **batch** | 8 |\n| **a\\|b** | \\<i\\> |" in markdown.render(document)
    assert "<dt>batch</dt><dd>8</dd>" in html.render(document)
    assert "<dd>&lt;i&gt;</dd>" in html.render(document)


def test_a_policy_that_is_spelled_out_is_told_by_what_it_changes():
    policy = {
        "flip": 0.5, "vertical_flip": 0.0, "scale": [0.5, 1.5], "rotate": None, "hue": {"sigma": 2.0, "invert": False},
        "blur": {"probability": 0.2, "sigma": [0.3, 1.5]}, "clahe": {"clip": 2.0, "tiles": 8, "evaluation": True},
        "cutmix": 0.0,
    }  # fmt: skip
    assert _augmentation({"augment": policy}) == (
        "flip 0.5, scale 0.5 to 1.5, hue (sigma 2.0), blur (probability 0.2, sigma 0.3 to 1.5), "
        "clahe (clip 2.0, tiles 8, evaluation)"
    )
    assert _augmentation({"augment": {"flip": 0.0, "scale": None}}) == "none"
    assert _augmentation({"augment": "light"}) == "light"
