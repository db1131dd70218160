"""Reports of made-up runs: what they must state, for every shape of run, in equal bytes."""

import dataclasses
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

import reports
import results
from reports import markdown
from reports.document import Bold, Document, Field
from reports.pages.run import deciding, sentences
from reports.summary import summarize
from results.statistics import sequential
from tests.invented_runs import lifelike as fake
from tests.reports.text import text_of


def written(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted((folder / "report").rglob("*.*"))}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = fake.write_run(tmp_path_factory.mktemp("runs") / "full", fail={(2, 1), (5, 0)}, test=True)
    reports.write(folder)
    return folder


def test_the_verdict_names_the_winner_and_what_its_seeds_detect(run):
    text = (run / "report" / "report.md").read_text()
    verdict = text.split("## Results")[0]
    frame = results.load(run)
    best = frame[frame["split"] == "val"].groupby("label")["miou"].mean().idxmax()
    assert f"**{best}** has the highest validation mIoU" in verdict
    detected = r"With at least 2 seeds per cell, the test of pairs detects a true difference of \*\*\d+\.\d points\*\* "
    assert re.search(f"{detected}between two cells with probability 80 %, and a smaller one less often", verdict)
    assert "19 ok, 2 diverged" in verdict
    assert "bce 2 of 3" in verdict


def test_a_smaller_difference_that_was_found_does_not_contradict_the_one_that_the_seeds_detect():
    released = results.read_run(Path(results.__file__).parent / "releases" / "0.2.0-synthetic.1" / "losses")
    summary = summarize(released)
    means = {cell.key: cell.interval.mean for cell in summary.measured}
    found = [means[better] - means[worse] for (better, worse), p in summary.ranking.p.items() if p <= 0.05]
    assert round(100 * min(found), 1) == 1.8
    text = markdown.render(Document("", sentences.verdict(released, summary)))
    assert "a true difference of **3.1 points** between two cells with probability 80 %, and a smaller one less" in text


def test_the_table_is_sorted_and_shows_the_means(run):
    text = (run / "report" / "report.md").read_text()
    table = text.split("## Results")[1].split("## ")[0]
    assert table.lstrip().startswith("A cell is one combination of what the grid varies. A trial trains a cell once")
    rows = re.findall(r"^\| (\w+) \| (\d+\.\d) ± ", table, re.MULTILINE)
    means = results.load(run).query("split == 'val'").groupby("label")["miou"].mean().sort_values(ascending=False) * 100
    assert rows == [(label, f"{value:.1f}") for label, value in means.items()]


def test_the_gradient_scale_is_a_column_when_it_differs(run, tmp_path):
    assert "| gradient |" not in (run / "report" / "report.md").read_text()
    folder = fake.write_run(tmp_path / "scaled", gradient=True)
    table = text_of(folder).split("## Results")[1].split("## ")[0]
    assert "| gradient |" in table
    rows = re.findall(r"^\| (\w+) \|.*\| (\S+ → \S+) \|", table, re.MULTILINE)
    assert dict(rows)["cross_entropy"] == "1 → 0.026"
    assert sorted(scale for _, scale in rows)[0] == "0.14 → 0.026"


def test_what_others_published_is_shown_with_the_order_it_would_give(run, tmp_path):
    assert "As others published it" not in (run / "report" / "report.md").read_text()
    folder = fake.write_run(tmp_path / "r", labels=["dice", "bce"], gap=0.1, noise=0.001, pictures=0, published=True)
    table = text_of(folder).split("## As others published it")[1].split("## ")[0]
    rows = dict(re.findall(r"^\| (dice|bce) \| (.*) \|$", table, re.MULTILINE))
    # True levels 0.7 and 0.6; write_run gives 1 - level, 0.5 and 1 - level / 2 for the others.
    assert rows["dice"].split(" | ")[1:] == ["30.0 (2)", "50.0 (1)", "65.0 (2)"]
    assert rows["bce"].split(" | ")[1:] == ["40.0 (1)", "50.0 (1)", "70.0 (1)"]
    assert rows["dice"].split(" | ")[0].endswith("(1)")


def test_views_of_the_same_weights_are_a_table_and_a_frontier(run, tmp_path):
    from reports.figures.scores import views as figure_of_views

    assert "## Views" not in (run / "report" / "report.md").read_text()
    folder = fake.write_run(tmp_path / "views", views=("os16", "os16+flip"))
    reports.write(folder)
    text = (folder / "report" / "report.md").read_text()
    section = text.split("## Views")[1].split("## ")[0]
    rows = re.findall(r"^\| (\w+) \| `([\w+]+)` \| (\d+\.\d) ±[^|]*\| (\S+) \| (\S+) \|", section, re.MULTILINE)
    assert len(rows) == 7 * 3
    dice = {view: (float(miou), boundary, rate) for cell, view, miou, boundary, rate in rows if cell == "dice"}
    assert dice["os16"][1:] == ("50.0", "50.0")
    assert dice["os16+flip"][1:] == ("50.0", "25.0")
    assert dice["os16+flip"][0] - dice["default"][0] == pytest.approx(2, abs=0.11)  # rounded to a tenth twice
    assert (folder / "report" / "figures" / "views.png").is_file()
    drawn = figure_of_views(summarize(results.read_run(folder))).axes[0]
    numbers = [text.get_text() for text in drawn.texts]
    assert numbers[-1] == "1  os16\n2  os16+flip"
    assert numbers[:-1] == ["1", "2"] * 7
    assert len(drawn.get_legend().texts) == 7
    # The verdict is on the default view.
    default = results.load(folder).query("split == 'val' and view == 'default'").groupby("label")["miou"].mean()
    assert f"**{default.idxmax()}** has the highest validation mIoU: {100 * default.max():.1f}" in text


def test_iou_by_class_has_a_row_for_each_view(tmp_path):
    from reports.figures.scores import classes
    from reports.summary import summarize

    folder = fake.write_run(tmp_path / "r", labels=["dice", "bce"], views=("crf",), classes=4, pictures=0)
    run = results.read_run(folder)
    heat = classes(run, summarize(run)).axes[0]
    rows = [label.get_text() for label in heat.get_yticklabels()]
    assert rows == ["dice", "dice, crf", "bce", "bce, crf"]
    frame = results.classes(run.trials).query("split == 'val' and label == 'dice' and view == 'crf'")
    shown = {float(text.get_text()) for text in heat.texts[4:8]}
    assert shown == {round(100 * value) for value in frame.groupby("class_id")["iou"].mean()}


def test_validation_and_test_share_a_table(run):
    text = (run / "report" / "report.md").read_text()
    results_of = text.split("## Results")[1].split("\n## ")[0]
    frame = results.load(run).query("status == 'ok'")
    for label, of_cell in frame.groupby("label"):
        val, test = (100 * of_cell[of_cell["split"] == split]["miou"].mean() for split in ("val", "test"))
        assert re.search(rf"\| {label} \| {val:.1f} ± \S+ \| {test:.1f} ± \S+ \|", results_of), label
    best = frame[frame["split"] == "test"].groupby("label")["miou"].mean().idxmax()
    assert f"{best} is best there" in results_of


def test_which_weights_were_scored_is_said(tmp_path):
    folder = fake.write_run(tmp_path / "r", labels=["dice", "bce"], seeds=2, test=True, pictures=0)
    for trial in (folder / "trials").iterdir():
        found = results.read(trial)
        results.write(trial, found.model_copy(update={"spec": {"eval": {"keep_checkpoint": "last"}}}))
    text = text_of(folder)
    assert "Test: evaluated once, with the weights of the last step." in text
    assert "best epoch" not in text


def test_what_could_be_seen_is_told_of_the_cell_with_the_fewest_seeds(tmp_path):
    from reports.summary import summarize

    folder = fake.write_run(tmp_path / "r", labels=["dice", "bce"], seeds=5, fail=[(1, 0), (1, 1), (1, 2)], pictures=0)
    run = results.read_run(folder)
    summary = summarize(run)
    assert (summary.seeds, summary.fewest) == (5, 2)
    assert "With at least 2 seeds per cell" in text_of(folder)


def test_labels_that_differ_at_their_ends_stay_apart():
    from reports.figures.theme import short

    labels = [f"efficientnetlite_b0 cross_entropy {end}" for end in ("bilinear 16", "subpixel 32")]
    assert [len(short(label)) for label in labels] == [28, 28]
    assert short(labels[0]).endswith("bilinear 16")
    assert short(labels[1]).endswith("subpixel 32")


def test_failures_link_to_their_logs_and_every_link_leads_somewhere(run):
    text = (run / "report" / "report.md").read_text()
    assert "Diverged: the loss is NaN at step 12 \\| lr 0.1 (epoch 3)" in text
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert any(link.endswith("bce-s1/log.txt") for link in links)
    assert all((run / "report" / link).is_file() for link in links)
    assert "python -m bench.run --grid losses --seeds 3" in text
    assert "| tensorflow | 2.21.0 |" in text


def test_figures_are_pictures_and_equal_records_give_equal_bytes(run):
    names = {path.name for path in (run / "report" / "figures").iterdir()}
    assert names == {
        f"{name}.png"
        for name in ["miou", "best", "throughput", "curves", "classes", "confusion", "steps", "memory", "pictures"]
    }
    for name in names:
        with Image.open(run / "report" / "figures" / name) as picture:
            assert min(picture.size) > 300
            assert len(picture.convert("RGB").resize((64, 64)).getcolors(4096)) > 20, f"{name} is empty"
    assert "Best and worst of the 2 images that were kept, one seed" in (run / "report" / "report.md").read_text()
    before = written(run)
    reports.write(run)
    assert written(run) == before


def test_one_seed_gives_no_interval_and_says_so(tmp_path):
    folder = fake.write_run(tmp_path / "r", labels=["dice", "bce"], seeds=1, classes=1, comparable=False, pictures=0)
    text = reports.write(folder).read_text()
    assert "One seed per cell shows no spread, so the noise is unknown" in text
    assert "No intervals: one seed per cell shows no spread." in text
    assert "No cell has seeds that differ" not in text
    assert "no difference can be tested" in text
    assert "±" not in text
    assert "Images/s cannot be compared between these trials: 2 trials shared one machine's cores." in text
    assert "Neither can" not in text, "no speed of evaluation is shown"


def test_the_cost_of_the_models_is_told_once_if_they_share_it_and_per_cell_if_not(tmp_path):
    folder = fake.write_run(tmp_path / "r", labels=["dice", "bce"], seeds=2, pictures=0)
    assert "GFLOP" not in text_of(folder), "records that do not tell it"
    stored = results.read_run(folder).trials

    def with_costs(by_label):
        for one in stored:
            cost = {"parameters": by_label[one.record.label], "forward_gflop": 1.25, "size": 160}
            results.write(one.folder, one.record.model_copy(update={"cost": results.ModelCost(**cost)}))
        return text_of(folder)

    text = with_costs({"dice": 4_560_000, "bce": 4_560_000})
    assert "Every model has 4.56 M parameters and takes 1.25 GFLOP for the forward pass of one training image." in text
    text = with_costs({"dice": 4_560_000, "bce": 12_000_000})
    (head,) = (line for line in text.splitlines() if line.startswith("| cell | mIoU, %"))
    assert [name.strip() for name in head.split("|")][6:8] == ["parameters, M", "GFLOP"]
    rows = [
        [part.strip() for part in line.split("|")] for line in text.splitlines() if line.count("|") == head.count("|")
    ]
    assert {row[6] for row in rows} >= {"4.56", "12.00"}
    frame = results.load(folder)
    assert set(frame["parameters"]) == {4_560_000, 12_000_000}
    assert set(frame["forward_gflop"]) == {1.25}


def test_scores_of_an_older_version_stand_beside_no_newer_ones(tmp_path):
    folder = fake.write_run(tmp_path / "r", labels=["dice", "bce"], seeds=3, pictures=0)
    whole = {cell.label: cell.miou for cell in summarize(results.read_run(folder)).cells}
    trials = sorted((folder / "trials").iterdir())
    for trial in trials:
        results.write(trial, results.read(trial).model_copy(update={"scoring": 1}))
    alike = summarize(results.read_run(folder))
    assert {cell.label: cell.miou for cell in alike.cells} == whole, "old scores are compared with old ones"
    assert alike.outdated == 0
    for trial in trials[1:]:
        results.write(trial, results.read(trial).model_copy(update={"scoring": results.SCORING_VERSION}))
    label = results.read(trials[0]).label
    summary = summarize(results.read_run(folder))
    assert {cell.label: len(cell.miou) for cell in summary.cells} == {name: 3 - (name == label) for name in whole}
    assert "1 trial has scores of an older version than the others: they are left out" in text_of(folder)


def test_a_trial_whose_rate_did_not_settle_is_left_out_and_the_others_stay_comparable(tmp_path):
    folder = fake.write_run(tmp_path / "r", labels=["dice", "bce"], seeds=4, pictures=0, views=["flip"])
    for trial in sorted((folder / "trials").glob("dice*"))[:2]:
        record = results.read(trial)
        wild = {"images_per_second": 9999.0, "comparable": False, "reason": "the rate had not settled"}
        views = [view.model_copy(update={"images_per_second": 9999.0}) for view in record.views]
        throughput = record.throughput.model_copy(update=wild)
        results.write(trial, record.model_copy(update={"throughput": throughput, "views": views}))
    text = text_of(folder)
    assert "Images/s leave out 2 of 8 trials: the rate had not settled." in text
    assert "cannot be compared" not in text
    summary = summarize(results.read_run(folder))
    cell = next(cell for cell in summary.cells if cell.label == "dice")
    assert len(cell.rates) == 2
    assert max(cell.rates) < 9999
    assert {view.images_per_second for view in summary.views if view.name == "flip"} == {50}


def test_what_disturbed_several_trials_is_told_once_and_relative_speeds_have_a_column(tmp_path):
    folder = fake.write_run(tmp_path / "r", labels=["dice"], seeds=3, pictures=0)
    assert "images per 100 GFLOP" not in text_of(folder), "no trial has a reference"
    for place, trial in enumerate(sorted((folder / "trials").iterdir())):
        record = results.read(trial)
        stopped = "; the process was stopped (1 of 5 windows, for 3.0 s)" if place else ""
        reason = f"other work on this machine ({3 + place} of 5 windows, up to {40 + place}% of its cores){stopped}"
        told = {"comparable": False, "reason": reason, "images_per_100_gflop": 123.4 + place}
        views = [view.model_copy(update={"images_per_second": 90.0}) for view in record.views]
        throughput = record.throughput.model_copy(update=told)
        results.write(trial, record.model_copy(update={"throughput": throughput, "views": views}))
    text = reports.write(folder).read_text()
    assert (
        "Images/s cannot be compared between these trials: other work on this machine; the process was stopped. "
        "Neither can evaluation images/s." in text
    )
    assert "| images/s | images per 100 GFLOP |" in text
    assert "| 124.4 |" in text


def test_cells_of_different_data_sets_are_not_ranked_together(tmp_path):
    """Dice is best on the hard set and worst on the easy one; the methods meet in the interquartile mean alone."""
    folder = tmp_path / "r"
    planned = []
    for dataset, order, loss in (("easy", ["bce", "dice"], 0.0), ("hard", ["dice", "bce"], 0.3)):
        source = fake.write_run(tmp_path / dataset, labels=order, pictures=0, noise=0.002, published=True)
        for trial in (source / "trials").iterdir():
            record = results.read(trial)
            views = [view.model_copy(update={"miou": view.miou - loss}) for view in record.views]
            change = {
                "trial": f"{dataset}-{record.trial}", "cell": f"{dataset}-{record.label}", "views": views,
                "label": f"{dataset} {record.label}", "axes": {"dataset": dataset, "loss": record.label},
                "dataset": record.dataset.model_copy(update={"name": dataset}),
            }  # fmt: skip
            results.write(folder / "trials" / change["trial"], record.model_copy(update=change))
        planned += [
            {"cell": f"{dataset}-{label}", "label": f"{dataset} {label}", "axes": {}, "seeds": [0, 1, 2]}
            for label in order
        ]
    (folder / "run.json").write_text(json.dumps({"grid": "g", "command": "c", "cells": planned}))
    text = reports.write(folder).read_text()
    assert "**easy bce** has the highest validation mIoU" in text
    assert "**hard dice** has the highest validation mIoU" in text
    assert "| dice |" in text.split("## Across data sets")[1]
    published = text.split("## As others published it")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\w+) (\w+) \| \S+ \((\d)\) \| \S+ \((\d)\)", published, re.MULTILINE)
    assert {tuple(row) for row in rows} == {
        ("easy", "bce", "1", "2"), ("easy", "dice", "2", "1"), ("hard", "dice", "1", "2"), ("hard", "bce", "2", "1"),
    }  # fmt: skip
    summary = summarize(results.read_run(folder))
    assert {part.contenders.leader for part in summary.parts.values()} == {"easy-bce", "hard-dice"}
    assert not (folder / "report" / "figures" / "best.png").exists()


def test_views_that_came_to_nothing_are_named(tmp_path):
    folder = fake.write_run(tmp_path / "r", labels=["dice"], seeds=5, pictures=0)
    assert "Failed views" not in _page(folder)
    for seed in range(5):
        record = results.read(folder / "trials" / f"dice-s{seed}")
        lost = {"failed_views": {"crf": "out of memory"}}
        results.write(folder / "trials" / f"dice-s{seed}", record.model_copy(update=lost))
    told = "crf of dice-s0 (out of memory); crf of dice-s1 (out of memory); crf of dice-s2 (out of memory), and 2 more."
    assert f"**Failed views:** {told}" in _page(folder)


def _page(folder):
    from reports import markdown
    from reports.pages import run as contents

    run = results.read_run(folder)
    return markdown.render(contents.document(run, summarize(run), {}))


def test_a_tie_is_called_a_tie(tmp_path):
    folder = fake.write_run(tmp_path / "r", labels=["dice", "bce"], gap=0.0, pictures=0)
    assert "No cell differs from it by more than the noise" in text_of(folder)


def test_what_is_surely_not_the_best_but_shares_a_letter_is_no_contradiction(tmp_path):
    """All pairs, both ways, are a harder question than which cells are not the best."""
    from reports.pages.run import sentences

    folder = fake.write_run(tmp_path / "r", labels=["dice", "bce"], gap=0.0, pictures=0)
    summary = summarize(results.read_run(folder))
    assert sentences._standing(summary)[1][0] == Bold("No cell differs from it by more than the noise")
    last = summary.measured[-1].key
    out = dataclasses.replace(summary.contenders, out={last: 0.01})
    said = sentences._standing(dataclasses.replace(summary, contenders=out))[1]
    assert said[:2] == ["By the weaker test of all pairs, ", Bold("no cell differs from it by more than the noise")]


def test_a_run_in_which_all_failed_still_reports_why(tmp_path):
    folder = fake.write_run(tmp_path / "r", labels=["dice"], fail={(0, 0), (0, 1), (0, 2)})
    text = reports.write(folder).read_text()
    assert "**Nothing was measured:**" in text
    assert text.count("NaN at step 12") == 3


def test_missing_and_unreadable_records_are_counted(tmp_path):
    folder = fake.write_run(tmp_path / "r", labels=["dice", "bce"], pictures=1)
    (folder / "trials" / "bce-s2" / "record.json").unlink()
    (folder / "trials" / "bce-s1" / "record.json").write_text("{")
    (folder / "trials" / "dice-s0" / "pictures" / "0-prediction.png").write_bytes(b"broken")
    text = reports.write(folder).read_text()
    assert "**The run is incomplete:** 2 without a record (bce seeds 1, 2)" in text
    assert "**1 record cannot be read:**" in text
    assert "image left out" in text


def test_seeds_that_failed_are_suspected_and_those_that_were_stopped_are_not(tmp_path):
    folder = fake.write_run(tmp_path / "r", labels=["dice", "bce"], fail={(1, 0)}, pictures=0)
    assert "bce 2 of 3; seeds that failed may have been the worse ones." in _page(folder)
    record = results.read(folder / "trials" / "bce-s0")
    results.write(folder / "trials" / "bce-s0", record.model_copy(update={"status": "interrupted"}))
    assert "Means over fewer seeds than planned: bce 2 of 3.\n" in _page(folder)


def test_records_alone_are_enough(tmp_path):
    folder = fake.write_run(tmp_path / "r", labels=["dice", "bce"], pictures=0)
    (folder / "run.json").unlink()
    assert "has the highest validation mIoU" in reports.write(folder).read_text()


def test_many_cells_and_classes_fit(tmp_path):
    labels = [f"backbone_{i} with a long name" for i in range(30)]
    folder = fake.write_run(tmp_path / "r", labels=labels, classes=150, seeds=2, axis="backbone", pictures=1)
    reports.write(folder)
    figures = [*(folder / "report" / "figures").glob("*.png")]
    assert {path.stem for path in figures} >= {"miou", "throughput", "curves", "classes", "steps", "memory", "pictures"}
    for path in figures:
        with Image.open(path) as picture:
            assert max(picture.size) < 4000, path.name


def test_a_shared_picture_score_by_hand():
    import numpy as np

    from reports.figures.kept import image_miou

    truth = np.array([[0, 0, 1, 255]], np.uint8)
    # Class 0: 1 of 2 pixels, class 1: 1 of 2; void does not count.
    assert image_miou(truth, np.array([[0, 1, 1, 0]], np.uint8), 255) == pytest.approx(50.0)
    assert image_miou(truth, truth[:, :2], 255) is None


def test_a_view_lends_no_noise_to_another_of_the_same_weights(tmp_path):
    """As trained is a view like the others: its interval is that of the cell, whatever else was evaluated."""
    folder = fake.write_run(tmp_path / "r", labels=["dice", "bce"], pictures=0, views=["flip", "crf"])
    summary = summarize(results.read_run(folder))
    of_view = {view.key: view.interval for view in summary.views if view.name == "default"}
    assert of_view == {cell.key: cell.interval for cell in summary.cells}


def test_a_run_that_decides_against_a_release_says_why_its_speed_is_not_judged():
    from reports import markdown

    plan = sequential.Plan("release", 0.005, 2, 5)
    look = sequential.Look("decided", seeds=2, trials=2, ok={"a": 2})
    for metrics in (1, 2):
        decision = results.Decision(dataclasses.replace(plan, metrics=metrics), {"a": "dice"}, "0.2.0", {"a": {0: 0.7}})
        text = markdown.render(Document("", deciding.standing(decision, look)))
        assert "Release ok after 2 of at most 5 trials" in text
        assert ("Speed is not judged: the trials of 0.2.0 ran at another time" in text) == (metrics == 1)


def test_in_a_run_that_decides_cells_remain_or_are_left_out_and_the_leader_is_called_so():
    from reports import markdown

    plan = sequential.Plan("best", 0.005, 2, 10)
    scores = {"a": {0: 0.700, 1: 0.704}, "b": {0: 0.701, 1: 0.701}, "c": {0: 0.300, 1: 0.302}}
    look = sequential.look(plan, scores)
    assert ([*look.out], set(look.left), look.leader) == (["c"], {"a", "b"}, "a")
    decision = results.Decision(plan, {"a": "dice", "b": "bce", "c": "focal"})
    text = markdown.render(Document("", deciding.standing(decision, look)))
    assert "Remaining: dice, bce. Left out: focal after 2 seeds" in text
    kinds = {key: deciding.outcome(decision, look, SimpleNamespace(key=key)) for key in "abc"}
    assert {key: kind for key, (kind, _) in kinds.items()} == {"a": "remains", "b": "remains", "c": "out after 2"}
    assert kinds["a"][1] == Field("the leader", 0.0)
    assert kinds["b"][1].value == pytest.approx(-0.001)
