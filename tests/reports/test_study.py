"""The study's claims and tables on runs whose numbers are chosen, and the page that they are filled into."""

import json
import math

import pytest

import results
from bench import study as command
from bench.errors import UsageError
from reports import markdown, study
from reports.document import Document

T_4 = 2.776445  # the 97.5 % quantile of t with 4 degrees of freedom


def write(folder, cells, views=()):
    """{label: [mIoU of each seed]}, and of further views {name: the same}; two classes, of 90 and 10 pixels."""
    for label, scores in cells.items():
        for seed, miou in enumerate(scores):
            made = {"default": miou, **{name: found[label][seed] for name, found in dict(views).items()}}
            confusion = [[90, 0], [4, 6]]
            record = results.Record(
                trial=f"{label}-s{seed}", cell=label, label=label, axes={"loss": label}, seed=seed, status="ok",
                dataset={
                    "name": "d", "version": "v", "class_names": ["much", "little"], "colors": [(0, 0, 0), (9, 9, 9)],
                },
                views=[
                    {"view": view, "images": 3, "miou": value, "iou": [2 * value - 0.3, 0.3], "confusion": confusion}
                    for view, value in made.items()
                ],
            )  # fmt: skip
            results.write(folder / "trials" / record.trial, record)
    planned = [{"cell": label, "label": label, "seeds": [*range(len(scores))]} for label, scores in cells.items()]
    (folder / "run.json").write_text(json.dumps({"grid": "g", "command": "c", "cells": planned}))
    return folder


CELLS = {"cross_entropy": [0.50, 0.52, 0.54], "dice": [0.56, 0.55, 0.60]}
CRF = {"cross_entropy": [0.51, 0.54, 0.57], "dice": [0.55, 0.55, 0.61]}


@pytest.fixture
def run(tmp_path):
    return write(tmp_path / "losses", CELLS, {"crf": CRF})


def test_a_claim_about_cells_is_the_difference_with_the_pooled_variance(run):
    asked = [study.Claim("Is Dice better?", "losses", "cross_entropy", "dice")]
    (one,) = study.answers({"losses": results.read_run(run)}, asked, {})
    # Variances .0004 and .0007, pooled .00055 with 4 degrees of freedom.
    half = T_4 * math.sqrt(0.00055 * (1 / 3 + 1 / 3))
    assert one.found.estimate == pytest.approx(0.05)
    assert (one.found.low, one.found.high) == pytest.approx((0.05 - half, 0.05 + half), rel=1e-6)
    assert one.seeds == 3


def test_a_claim_about_views_pairs_each_trial_with_itself(run):
    asked = [study.Claim("Does the CRF help?", "losses", views=("default", "crf"))]
    (one,) = study.answers({"losses": results.read_run(run)}, asked, {})
    # Changes .01 .02 .03 and -.01 0 .01: means .02 and 0, the same variance .0001 with 2 + 2 degrees of freedom.
    half = T_4 * 0.01 * math.sqrt(1 / 3 + 1 / 3) / 2
    assert one.found.estimate == pytest.approx(0.01)
    assert (one.found.low, one.found.high) == pytest.approx((0.01 - half, 0.01 + half), rel=1e-6)


def test_p_values_are_corrected_over_all_claims_that_were_run(run):
    runs = {"losses": results.read_run(run)}
    asked = [
        study.Claim("cells", "losses", "cross_entropy", "dice"),
        study.Claim("views", "losses", views=("default", "crf")),
        study.Claim("elsewhere", "not run", "cross_entropy", "dice"),
    ]
    alone = [study.answers(runs, [claim], {})[0].p for claim in asked[:2]]
    both = study.answers(runs, asked, {})
    assert [one.claim.ask for one in both] == ["cells", "views"]
    assert min(one.p for one in both) == pytest.approx(2 * min(alone))


def test_the_rare_classes_are_those_with_the_fewest_true_pixels(run):
    read = results.read_run(run)
    assert study.rarest(results.classes(read.trials), 1) == ["little"]
    assert study.values(read, study.RARE, rare=1)["dice"] == {0: 0.3, 1: 0.3, 2: 0.3}


def test_a_claim_about_a_cell_that_is_not_there_names_it(run):
    asked = [study.Claim("Is focal better?", "losses", "cross_entropy", "focal")]
    with pytest.raises(ValueError, match="asks for focal"):
        study.answers({"losses": results.read_run(run)}, asked, {})


def test_the_tables_of_a_part_hold_cells_views_and_classes(run):
    text = markdown.render(Document("", study.part(results.read_run(run), rare=1, classes=True)))
    assert "| dice | 3 | 57.00 |" in text
    assert "| cross\\_entropy | crf | 54.00 |" in text or "| cross_entropy | crf | 54.00 |" in text
    assert text.index("| much |") < text.index("| little |")


def test_the_page_keeps_its_words_and_gets_its_tables(run, tmp_path):
    page = tmp_path / "docs" / "study.md"
    page.parent.mkdir()
    page.write_text(
        "Before.\n<!-- study losses -->\nold\n<!-- end -->\nBetween.\n<!-- study other -->\nkept\n<!-- end -->\n"
    )
    planned = tmp_path / "study.yaml"
    planned.write_text(
        "preset: smoke\ndata: {d: {dataset: scenes, folder: x}}\n"
        "parts: {losses: {data: d, grid: losses-core, seeds: 3}, other: {data: d, grid: losses, seeds: 3}}\n"
        "claims: [{ask: 'Is it?', part: losses, first: cross_entropy, second: dice}]\n"
    )
    (run / "report").mkdir()
    command.write(command.read(planned), run.parent, page)
    text = page.read_text()
    assert text.startswith("Before.\n<!-- study losses -->\n| cell |")
    assert "old" not in text
    assert text.endswith("Between.\n<!-- study other -->\nkept\n<!-- end -->\n")
    assert (page.parent / command.FIGURE).read_bytes().startswith(b"\x89PNG")
    command.write(command.read(planned), run.parent, page)
    assert page.read_text() == text


def test_the_study_that_comes_along_is_about_grids_and_cells_that_exist():
    from bench import grid

    planned = command.read(command.DEFAULT)
    cells = {name: {cell.label for cell in grid.load(part.grid).cells} for name, part in planned.parts.items()}
    for claim in planned.claims:
        assert {claim.first, claim.second} - {""} <= cells[claim.part], claim.ask
        assert claim.metric in study.METRICS
        assert bool(claim.views) != bool(claim.first and claim.second)


def test_a_part_is_begun_once_and_then_resumed(tmp_path):
    planned = command.read(command.DEFAULT)
    begun = command.arguments(planned, "parts-losses", tmp_path / "data", tmp_path / "runs")
    assert "data.masks=masks_parts" in begun
    assert str(tmp_path / "data" / "ccp") in begun
    (tmp_path / "runs" / "parts-losses").mkdir(parents=True)
    resumed = command.arguments(planned, "parts-losses", tmp_path / "data", tmp_path / "runs")
    assert resumed[:2] == ["--resume", str(tmp_path / "runs" / "parts-losses")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preset: [", "not readable as YAML"),
        ("preset: a\ndata: {}\nparts: {p: {data: d, grid: g, seeds: 3}}\nclaims: []", "unknown data 'd'"),
        ("preset: a\ndata: {}\nparts: {}\nclaims: [{ask: a, part: p}]", "unknown part 'p'"),
        (
            "preset: a\ndata: {d: {dataset: s, folder: f}}\nparts: {p: {data: d, grid: g, seeds: 2}}\nclaims: []",
            "seeds",
        ),
    ],
)
def test_a_study_file_that_cannot_be_is_one_line(tmp_path, text, message):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as error:
        command.read(path)
    assert "\n" not in str(error.value)
