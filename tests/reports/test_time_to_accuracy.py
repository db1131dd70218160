"""Time to accuracy and recipes in a report: their sections, columns, figure, and the settings that belong to them."""

import json

import results
from reports import markdown
from reports.figures import drawing
from reports.pages import run as page
from reports.settings import settings
from reports.summary import summarize
from tests.invented_runs import lifelike as fake
from tests.results.test_targets import _run


def _text(folder):
    run = results.read_run(folder)
    return markdown.render(page.document(run, summarize(run), {}))


def test_the_section_orders_the_cells_by_their_median_and_says_who_did_not_reach_it(tmp_path):
    text = _text(_run(tmp_path, {"dice": "100 110 120", "bce": "40 50 90+", "focal": "300+ 300+ 200"}))
    rows = [line for line in text.splitlines() if "| mIoU 60 %" in line]
    assert [row.split("|")[1:5] for row in rows] == [
        [" bce ", " mIoU 60 % ", " 2/3 ", " 50 (40 or more) "],
        [" dice ", " mIoU 60 % ", " 3/3 ", " 110 (100 to 120) "],
        [" focal ", " mIoU 60 % ", " 1/3 ", " not reached "],
    ]
    assert "steps to mIoU 60 %" in text
    assert "Kaplan-Meier" in text


def test_a_target_that_nobody_reached_and_runs_without_one(tmp_path):
    assert "not reached" in _text(_run(tmp_path / "none", {"dice": "300+ 300+ 300+"}))
    text = _text(fake.write_run(tmp_path / "plain", seeds=1, pictures=0))
    assert "Time to accuracy" not in text
    assert "steps to" not in text


def test_the_figure_is_drawn_for_runs_with_a_target_only(tmp_path):
    run = results.read_run(_run(tmp_path / "some", {"dice": "100 110 120", "bce": "40 50+ 90+", "focal": "9+ 9+ 9+"}))
    assert drawing._themed(lambda: drawing.targets.reached(summarize(run)))[:4] == b"\x89PNG"
    plain = results.read_run(fake.write_run(tmp_path / "plain", seeds=1, pictures=0))
    assert drawing.targets.reached(summarize(plain)) is None


def test_the_settings_name_target_average_and_rate_of_the_backbone(tmp_path):
    folder = _run(tmp_path, {"dice": "100"})
    path = next(folder.rglob("record.json"))
    record = json.loads(path.read_text())
    record["spec"]["train"] |= {
        "until": {"miou": 0.6}, "ema": 0.99, "backbone_rate": 0.1, "optimizer": "adam", "learning_rate": 0.001,
    }  # fmt: skip
    path.write_text(json.dumps(record))
    shared = settings(results.read_run(folder)).shared
    assert shared["training"] == "3 epochs × 5 steps = 15 steps, or until miou 0.6"
    assert shared["optimiser"] == "adam, weights averaged with momentum 0.99"
    assert shared["learning rate"] == "0.001, 0.1 times that in the backbone"


def test_a_recipe_has_its_published_scores_and_protocols_in_the_report(tmp_path):
    folder = _run(tmp_path, {"dice": "100"})
    score = {
        "method": "FC-Made", "miou": 0.669, "source": "Author (2016)", "train": "train", "size": "36x48",
        "pretraining": "none", "reading": "read on a page",
    }  # fmt: skip
    recipe = {"title": "Made", "classes": 2, "images": {"train": 1, "val": 1}, "split": "val", "published": [score]}
    manifest = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**manifest, "recipe": recipe}))
    text = _text(folder)
    assert "## Recipe: Made" in text
    assert "because only 0 of 1 images of train and 0 of 1 images of val were there" in text
    assert "| FC-Made | 66.9 | train | 36x48 | none | none | Author (2016) (read on a page) |" in text
