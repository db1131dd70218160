"""The section on a recipe: its own score beside the published ones, with their protocols."""

import results
from reports.document import Block, Field, Heading, Paragraph, Table, Text
from reports.format import percent
from reports.recipes import in_a_line, outcome, recipe_of
from reports.summary import Summary

_HOW = (
    "A difference of protocol, such as training on the validation split too, or what the backbone had seen, may be "
    "worth more than a difference between models."
)


def section(run: results.Run, summary: Summary) -> list[Block]:
    """Return the published scores with their sources and protocols; empty if the run followed no recipe."""
    recipe = recipe_of(run)
    if recipe is None:
        return []
    found = outcome(run, summary)
    blocks: list[Block] = [Heading(f"Recipe: {recipe.title}")]
    blocks += [Paragraph(in_a_line(found))] if found else []
    blocks += [_table(recipe), Paragraph(_HOW)] if recipe.published else []
    return [*blocks, Paragraph(recipe.note)] if recipe.note else blocks


def _table(recipe: results.Recipe) -> Table:
    """Return a row per published score, best first."""
    words = ["method", "trained on", "size", "pretraining", "test time", "source"]
    rows: list[list[Field | Text]] = [
        [
            one.method,
            Field(percent(one.miou), one.miou),
            one.train,
            one.size,
            one.pretraining,
            one.test_time,
            f"{one.source}{f' ({one.reading})' if one.reading else ''}",
        ]
        for one in sorted(recipe.published, key=lambda one: -one.miou)
    ]
    return Table(["method", f"mIoU on {recipe.split}, %", *words[1:]], rows, frozenset(words))
