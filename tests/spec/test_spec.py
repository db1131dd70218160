"""Specs: what makes a cell, and one clear line for what is wrong."""

import json
from pathlib import Path

import pytest

from bench.core import UsageError
from bench.spec import TrialSpec, parse
from bench.spec.base import identity
from bench.spec.rules import RULES, stated

HOME = Path(__file__).parents[2]


def _cell(**changes):
    return parse(changes, "test").cell


@pytest.mark.parametrize(
    "aside",
    [
        {"seed": 7},
        {"placement": {"gpus": 2}},
        {"placement": {"cpu_replicas": 2}},
        {"eval": {"batch_size": 4, "pictures": 0, "keep_checkpoint": "none"}},
        {"train": {"steps_per_execution": 2}},
        {"data": {"root": "/elsewhere", "name": "scenes"}},
    ],
)
def test_where_and_how_a_trial_runs_does_not_change_its_cell(aside):
    assert _cell(**aside) == _cell()


@pytest.mark.parametrize(
    "change",
    [
        {"loss": {"name": "dice"}},
        {"model": {"auxiliary_weight": 0.4}},
        {"model": {"skip_strides": [8]}},
        {"train": {"final": 0.5}},
        {"train": {"until": {"miou": 0.6}}},
        {"train": {"ema": 0.99}},
        {"train": {"backbone_rate": 0.1}},
        {"train": {"smaller_crops": [[0.5, 96]]}},
        {"train": {"freeze": "backbone", "freeze_for": 0.5}},
        {"data": {"train_on": "trainval"}, "eval": {"keep_checkpoint": "last"}},
        {"model": {"batch_norm_momentum": "auto"}},
        {"model": {"backbone": "resnet18"}},
        {"train": {"learning_rate": 0.5}},
        {"train": {"batch_size": 16}},
        {"data": {"crop": 96}},
        {"data": {"name": "other"}},
        {"data": {"val_limit": 3}},
    ],
)
def test_what_changes_the_result_changes_the_cell(change):
    assert _cell(**change) != _cell()


def test_identity_of_equal_specs_is_equal_however_they_were_written():
    written_out = TrialSpec.model_validate(TrialSpec().model_dump(mode="json"))
    assert identity(written_out) == identity(TrialSpec())
    assert written_out.cell == TrialSpec().cell


def test_fields_added_later_are_no_part_of_old_cells():
    found = identity(TrialSpec())
    assert not {"auxiliary_weight", "skip_strides"} & {*found["model"]}
    assert not {"final", "until", "ema", "backbone_rate", "freeze_for", "smaller_crops"} & {*found["train"]}
    assert "train_on" not in found["data"]


def test_a_momentum_that_fits_the_steps_is_a_number_of_the_cell():
    spec = parse({"model": {"batch_norm_momentum": "auto"}, "train": {"epochs": 4, "steps_per_epoch": 40}}, "here")
    assert spec.model.batch_norm_momentum == 0.875  # 160 steps: it looks back over 8
    assert spec.cell == _cell(model={"batch_norm_momentum": 0.875}, train={"epochs": 4, "steps_per_epoch": 40})
    assert parse(spec.model_dump(mode="json"), "again") == spec


def test_data_sets_in_folders_are_told_apart_by_name(tmp_path):
    (tmp_path / "cats").mkdir()
    spec = parse({"data": {"dataset": "folder", "root": str(tmp_path / "cats")}}, "test")
    assert spec.data.name == "cats"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train": {"epoch": 3}}, "where: unknown field 'train.epoch'; did you mean 'train.epochs'?"),
        ({"trian": {}}, "where: unknown field 'trian'; did you mean 'train'?"),
        ({"train": {"optimizer": "adamv"}}, "where: train.optimizer: 'adamv' is not known; did you mean 'adam"),
        ({"loss": {"name": "dise"}}, "where: loss: unknown loss 'dise'; did you mean 'dice'?"),
        ({"loss": {"name": "tversky", "params": {"alpa": 1}}}, "has no parameter 'alpa'; did you mean 'alpha'?"),
        ({"loss": {"name": "tversky", "params": {"alpha": "high"}}}, "alpha: expected a number, got 'high'"),
        ({"loss": {"params": {"reduction": "sum"}}}, "params.reduction: a training step is the mean over its images"),
        ({"data": {"root": 2012}}, "data.root: must be text, got 2012"),
        ({"model": {"backbone": "resnet19"}}, "resnet18"),
        ({"train": {"epochs": True}}, "where: train.epochs: expected a number, not true"),
        ({"data": {"crop": False}}, "where: data.crop: expected a number, not false"),
        ({"model": {"auxiliary_weight": True}}, "where: model.auxiliary_weight: expected a number, not true"),
        ({"train": {"epochs": 0}}, "where: train.epochs: must be at least 1, got 0"),
        (
            {"train": {"batch_size": 9}, "placement": {"cpu_replicas": 2}},
            "train.batch_size 9 does not split evenly over 2",
        ),
        ({"train": {"jit_compile": True}, "placement": {"gpus": 2}}, "cannot compile an all-reduce"),
        ({"train": {"steps_per_execution": 2}, "placement": {"gpus": 2}}, "steps_per_execution > 1 fails"),
        ({"train": {"steps_per_execution": 7}}, "steps_per_execution 7 does not divide steps_per_epoch 30"),
        ({"placement": {"gpus": 1, "cpu_replicas": 2}}, "cpu_replicas is for CPU trials"),
        ({"train": {"until": {"mio": 0.6}}}, "where: train.until: 'mio' is not known; did you mean 'miou'?"),
        (
            {"train": {"until": {"miou": 60}}},
            "where: train.until.miou: must be at most 1, got 60",
        ),
        ({"train": {"until": {"miou": 0.6, "mean_dice": 0.6}}}, "where: train.until"),
        ({"train": {"until": {"miou": 0.6}}, "eval": {"target_miou": 0.5}}, "both name a target"),
        ({"train": {"backbone_rate": 0.1, "optimizer": "lamb"}}, "train.backbone_rate goes with the optimizers"),
        ({"train": {"backbone_rate": 0.1, "freeze": "backbone"}}, "the backbone is frozen"),
        ({"train": {"freeze_for": 0.5}}, "train.freeze_for: nothing is frozen"),
        (
            {"train": {"freeze": "backbone", "freeze_for": 0.9}},
            "train.freeze_for 0.9 leaves no whole epoch for the backbone (train.epochs is 4)",
        ),
        ({"train": {"smaller_crops": [[0.3, 96], [0.6, 64]]}}, "train.smaller_crops: 64 pixels follow 96; crops grow"),
        ({"train": {"smaller_crops": [[0.5, 96]], "epochs": 1}}, "crops of 128 pixels get no whole epoch"),
        ({"train": {"smaller_crops": [[0.4, 64], [0.5, 96]]}}, "crops of 96 pixels get no whole epoch (train.epochs"),
        ({"train": {"smaller_crops": [[0.5, 16]]}}, "where: train.smaller_crops.0.1: must be at least 32, got 16"),
        ({"data": {"train_on": "trainval"}}, "no val to choose an epoch by; set eval.keep_checkpoint to last"),
        (
            {"data": {"train_on": "trainval"}, "eval": {"keep_checkpoint": "last", "target_miou": 0.5}},
            "no val to reach a target on",
        ),
        ({"model": {"batch_norm_momentum": 1}}, "model.batch_norm_momentum: must be at least 0 and below 1, or auto"),
        ({"model": {"batch_norm_momentum": "fit"}}, "at least 0 and below 1, or auto, got 'fit'"),
        ({"train": {"ema": 0.9, "steps_per_execution": 2}}, "train.ema takes in every step"),
        ({"train": {"ema": 0.9, "wrapper": "swa"}}, "both average the weights"),
    ],
)
def test_faults_are_one_line_with_place_value_and_nearest_name(values, message):
    with pytest.raises(UsageError) as caught:
        parse(values, "where")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_number_that_yaml_takes_for_text_is_one():
    assert parse({"loss": {"name": "dice", "params": {"smooth": "1e-6"}}}, "here").loss.params == {"smooth": 1e-6}


def test_views_have_names_and_stand_aside_of_the_cell():
    views = [{"output_stride": 16, "flip": True}, {"scales": [0.5, 1, 1.5], "crf": True}]
    spec = parse({"eval": {"views": views}}, "here")
    assert [view.name for view in spec.eval.views] == ["os16+flip", "x0.5,1,1.5+crf"]
    assert spec.cell == parse({}, "here").cell
    assert parse(spec.model_dump(mode="json"), "again") == spec


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"eval": {"views": [{"flip": True}, {"flip": True}]}}, "flip occurs twice"),
        ({"eval": {"views": [{}]}}, "default occurs twice"),
        ({"eval": {"views": [{"output_stride": 12}]}}, "output_stride 12: known are 8, 16, 32"),
        (
            {"model": {"architecture": "keras_cv", "output_stride": 32}, "eval": {"views": [{"output_stride": 16}]}},
            "keras_cv has one output stride",
        ),
        (
            {
                "model": {"backbone": "mit_b0", "output_stride": 32},
                "data": {"crop": 160},
                "eval": {"views": [{"output_stride": 16}]},
            },
            "backbone 'mit_b0' supports output_stride 32 only; received 16",
        ),
        (
            {
                "model": {"backbone": "mit_b0", "output_stride": 32},
                "data": {"crop": 160},
                "eval": {"views": [{"scales": [0.5, 1]}]},
            },
            "works at a single image size only: .*no scales in eval.views",
        ),
        (
            {"model": {"backbone": "mit_b0", "output_stride": 32}, "data": {"size": 160, "crop": 128}},
            "backbone 'mit_b0' works at a single image size only: set data.crop to data.size, here 160",
        ),
    ],
)
def test_views_that_cannot_be(values, message):
    with pytest.raises(UsageError, match=message):
        parse(values, "here")


MIT = {"backbone": "mit_b0", "output_stride": 32}
KERAS_CV = {"architecture": "keras_cv", "output_stride": 32}
# By rule, values that break this rule and no other.
BROKEN = {
    "batch_splits_over_replicas": {"train": {"batch_size": 9}, "placement": {"cpu_replicas": 2}},
    "one_step_per_execution_with_replicas": {"train": {"steps_per_execution": 2}, "placement": {"cpu_replicas": 2}},
    "no_jit_with_replicas": {"train": {"jit_compile": True}, "placement": {"gpus": 2}},
    "eager_is_not_compiled": {"train": {"eager": True, "jit_compile": True}},
    "cpu_replicas_without_gpus": {"placement": {"gpus": 1, "cpu_replicas": 2}},
    "one_cpu_replica_a_host": {"placement": {"hosts": 2, "cpu_replicas": 2}},
    "keras_cv_is_not_frozen": {"model": KERAS_CV, "train": {"freeze": "backbone"}},
    "one_target": {"train": {"until": {"miou": 0.6}}, "eval": {"target_miou": 0.5}},
    "backbone_rate_has_its_optimisers": {"train": {"backbone_rate": 0.1, "optimizer": "lamb"}},
    "release_has_its_optimisers": {"train": {"freeze": "backbone", "freeze_for": 0.2, "optimizer": "lamb"}},
    "crops_grow": {"train": {"smaller_crops": [[0.5, 128]]}},
    "trainval_chooses_nothing": {"data": {"train_on": "trainval"}},
    "averages_of_every_step": {"train": {"ema": 0.9, "steps_per_execution": 2}},
    "references_have_one_stride": {"model": KERAS_CV, "eval": {"views": [{"output_stride": 16}]}},
    "fixed_size_of_some_backbones": {"model": MIT, "data": {"size": 160, "crop": 128}},
    "views_reach_their_stride": {"model": MIT, "data": {"crop": 160}, "eval": {"views": [{"output_stride": 16}]}},
    "crop_is_not_mostly_padding": {"data": {"size": 64, "crop": 129}},
}


def test_every_rule_is_broken_by_what_it_forbids_and_the_spec_says_so():
    assert [rule.__name__ for rule in RULES] == [*BROKEN]
    for name, values in BROKEN.items():
        sections = {
            section: field.annotation.model_validate(values.get(section, {}))
            for section, field in TrialSpec.model_fields.items()
            if section not in ("seed", "own_code")
        }
        spec = TrialSpec.model_construct(**sections, seed=0)  # not validated
        said = {rule.__name__: fault for rule in RULES if (fault := rule(spec))}
        assert [*said] == [name]
        with pytest.raises(UsageError) as caught:
            parse(values, "where")
        assert str(caught.value) == f"where: {said[name]}"


def test_the_rules_hold_at_their_edges():
    assert not any(rule(TrialSpec()) for rule in RULES)
    parse({"data": {"size": 64, "crop": 128}}, "here")
    parse({"model": MIT, "data": {"size": 160, "crop": 160}, "eval": {"views": [{"output_stride": 32}]}}, "here")
    parse({"train": {"jit_compile": True, "steps_per_execution": 2}, "placement": {"gpus": 1}}, "here")
    parse({"train": {"smaller_crops": [[0.25, 64], [0.75, 127]], "freeze": "backbone", "freeze_for": 0.75}}, "here")
    parse({"data": {"train_on": "trainval"}, "eval": {"keep_checkpoint": "none"}}, "here")
    parse({"train": {"batch_size": 8}, "placement": {"cpu_replicas": 4}}, "here")


def test_the_page_on_grids_lists_the_rules_as_the_code_states_them():
    page = (HOME / "docs" / "grids.md").read_text(encoding="utf-8")
    listed = page.split("<!-- rules -->\n")[1].split("<!-- end -->")[0]
    assert listed == "".join(f"- {rule}\n" for rule in stated())
    assert all(rule.endswith(".") for rule in stated())


def test_the_specs_of_published_runs_still_give_the_cells_they_were_stored_under():
    """The rule on backbones of a fixed size is younger than the runs of mit_b0 in 0.1.0, whose row says nothing.

    Label maps of other programs, scored by `bench.score`, have no spec.
    """
    runs = sorted((HOME / "results" / "releases").glob("*/*/run.json"))
    trained = [run.parent for run in runs if not json.loads(run.read_bytes()).get("scored")]
    records = [json.loads(file.read_bytes()) for run in trained for file in sorted(run.glob("trials/*/record.json"))]
    assert len({record["cell"] for record in records}) > 50
    refused = set()
    for record in records:
        try:
            assert parse(record["spec"], record["trial"]).cell == record["cell"]
        except UsageError:
            refused.add(record["label"])
    assert refused == {"mit_b0-random"}


def test_an_augmentation_policy_that_cannot_be_is_one_line():
    with pytest.raises(UsageError) as caught:
        parse({"data": {"augment": {"scale": [2.0, 1.0]}}}, "where")
    assert str(caught.value).startswith("where: data.augment: scale.")
    assert "the lower end must come first" in str(caught.value)
    assert "\n" not in str(caught.value)
