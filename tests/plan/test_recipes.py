"""Recipes: what they say is checked, their data are checked, and the end of a run names the published scores."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

import reports
import results
from bench.core import UsageError
from bench.data import entries
from bench.plan import checks, grid
from tests.invented_runs import chosen as made

RECIPES = [name for name in grid.names() if name.startswith("recipes/")]


def test_there_is_a_recipe_per_data_set():
    assert {name.removeprefix("recipes/") for name in RECIPES} == {
        "ade20k", "camvid", "cityscapes", "feral_cats", "nuclei", "pets-breeds", "pets-trimap", "voc2012"
    }  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_one_cell_that_no_preset_shortens_and_fits_the_catalogue(name):
    small, whole = (grid.load(name, preset=preset) for preset in ("smoke", "full"))
    (cell,) = whole.cells
    data = cell.spec.data
    assert small.cells[0].spec.train.epochs == cell.spec.train.epochs
    assert small.cells[0].spec.data.size == data.size
    assert whole.recipe.ours == "not run" or "docs/recipes.md" in whole.recipe.ours
    for one in whole.recipe.published:
        assert one.source
        assert one.miou < 0.9
    if data.dataset != "folder":
        entry = entries()[data.dataset]
        assert (whole.recipe.classes, whole.recipe.images) == (len(entry.classes), entry.splits)


def test_a_recipe_is_checked_like_the_rest_of_a_grid(tmp_path):
    recipe = {"title": "T", "classes": 2, "images": {"train": 1, "val": 1}, "split": "val"}
    score = {"method": "M", "miou": 66.9, "source": "S", "train": "t", "size": "s", "pretraining": "none"}
    for fault, message in [
        ({"published": [score]}, "recipe.published.0.miou: must be below 1, got 66.9"),
        ({"split": "test"}, "images: no number of images of test"),
        ({"clases": 3}, "recipe.clases"),
    ]:
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({"axes": {"loss": ["dice"]}, "recipe": {**recipe, **fault}}))
        with pytest.raises(UsageError, match=message) as caught:
            grid.load(str(path))
        assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def camvid(tmp_path_factory):
    """Three tiny frames where CamVid has 367, 101 and 233, in its layout."""
    root = tmp_path_factory.mktemp("camvid")
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    for split in ("train", "val", "test"):
        Image.new("RGB", (48, 36)).save(root / "images" / f"{split}.png")
        Image.fromarray(np.arange(36 * 48, dtype=np.uint8).reshape(36, 48) % 11).save(root / "masks" / f"{split}.png")
        (root / f"{split}.txt").write_text(f"{split}\n")
    return root


def _grid(root, **recipe):
    found = grid.load("recipes/camvid", fixed={"data.root": str(root)})
    return grid.Grid(**{**vars(found), "recipe": found.recipe.model_copy(update=recipe)})


ONE = {"images": {"train": 1, "val": 1, "test": 233}}


@pytest.mark.parametrize(
    ("recipe", "fault"),
    [
        ({}, "1 image of train, not 367"),
        ({"images": {"train": 1, "val": 2, "test": 1}}, "1 image of val, not 2"),
        ({**ONE, "classes": 12}, "11 classes, not 12"),
        (ONE, "images of train of 36x48 pixels, not 360x480"),
        ({"images": {"train and val": 3, "test": 1}}, "2 images of train and val, not 3"),
    ],
)
def test_other_data_are_refused_with_what_to_do(camvid, recipe, fault):
    with pytest.raises(UsageError) as caught:
        checks.check_inputs(_grid(camvid, **recipe))
    said = str(caught.value)
    assert said.startswith(f"{camvid}: {fault}, so this is not CamVid; for data of your own add --set data.dataset=fol")
    assert "\n" not in said


def test_a_part_of_the_test_split_and_limits_of_the_user_are_accepted(camvid):
    checks.check_inputs(_grid(camvid, **ONE, size=(36, 48)))
    limited = grid.load("recipes/camvid", fixed={"data.root": str(camvid)}, settings=["data.train_limit=1"])
    recipe = limited.recipe.model_copy(update={"images": {"train": 9, "val": 1, "test": 1}, "size": None})
    checks.check_inputs(grid.Grid(**{**vars(limited), "recipe": recipe}))


def test_data_that_are_no_camvid_at_all_are_told_what_to_do_and_own_data_have_no_recipe(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(
        UsageError, match=r"so this is not camvid.*; for data of your own add --set data.dataset=folder"
    ):
        checks.check_inputs(grid.load("recipes/camvid", fixed={"data.root": str(tmp_path)}))
    own = grid.load("recipes/camvid", fixed={"data.root": str(tmp_path)}, settings=["data.dataset=folder"])
    assert own.recipe is None
    assert grid.load("recipes/camvid", fixed={"data.dataset": "voc2012"}).recipe is None


def _run(folder, images, test=(0.60, 0.62, 0.64), cpu=3600.0, val=True, **recipe):
    """Three seeds of a run of the CamVid recipe, with a validation mIoU of .65 unless that was trained on."""
    dataset = {"name": "camvid", "version": "v", "class_names": ["a", "b"], "colors": [(0, 0, 0), (9, 9, 9)]}
    for seed, score in enumerate(test):
        views = [{"images": 1, "miou": 0.64 + 0.01 * seed}, {"split": "test", "images": 1, "miou": score}]
        own = made.record("ce", seed, (0.5, 1.0), views=views if val else views[1:], clocks={"cpu_s": cpu})
        changed = {"dataset": results.Dataset(**dataset, images=images), "trial": f"ce-s{seed}"}
        results.write(folder / "trials" / f"ce-s{seed}", own.model_copy(update=changed))
    recipe = grid.load("recipes/camvid").recipe.model_copy(update=recipe)
    cells = [{"cell": made.key("ce"), "label": "ce", "seeds": [0, 1, 2]}]
    (folder / "run.json").write_text(json.dumps({"recipe": recipe.model_dump(mode="json"), "cells": cells}))
    return folder


WHOLE = {"train": 367, "val": 101, "test": 233}


def test_the_end_of_a_run_on_the_whole_set_names_published_and_reached(tmp_path):
    # Mean .62, sd .02, t(2) = 4.303: half of the interval is 4.303 * .02 / sqrt(3) = .0497.
    said = reports.conclude(_run(tmp_path, WHOLE)).recipe
    assert said == (
        "Published 60.1 % (SegNet) to 66.9 % (FC-DenseNet103) on test, reached 62.0 % (3 seeds, ± 5.0), 3.00 CPU-hours."
    )


def test_a_part_of_the_set_is_not_put_beside_published_scores(tmp_path):
    said = reports.conclude(_run(tmp_path, {**WHOLE, "test": 62})).recipe
    assert said == (
        "Not beside the published figures, because only 62 of 233 images of test were there: reached "
        "62.0 % (3 seeds, ± 5.0) on that part of test, 65.0 % (3 seeds, ± 2.5) on val, 3.00 CPU-hours."
    )
    assert "Published" not in said


def test_a_run_that_trained_on_val_too_is_judged_on_test_alone(tmp_path):
    said = reports.conclude(_run(tmp_path / "whole", WHOLE, val=False)).recipe
    assert said.endswith("66.9 % (FC-DenseNet103) on test, reached 62.0 % (3 seeds, ± 5.0), 3.00 CPU-hours.")
    said = reports.conclude(_run(tmp_path / "part", {**WHOLE, "test": 62}, val=False)).recipe
    assert said.endswith("were there: reached 62.0 % (3 seeds, ± 5.0) on that part of test, 3.00 CPU-hours.")


def test_a_recipe_that_is_scored_on_val_does_not_train_on_it(camvid):
    own = grid.load(
        "recipes/camvid", fixed={"data.root": str(camvid)},
        settings=["data.train_on=trainval", "eval.keep_checkpoint=last"],
    )  # fmt: skip
    recipe = own.recipe.model_copy(update={"split": "val"})
    with pytest.raises(UsageError, match=r"trains on val, on which CamVid is scored; set data.train_on to train"):
        checks.check_inputs(grid.Grid(**{**vars(own), "recipe": recipe}))


def test_a_set_without_published_scores_and_a_record_without_cpu_seconds_say_so(tmp_path):
    said = reports.conclude(_run(tmp_path, WHOLE, published=(), split="val", cpu=None)).recipe
    assert said == (
        "No published figure is known for CamVid: reached 65.0 % (3 seeds, ± 2.5) on val, CPU-hours not recorded."
    )


def test_a_run_of_no_recipe_says_nothing(tmp_path):
    made.made_run(tmp_path, {"dice": {0: (0.5, 1.0), 1: (0.6, 1.0)}})
    assert reports.conclude(tmp_path).recipe == ""


def test_a_trial_that_did_not_record_its_cpu_seconds_makes_the_hours_a_lower_bound(tmp_path):
    run = _run(tmp_path, WHOLE)
    last = made.record("ce", 2, (0.5, 1.0), status="interrupted", clocks={})
    results.write(run / "trials" / "ce-s2", last.model_copy(update={"trial": "ce-s2"}))
    said = reports.conclude(run).recipe
    assert said.endswith(", at least 2.00 CPU-hours (not recorded for 1 trial).")
