"""The reference of fields: every field once, with a description, and the defaults of a real spec."""

from pathlib import Path

import pytest

from bench.spec import TrialSpec, fields_of, parse, reference
from bench.spec.page import render

PAGE = Path(__file__).parents[2] / "docs" / "fields.md"
FACTS = {fact.name: fact for fact in reference.facts()}


def test_the_page_is_what_the_code_makes():
    assert PAGE.read_text(encoding="utf-8") == render(), "run `python -m bench.spec.page > docs/fields.md`"


def test_every_field_is_there_with_a_description():
    own = {field for name in TrialSpec.model_fields for field in fields_of([name]) or [name]}
    assert own <= set(FACTS)
    assert {name for name in set(FACTS) - own if "[]" not in name} == set()
    for fact in FACTS.values():
        assert fact.description.endswith("."), fact.name


@pytest.mark.parametrize("fact", [fact for fact in FACTS.values() if "[]" not in fact.name], ids=lambda fact: fact.name)
def test_defaults_choices_and_cells_are_those_of_a_spec(fact):
    section, _, name = fact.name.rpartition(".")
    spec = TrialSpec()
    holder = getattr(spec, section) if section else spec
    value = holder.model_dump(mode="json")[name]
    assert fact.default == value or fact.name == "data.name"  # which follows the data set
    if fact.choices:
        assert value in fact.choices
    if fact.name in OTHER:
        changed = parse({section: {name: OTHER[fact.name]}} if section else {name: OTHER[fact.name]}, "test")
        assert (changed.cell != spec.cell) == fact.cell


OTHER = {
    "train.epochs": 9, "train.eager": True, "data.size": 192, "model.dropout": 0.3,
    "eval.pictures": 1, "placement.gpus": 1, "seed": 4, "loss.calibrated": True,
    "data.cache": "disk", "train.final": 0.5,
}  # fmt: skip


def test_ranges_are_in_words():
    assert FACTS["data.size"].limits == "32 to 4096"
    assert FACTS["train.learning_rate"].limits == "above 0"
    assert FACTS["train.momentum"].limits == "at least 0, below 1"
    assert (FACTS["train.init_from"].kind, FACTS["train.init_from"].limits) == ("text or none", "")
    assert FACTS["eval.views[].crf.iterations"].kind == "whole number or none"
    assert not FACTS["eval.views[].flip"].cell
