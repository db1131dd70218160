"""docs/losses.md is what the code makes of itself."""

import re
from pathlib import Path

import losses
from losses import page

PAGE = Path(__file__).parents[2] / "docs" / "losses.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page.render(), "run `python -m losses.page > docs/losses.md`"


def test_every_loss_has_its_formula_a_use_and_a_source() -> None:
    text = PAGE.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", text, re.MULTILINE | re.DOTALL))
    assert set(sections) == set(losses.names())
    textbook = {"cross_entropy", "bce", "dice_bce", "log_dice", "tversky"}
    for name, section in sections.items():
        assert "\nConvention: " in section, name
        assert "\nUse: " in section, name
        assert name in textbook or re.search(r"\b(19|20)\d\d\b", section), name


def test_a_word_is_broken_neither_at_a_hyphen_nor_anywhere_else() -> None:
    long = "of-a-name" * 15
    assert page.wrapped(f"a {long} b") == f"a\n{long}\nb\n"
    assert page.wrapped("- " + "word " * 30) == "- " + "word " * 22 + "word\n  " + "word " * 6 + "word\n"


def test_a_formula_ends_before_its_source() -> None:
    assert page.formula(losses.get("tversky")) == "1 - tp / (tp + alpha fp + beta fn)"
    assert page.formula(losses.get("gce")) == "(1 - p_t^q) / q"
