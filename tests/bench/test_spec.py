"""Specs: what makes a cell, and one clear line for what is wrong."""

import pytest

from bench.core import UsageError
from bench.spec import TrialSpec, parse
from bench.spec.trial_spec import identity


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
        {"train": {"final": 0.5}},
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
    assert "auxiliary_weight" not in found["model"]
    assert "final" not in found["train"]


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
        ({"loss": {"name": "tversky", "params": {"alpha": "high"}}}, "alpha: a number is wanted, got 'high'"),
        ({"loss": {"params": {"reduction": "sum"}}}, "params.reduction: a training step is the mean over its images"),
        ({"data": {"root": 2012}}, "data.root: Input should be a valid string, got 2012"),
        ({"model": {"backbone": "resnet19"}}, "resnet18"),
        ({"train": {"epochs": 0}}, "where: train.epochs: Input should be greater than or equal to 1, got 0"),
        ({"train": {"batch_size": 9}, "placement": {"cpu_replicas": 2}}, "train.batch_size 9 does not split over 2"),
        ({"train": {"jit_compile": True}, "placement": {"gpus": 2}}, "cannot compile an all-reduce"),
        ({"train": {"steps_per_execution": 2}, "placement": {"gpus": 2}}, "steps_per_execution > 1 fails"),
        ({"train": {"steps_per_execution": 7}}, "steps_per_execution 7 does not divide steps_per_epoch 30"),
        ({"placement": {"gpus": 1, "cpu_replicas": 2}}, "cpu_replicas is for CPU trials"),
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
        ({"eval": {"views": [{"flip": True}, {"flip": True}]}}, "flip stands twice"),
        ({"eval": {"views": [{}]}}, "default stands twice"),
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
            "backbone 'mit_b0' reaches output_stride 32 only; received 16",
        ),
        (
            {
                "model": {"backbone": "mit_b0", "output_stride": 32},
                "data": {"crop": 160},
                "eval": {"views": [{"scales": [0.5, 1]}]},
            },
            "another function at every size of image: .*no scales in eval.views",
        ),
        (
            {"model": {"backbone": "mit_b0", "output_stride": 32}, "data": {"size": 160, "crop": 128}},
            "backbone 'mit_b0' is another function at every size of image: set data.crop to data.size, here 160",
        ),
    ],
)
def test_views_that_cannot_be(values, message):
    with pytest.raises(UsageError, match=message):
        parse(values, "here")
