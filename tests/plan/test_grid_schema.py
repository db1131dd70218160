"""The schema of grid files: what editors complete is what `--grid` accepts."""

import json

import jsonschema
import pytest
import yaml

from bench.plan import grid, grid_schema
from bench.plan.grid_schema import schema

PAGE = grid_schema.PATH


@pytest.fixture(scope="module")
def checked():
    made = schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


def test_the_file_is_what_the_code_makes():
    assert json.loads(PAGE.read_text()) == schema(), "run `python -m bench.plan.grid_schema` into it"


@pytest.mark.parametrize("name", grid.names())
def test_every_shipped_grid_is_valid(checked, name):
    checked.validate(yaml.safe_load((grid.GRIDS / f"{name}.yaml").read_text()))


@pytest.mark.parametrize(
    "text",
    [
        "axes: {loss: [dicee]}",
        "axes: {head: [nearest]}",
        "axes: {loss: []}",
        "axis: {loss: [dice]}",
        "{axes: {loss: [dice]}, base: {train.epoch: 3}}",
        "{axes: {loss: [dice]}, base: {train.epochs: three}}",
        "{axes: {loss: [dice]}, base: {train.epochs: 0}}",
        "{axes: {loss: [dice]}, base: {train.optimizer: adamax}}",
        "{axes: {loss: [dice]}, preset: quickly}",
        "{axes: {loss: [dice]}, search: {values: [1.0], fields: train.learning_rate}}",
        "{axes: {size: [small]}}",
    ],
)
def test_what_a_grid_refuses_is_invalid(checked, text):
    assert not checked.is_valid(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "axes: {loss: all}",
        "axes: {loss: [dice], loss.params.smooth: [0, 1]}",
        "axes: {size: [{label: small, set: {data.size: 96, data.crop: 64}}]}",
        "{axes: {loss: [dice]}, base: {data.augment: {flip: 0.5}, eval.views: [{crf: true}, {crf: {iterations: 3}}]}}",
    ],
)
def test_what_a_grid_takes_is_valid(checked, text):
    checked.validate(yaml.safe_load(text))
