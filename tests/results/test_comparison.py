"""Two runs side by side: every verdict, what cannot be compared, and the command with its formats and exit statuses."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import results
from bench import compare
from reports import markdown
from reports.pages.comparison import document, forest
from reports.summary import summarize
from results import release
from results.comparison import margins
from results.comparison.loading import load
from results.statistics import sequential
from tests.invented_runs import chosen as made
from tests.invented_runs.folder import DATASET, write_folder

ROOT = Path(__file__).parents[2]

LABELS = ["ce", "dice", "bce", "focal"]


def numbers(start=0, drop=None, slow=None, n=5, noise=0.003, rng=7):
    """Five fresh seeds a cell; `drop` and `slow` are {label: loss of mIoU} and {label: share of speed lost}."""
    rng = np.random.default_rng([rng, start])
    return {
        label: {
            start + seed: (
                0.7 - 0.01 * index - (drop or {}).get(label, 0) + noise * rng.normal(),
                40 * np.exp(0.004 * rng.normal()) * (1 - (slow or {}).get(label, 0)),
            )
            for seed in range(n)
        }
        for index, label in enumerate(LABELS)
    }


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return made.made_run(tmp_path_factory.mktemp("c") / "base", numbers())


def verdicts(comparison, metric="miou"):
    return {row.label: row.verdict for row in comparison.rows if row.metric == metric}


def status(*arguments, **options):
    with pytest.raises(SystemExit) as caught:
        compare.main(*map(str, arguments), **options)
    return caught.value.code


def test_a_known_loss_and_a_known_slowdown_are_found_and_nothing_else(base, tmp_path):
    head = made.made_run(tmp_path / "head", numbers(5, drop={"dice": 0.03}, slow={"bce": 0.06}))
    found = results.compare(base, head)
    assert {label for label, verdict in verdicts(found).items() if verdict == "regressed"} == {"dice"}
    assert {label for label, one in verdicts(found, "images_per_second").items() if one == "regressed"} == {"bce"}
    assert [(row.label, row.metric) for row in found.failing] == [("bce", "images_per_second"), ("dice", "miou")]
    dice = next(row for row in found.failing if row.metric == "miou")
    assert -0.036 < dice.low < dice.change < dice.high < -0.02
    bce = next(row for row in found.failing if row.metric == "images_per_second")
    assert bce.change == pytest.approx(-0.06, abs=0.01)
    assert found.headline.estimate == pytest.approx(-0.03 / 4, abs=0.003)
    assert found.improvement < 0.5
    assert status(base, head) == 1


def test_fresh_seeds_of_the_same_software_pass(base, tmp_path, capsys):
    head = made.made_run(tmp_path / "head", numbers(5))
    assert status(base, head) == 0
    assert re.search(r"Blessed\. No regression in \d cells? \(\d+ comparisons: \d+ ok\)\.", capsys.readouterr().out)
    assert (head / "BLESSED").is_file()
    assert not (head / "NOT_BLESSED").exists()


def test_the_other_way_round_it_is_an_improvement(base, tmp_path):
    head = made.made_run(tmp_path / "head", numbers(5, drop={"dice": 0.03}))
    assert verdicts(results.compare(head, base))["dice"] == "improved"
    assert status(head, base) == 0


def test_noise_too_large_is_inconclusive_and_says_how_many_seeds(base, tmp_path, capsys):
    noisy = made.made_run(tmp_path / "a", numbers(0, n=3, noise=0.01))
    head = made.made_run(tmp_path / "b", numbers(3, n=3, noise=0.01))
    found = results.compare(noisy, head)
    unsure = [row for row in found.inconclusive if row.metric == "miou"]
    assert len(unsure) >= 2
    assert not found.failing
    assert all(row.more_seeds > 10 and row.reason == f"needs {row.more_seeds} more seeds" for row in unsure)
    assert status(noisy, head) == 0
    assert "needs " in capsys.readouterr().out
    assert status(noisy, head, require_conclusive=True) == 3
    said = capsys.readouterr().out
    assert "Not blessed: inconclusive." in said
    assert "Blessed. " not in said
    assert "inconclusive" in (head / "NOT_BLESSED").read_text()
    assert not (head / "BLESSED").exists()


def test_one_more_seed_is_one(tmp_path):
    """A loss of 0.0095 against a margin of 0.01, seen to 0.0017: no regression, and not surely less than the margin."""
    runs = [
        made.made_run(tmp_path / name, {"ce": {start + i: (mean + 0.001 * (i - 1), 40.0) for i in range(3)}})
        for name, start, mean in (("b", 0, 0.7), ("h", 3, 0.6905))
    ]
    rules = margins.Margins(metrics={"miou": {"scale": "difference", "better": "higher", "margin": 0.01}})
    (row,) = results.compare(*runs, rules).rows
    assert (row.verdict, row.more_seeds, row.reason) == ("inconclusive", 1, "needs 1 more seed")


def test_more_seeds_than_anyone_trains_are_not_counted(tmp_path):
    """Two pairs of seeds, a tenth apart, against a margin of 0.01."""
    runs = [
        made.made_run(tmp_path / name, {"ce": {i: (0.5 + sign * 0.05 * (-1) ** i, 40.0) for i in range(2)}})
        for name, sign in (("b", 1), ("h", -1))
    ]
    rules = margins.Margins(metrics={"miou": {"scale": "difference", "better": "higher", "margin": 0.01}})
    (row,) = results.compare(*runs, rules).rows
    assert row.more_seeds > 100
    assert row.reason == "needs over 100 more seeds"


def test_less_than_one_image_per_second_is_a_speed(tmp_path):
    runs = [
        made.made_run(tmp_path / name, {"ce": {start + i: (0.7, speed * (1 + 0.001 * i)) for i in range(3)}})
        for name, start, speed in (("b", 0, 0.4), ("h", 3, 0.2))
    ]
    (row,) = [row for row in results.compare(*runs).rows if row.metric == "images_per_second"]
    assert (row.verdict, row.change) == ("regressed", pytest.approx(-0.5))
    assert (row.base, row.head) == (pytest.approx(0.4, rel=2e-3), pytest.approx(0.2, rel=2e-3))


def test_failing_fixed_and_missing_cells(base, tmp_path):
    cells = numbers(5)
    cells["ce"][6] = None
    missing = made.made_run(tmp_path / "missing", {label: cells[label] for label in ("ce", "dice", "bce")})
    found = {(row.label, row.verdict) for row in results.compare(base, missing).failing}
    assert found == {("ce", "newly failing"), ("focal", "missing")}
    assert status(base, missing) == 1
    found = results.compare(missing, base)
    assert verdicts(found, "trials") == {"ce": "fixed"}
    assert found.added == ("focal",)
    assert status(missing, base) == 0


def test_fewer_failures_are_no_repair(base, tmp_path):
    def failing(name, seeds):
        cells = {label: {seed: None if seed in seeds else (0.7, 40.0) for seed in range(3)} for label in ("ce", "dice")}
        return made.made_run(tmp_path / name, cells)

    two, one, none = failing("two", (0, 1)), failing("one", (0,)), failing("none", ())
    assert verdicts(results.compare(two, one), "trials") == {"ce": "not comparable", "dice": "not comparable"}
    assert verdicts(results.compare(one, none), "trials") == {"ce": "fixed", "dice": "fixed"}


def test_failures_count_as_shares_of_the_trials(tmp_path):
    def run(name, failed, n):
        return made.made_run(
            tmp_path / name, {"ce": {seed: None if seed < failed else (0.7, 40.0) for seed in range(n)}}
        )

    quarter, half, more = run("quarter", 1, 4), run("half", 1, 2), run("more", 2, 4)
    (row,) = [row for row in results.compare(quarter, half).rows if row.metric == "trials"]
    assert (row.verdict, row.base, row.head, row.seeds) == ("newly failing", 3, 1, (4, 2))
    assert row.reason == "base 1 of 4 failed (diverged); head 1 of 2 failed (diverged)"
    assert verdicts(results.compare(half, more), "trials") == {"ce": "not comparable"}


def test_a_seed_without_a_value_is_told(base, tmp_path):
    cells = numbers(5)
    cells["dice"][6] = (None, 40.0)
    cells["bce"][7] = (cells["bce"][7][0], None)
    found = results.compare(base, made.made_run(tmp_path / "head", cells))
    reasons = {(row.label, row.metric): row.reason for row in found.rows if row.reason}
    assert "1 of head's" in reasons["dice", "miou"]
    assert "seeds without a value" in reasons["bce", "images_per_second"]


def test_other_weights_scored_are_not_comparable_and_other_ways_to_run_not_in_speed(tmp_path):
    def run(name, keep, deterministic):
        train = {**made.HOW, "epochs": 3, "deterministic": deterministic}
        spec = {"eval": {"keep_checkpoint": keep}, "train": train, "placement": {"cpus": 2}}
        return made.made_run(tmp_path / name, numbers(0), spec=spec)

    base = run("base", "best", False)
    last = results.compare(base, run("last", "last", False))
    assert set(verdicts(last).values()) == {"not comparable"}
    assert set(verdicts(last, "images_per_second").values()) == {"ok"}
    slow = results.compare(base, run("slow", "best", True))
    assert set(verdicts(slow).values()) == {"ok"}
    assert set(verdicts(slow, "images_per_second").values()) == {"not comparable"}


def test_a_trial_that_went_on_with_half_its_batch_is_no_gap(tmp_path):
    run = made.made_run(tmp_path / "r", {"ce": {0: None, 1: (0.7, 40.0)}})
    lost = results.read(run / "trials" / "ce-s0")
    results.write(run / "trials" / "ce-s0", lost.model_copy(update={"status": "oom"}))
    assert release.gaps(results.read_run(run)) == ["ce-s0: oom"]
    half = results.read(run / "trials" / "ce-s1").model_copy(
        update={"trial": "ce-s0-batch4", "seed": 0, "cell": "half"}
    )
    results.write(run / "trials" / "ce-s0-batch4", half)
    assert release.gaps(results.read_run(run)) == []


def _extracted(place, *trials):
    """What a comparison takes from a run of one planned cell, `c`, given (name, cell, status, commit) of its trials."""
    records = [
        results.Record(
            trial=trial, cell=cell, label=cell, seed=0, status=status,
            environment={"git_commit": commit} if commit else {},
            error={"kind": "e", "message": "m"} if status == "oom" else None,
        )
        for trial, cell, status, commit in trials
    ]  # fmt: skip
    return load(results.read_run(write_folder(place, records, [{"cell": "c", "label": "c", "seeds": [0]}])))


def test_a_cell_is_shrunk_if_none_of_its_trials_ended_well(tmp_path):
    lost, half = ("c-s0", "c", "oom", ""), ("c-s0-batch4", "half", "ok", "")
    assert _extracted(tmp_path / "shrunk", lost, half).shrunk == {"c"}
    assert _extracted(tmp_path / "once", lost, half, ("c-s1", "c", "ok", "")).shrunk == set()


def test_a_side_names_the_commits_of_its_records(tmp_path):
    trials = [(f"c-s{number}", "c", "ok", commit) for number, commit in enumerate(("b2", "a1", "", "b2"))]
    assert _extracted(tmp_path / "two", *trials).side.commit == "a1, b2"
    assert _extracted(tmp_path / "none", trials[2]).side.commit == "unknown"


def test_a_shrunk_cell_is_not_owed_by_a_head_that_fits(tmp_path):
    base = made.made_run(tmp_path / "b", {**numbers(), "dice batch 4": numbers()["dice"]})
    manifest = json.loads((base / "run.json").read_text())
    manifest["cells"] = [cell for cell in manifest["cells"] if cell["label"] != "dice batch 4"]
    (base / "run.json").write_text(json.dumps(manifest))
    head = made.made_run(tmp_path / "h", numbers(5))
    found = results.compare(base, head)
    assert verdicts(found, "trials") == {"dice batch 4": "not comparable"}
    assert found.outcome == "ok"


@pytest.mark.parametrize("section", [{"data": {"name": "other"}}, {"train": {"epochs": 9}}])
def test_cells_of_another_data_set_or_length_of_training_lend_no_noise(tmp_path, section):
    """Two cells repeat themselves within 0.001, two of another kind within 0.03: no lower limit of these is theirs."""

    def run(name, start, drop):
        cells = numbers(start, drop={"ce": drop, "dice": drop}, noise=0.001)
        wide = numbers(start, noise=0.03, rng=11)
        folder = made.made_run(tmp_path / name, cells | {label: wide[label] for label in ("bce", "focal")})
        for trial in (folder / "trials").iterdir():
            record = results.read(trial)
            if record.label in ("bce", "focal"):
                ((part, fields),) = section.items()
                spec = {**record.spec, part: {**record.spec.get(part, {}), **fields}}
                results.write(trial, record.model_copy(update={"spec": spec}))
        return folder

    found = verdicts(results.compare(run("b", 0, 0), run("h", 5, 0.01)))
    assert (found["ce"], found["dice"]) == ("regressed", "regressed")


def test_only_validation_scores_of_trials_that_ended_well_are_judged(tmp_path):
    views = [
        {"split": split, "images": 3, "miou": miou, "iou": [miou, miou]}
        for split, miou in (("val", 0.7), ("test", 0.1))
    ]
    folder = made.made_run(tmp_path / "r", {"ce": dict.fromkeys(range(3), (0.7, 40.0))}, views=views)
    last = results.read(folder / "trials" / "ce-s2")
    low = last.views[0].model_copy(update={"miou": 0.2})
    error = {"kind": "RuntimeError", "message": "ended after its scores"}
    values = {**last.model_dump(mode="json"), "status": "crashed", "error": error}
    results.write(folder / "trials" / "ce-s2", results.Record(**{**values, "views": [low.model_dump(mode="json")]}))
    (row,) = [row for row in results.compare(folder, folder).rows if row.metric == "miou"]
    assert (row.base, row.head, row.seeds) == (pytest.approx(0.7), pytest.approx(0.7), (2, 2))


def test_a_speed_that_cannot_be_compared_is_no_part_of_its_cell_s_mean(tmp_path):
    cells = {"ce": {seed: (0.7 + 0.001 * seed, speed) for seed, speed in enumerate((40.0, 41.0, 10.0))}}
    folder = made.made_run(tmp_path / "r", cells)
    shared = results.read(folder / "trials" / "ce-s2")
    speed = shared.throughput.model_copy(update={"comparable": False, "reason": "trials shared the cores"})
    results.write(folder / "trials" / "ce-s2", shared.model_copy(update={"throughput": speed}))
    (row,) = [row for row in results.compare(folder, folder).rows if row.metric == "images_per_second"]
    assert (row.base, row.head, row.seeds) == (pytest.approx(np.sqrt(40 * 41)), pytest.approx(np.sqrt(40 * 41)), (2, 2))
    assert row.reason == "1 of base's 3 seeds without a value, 1 of head's 3 seeds without a value"


def test_speeds_none_of_which_can_be_compared_are_not_missing(base, tmp_path):
    head = made.made_run(tmp_path / "h", numbers(5))
    for trial in (head / "trials").glob("dice-*"):
        record = results.read(trial)
        speed = record.throughput.model_copy(update={"comparable": False, "reason": "trials shared the cores"})
        results.write(trial, record.model_copy(update={"throughput": speed}))
    for pair, side in (((base, head), "head"), ((head, base), "base")):
        rows = {row.label: row for row in results.compare(*pair).rows if row.metric == "images_per_second"}
        assert (rows["dice"].verdict, rows["dice"].reason) == ("not comparable", f"{side}: trials shared the cores")
        assert rows["ce"].verdict == "ok"


def _tuned(folder, start, rate, drop=0, root="/here"):
    """A run whose search gave dice this rate."""
    made.made_run(folder, numbers(start, drop={"dice": drop}))
    for trial in sorted((folder / "trials").iterdir()):
        found = results.read(trial)
        if found.label == "dice":
            spec = {**found.spec, "train": {**found.spec["train"], "learning_rate": rate}, "data": {"root": root}}
            tuning = {"field": "train.learning_rate", "chosen": rate}
            results.write(trial, found.model_copy(update={"cell": f"{rate}", "spec": spec, "tuning": tuning}))
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace(made.key("dice"), f"{rate}"))
    return folder


def test_cells_whose_search_chose_another_rate_are_compared_at_their_own_best(tmp_path):
    base, head = _tuned(tmp_path / "b", 0, 1e-3), _tuned(tmp_path / "h", 5, 3e-3, 0.03, "/there")
    found = results.compare(base, head)
    assert verdicts(found) == {"ce": "ok", "dice": "regressed", "bce": "ok", "focal": "ok"}
    assert not verdicts(found, "trials")
    assert [row.reason for row in found.failing] == ["train.learning_rate: 0.001 / 0.003"]


@pytest.mark.parametrize("searched", ["b", "h", "other field"])
def test_a_rate_that_no_search_chose_makes_another_cell(tmp_path, searched):
    """Both sides have to have searched it: what one side was merely given is a setting."""
    sides = {"b": _tuned(tmp_path / "b", 0, 1e-3), "h": _tuned(tmp_path / "h", 5, 3e-3)}
    for name, folder in sides.items():
        for trial in (folder / "trials").glob("dice-*"):
            tuning = {"field": "optimizer.decay", "chosen": 1} if searched == "other field" else None
            if name != searched:
                results.write(trial, results.read(trial).model_copy(update={"tuning": tuning}))
    found = results.compare(sides["b"], sides["h"])
    assert not found.retuned
    assert found.added == ("dice",)
    assert [(row.label, row.verdict) for row in found.failing] == [("dice", "missing")]
    assert "its dice has another setting (train.learning_rate: 0.001 / 0.003)" in found.failing[0].reason


def test_a_metric_that_head_lost_fails(base, tmp_path):
    cells = numbers(5)
    views = [
        {"images": 3, "miou": 0.7, "iou": [0.7, 0.7]},
        {"view": "flip", "images": 3, "miou": 0.7, "iou": [0.7, 0.7]},
    ]
    old = made.made_run(tmp_path / "old", cells, views=views)
    found = results.compare(old, made.made_run(tmp_path / "new", cells, views=views[:1]))
    assert {(row.view, row.verdict) for row in found.failing} == {("flip", "missing")}
    assert len(found.failing) == len(LABELS)


def test_another_machine_or_data_set_is_not_comparable(base, tmp_path):
    other = made.made_run(
        tmp_path / "machine", numbers(5), machine={**made.MACHINE, "cores": 4, "tensorflow": "2.15.1"}
    )
    found = results.compare(base, other)
    assert set(verdicts(found, "images_per_second").values()) == {"not comparable"}
    assert set(verdicts(found, "peak_rss_mb").values()) == {"not comparable"}
    assert "not comparable" not in verdicts(found).values()
    assert {row.reason for row in found.rows if row.metric == "images_per_second"} == {"cores differs: 2 / 4"}
    assert found.differences == {"cores": ("2", "4"), "tensorflow": ("2.21.0", "2.15.1")}
    assert found.outcome == "ok", "every mIoU was compared; a speed that cannot be is no gap"
    data = made.made_run(tmp_path / "data", numbers(5), version="v2")
    assert set(verdicts(results.compare(base, data)).values()) == {"not comparable"}
    assert np.isnan(results.compare(base, data).headline.estimate)
    assert set(verdicts(results.compare(base, data), "images_per_second").values()) == {"ok"}
    assert results.compare(base, data).outcome == "incomplete", "no mIoU was compared, so speed alone blesses nothing"
    soft = margins.Margins(metrics={"soft_dice": margins.Metric(scale="difference", better="higher", margin=0.01)})
    views = [{"images": 3, "published": {"soft_dice": 0.7}}]
    pair = [made.made_run(tmp_path / name, numbers(), version=name, views=views) for name in ("d1", "d2")]
    assert set(verdicts(results.compare(*pair, soft), "soft_dice").values()) == {"not comparable"}


def test_an_interrupted_record_makes_no_difference_between_environments(base, tmp_path):
    head = made.made_run(tmp_path / "head", numbers(5))
    trial = next((head / "trials").iterdir())
    cut = results.read(trial)
    less = {name: value for name, value in cut.environment.items() if name != "cores"}
    results.write(trial, cut.model_copy(update={"status": "interrupted", "environment": less, "views": []}))
    assert results.compare(base, head).differences == {}


def test_another_pillow_and_one_that_older_records_do_not_name_are_told(base, tmp_path):
    old, new = (
        made.made_run(tmp_path / version, numbers(5), machine=made.MACHINE | {"pillow": version})
        for version in ("12.3.0", "13.0.0")
    )
    across = results.compare(old, new)
    assert across.differences == {"pillow": ("12.3.0", "13.0.0")}
    assert not any(row.verdict == "not comparable" for row in across.rows if row.metric == "miou")
    assert "pillow" in markdown.render(document(across, figures=False))
    assert results.compare(base, new).differences["pillow"][1] == "13.0.0"
    assert results.compare(new, new).differences == {}


def test_a_page_names_a_release_and_not_its_folder_and_says_why_90_percent():
    release = results.locate("0.1.0") / "losses"
    page = markdown.render(document(results.compare(release, release), figures=False))
    assert "Base `release 0.1.0/losses` (21 trials, " in page
    assert str(ROOT) not in page
    assert "90 % interval" in page
    assert "reports, which ask in both directions, show 95 % intervals" in page


def test_scores_of_two_versions_are_not_compared(base, tmp_path):
    old = made.made_run(tmp_path / "old", numbers(5), scoring=1)
    found = results.compare(old, base)
    scores = [row for row in found.rows if row.metric == "miou"]
    assert {(row.verdict, row.reason) for row in scores} == {("not comparable", "scores of version 1 and 2")}
    assert np.isnan(found.headline.estimate)
    assert found.outcome == "incomplete", "no mIoU was compared"
    assert set(verdicts(found, "images_per_second").values()) == {"ok"}
    assert "not comparable" not in verdicts(results.compare(old, old)).values()
    (mixed := tmp_path / "mixed").mkdir()
    shutil.copytree(old, mixed, dirs_exist_ok=True)
    label = sorted(LABELS)[0]
    shutil.copytree(base / "trials" / f"{label}-s0", mixed / "trials" / f"{label}-s0", dirs_exist_ok=True)
    told = {row.label: row.verdict for row in results.compare(mixed, mixed).rows if row.metric == "miou"}
    assert [name for name, verdict in told.items() if verdict == "not comparable"] == [label], "on both sides are both"


NEAR, FAR = 231.0, 583.0


def placed(tmp_path, base, head, slower=0.8):
    """Two runs of equal speed where the cores are near each other, of less where they are not: {seed: hand-over}."""
    both = []
    for name, times in (("base", base), ("head", head)):
        speeds = {seed: (0.7, (40 if ns == NEAR else 40 * slower) + 0.01 * seed) for seed, ns in times.items()}
        both.append(made.made_run(tmp_path / name, {"ce": speeds}, hand_over_ns=times))
    return both


def speed_row(pair):
    (row,) = (row for row in results.compare(*pair).rows if row.metric == "images_per_second")
    return row


def test_speeds_are_compared_within_one_placement_of_the_cores(tmp_path):
    """Head had its cores apart in two trials of five, base in none: 13 % slower on average, and equal where alike."""
    pair = placed(tmp_path, dict.fromkeys(range(5), NEAR), {0: FAR, 1: NEAR, 2: NEAR, 3: FAR, 4: NEAR})
    row = speed_row(pair)
    assert (row.verdict, row.seeds) == ("ok", (5, 3))
    assert row.change == pytest.approx(0, abs=0.001)
    assert "2 of head's 5 seeds without a value" in row.reason


def test_a_slow_down_is_found_in_the_placement_of_most_trials_of_both(tmp_path):
    pair = placed(tmp_path, {0: FAR, 1: FAR, 2: NEAR}, dict.fromkeys(range(4), FAR))
    assert speed_row(pair).seeds == (2, 4)


def test_runs_whose_cores_were_placed_otherwise_have_no_speed_in_common(tmp_path):
    old, new = placed(tmp_path, dict.fromkeys(range(5), NEAR), dict.fromkeys(range(5), FAR))
    row = speed_row((old, new))
    assert (row.verdict, row.reason) == (
        "not comparable",
        "head: the cores of this machine were placed otherwise (583 ns for a hand-over, mostly 231 ns)",
    )
    frame = results.load(new)
    assert frame["throughput_comparable"].all(), "alone it is compared with itself"


def test_a_table_marks_the_trials_whose_cores_were_placed_otherwise(tmp_path):
    _, run = placed(tmp_path, {0: NEAR}, {0: NEAR, 1: FAR, 2: NEAR})
    frame = results.load(run).set_index("seed")
    assert frame["throughput_comparable"].tolist() == [True, False, True]
    assert frame.loc[1, "throughput_reason"] == (
        "the cores of this machine were placed otherwise (583 ns for a hand-over, mostly 231 ns)"
    )
    assert frame.loc[1, "images_per_second"] == pytest.approx(32.01), "what was measured stays"
    summary = summarize(results.read_run(run))
    assert summary.incomparable == ["the cores of this machine were placed otherwise"], "once, without figures"
    assert (summary.untimed, summary.timed) == (1, True)


def test_a_record_that_says_nothing_of_its_cores_is_compared_as_ever(tmp_path):
    pair = placed(tmp_path, dict.fromkeys(range(5)), dict.fromkeys(range(5), FAR), slower=1)
    assert speed_row(pair).seeds == (5, 5)


@pytest.mark.parametrize("what", [("instructions", "avx2", "avx512f"), ("onednn", "0", "1")])
def test_machines_that_differ_are_not_comparable_in_speed(tmp_path, what):
    name, *values = what
    old, new = (made.made_run(tmp_path / value, numbers(5), machine={**made.MACHINE, name: value}) for value in values)
    found = results.compare(old, new)
    assert {row.reason for row in found.rows if row.metric == "images_per_second"} == {
        f"{name} differs: {values[0]} / {values[1]}"
    }
    assert "not comparable" not in verdicts(found).values()


def test_speed_and_memory_of_a_forked_process_are_not_compared_with_those_of_a_fresh_one(base, tmp_path):
    """Records of before, which do not say it, are of fresh processes."""
    fresh, forked = (
        made.made_run(tmp_path / kind, numbers(5), machine={**made.MACHINE, "process": kind})
        for kind in ("fresh", "forked")
    )
    found = results.compare(base, forked)
    for metric in ("images_per_second", "peak_rss_mb"):
        assert {row.reason for row in found.rows if row.metric == metric} == {
            "the kind of process differs: fresh / forked"
        }
        for same in ((base, fresh), (forked, forked)):
            assert set(verdicts(results.compare(*same), metric).values()) == {"ok"}
    assert set(verdicts(found).values()) == {"ok"}, "mIoU is judged all the same"


SPOKEN = ("processor", "instructions", "onednn", "cores", "gpus", "gpu_names", "device", "replicas", "precision")


@pytest.mark.parametrize(("name", "said"), [*zip(SPOKEN, ["nothing", None, ""] * 3, strict=True)])
def test_what_a_record_does_not_say_is_unknown_and_not_equal(base, tmp_path, name, said):
    """Neither beside a record that says it nor beside one that does not say it either; mIoU is judged all the same."""
    machine = {field: value for field, value in made.MACHINE.items() if field != name}
    machine |= {} if said == "nothing" else {name: said}
    silent = made.made_run(tmp_path / "silent", {"ce": numbers(5)["ce"]}, machine=machine)
    for pair, side in (((base, silent), "head"), ((silent, base), "base"), ((silent, silent), "base")):
        found = results.compare(*pair, only="ce")
        for metric in ("images_per_second", "peak_rss_mb"):
            (row,) = [row for row in found.rows if row.metric == metric]
            assert (row.verdict, row.reason) == ("not comparable", f"{side} does not say its {name}")
        assert set(verdicts(found).values()) == {"ok"}


def test_on_gpus_a_record_has_to_say_whether_products_were_rounded(tmp_path):
    machine = {**made.MACHINE, "device": "gpu", "gpus": ["H"], "gpu_names": ["H"]}
    silent = made.made_run(tmp_path / "silent", {"ce": numbers(5)["ce"]}, machine=machine)
    spoken = made.made_run(tmp_path / "spoken", {"ce": numbers(5)["ce"]}, machine={**machine, "tensor_float_32": False})
    (row,) = [row for row in results.compare(silent, spoken).rows if row.metric == "images_per_second"]
    assert (row.verdict, row.reason) == ("not comparable", "base does not say its tensor_float_32")
    assert set(verdicts(results.compare(spoken, spoken), "images_per_second").values()) == {"ok"}


@pytest.mark.parametrize("path", ["train.deterministic", "train.eager", "placement.cpus"])
def test_a_way_to_run_that_a_record_does_not_say_is_unknown(base, tmp_path, path):
    head = made.made_run(tmp_path / "head", {"ce": numbers(5)["ce"]})
    section, name = path.split(".")
    for trial in (head / "trials").iterdir():
        record = results.read(trial)
        kept = {field: value for field, value in record.spec[section].items() if field != name}
        results.write(trial, record.model_copy(update={"spec": {**record.spec, section: kept}}))
    (row,) = [row for row in results.compare(base, head, only="ce").rows if row.metric == "images_per_second"]
    assert (row.verdict, row.reason) == ("not comparable", f"head does not say its {path}")


def test_speed_and_memory_of_a_published_release_are_not_comparable_and_its_miou_is():
    found = results.compare("0.1.0", "0.1.0", only="cross_entropy*")
    for metric in ("images_per_second", "peak_rss_mb"):
        assert {(row.verdict, row.reason) for row in found.rows if row.metric == metric} == {
            ("not comparable", "base does not say its instructions, onednn")
        }
    assert set(verdicts(found).values()) <= {"ok", "inconclusive"}


def test_a_relative_speed_is_judged_where_the_margins_say_so_and_within_one_reference(tmp_path):
    """Half the machine, half the images/s, and the same speed relative to the reference; of another version, none."""
    rules = margins.Margins(metrics={"images_per_100_gflop": {"scale": "ratio", "better": "higher", "margin": 0.02}})

    def run(name, gflops, version):
        folder = made.made_run(tmp_path / name, {"ce": {seed: (0.7, gflops * (1 + 0.001 * seed)) for seed in range(3)}})
        for trial in (folder / "trials").iterdir():
            record = results.read(trial)
            reference = results.Reference(version=version, gflops=[gflops] * 2)
            relative = 100 * record.throughput.images_per_second / gflops
            told = {"reference": reference, "images_per_100_gflop": relative}
            results.write(trial, record.model_copy(update={"throughput": record.throughput.model_copy(update=told)}))
        return folder

    fast, slow, other = run("fast", 80.0, 1), run("slow", 40.0, 1), run("other", 80.0, 2)
    (row,) = results.compare(fast, slow, rules).rows
    assert (row.verdict, row.change) == ("ok", pytest.approx(0, abs=1e-9))
    (row,) = results.compare(fast, other, rules).rows
    assert (row.verdict, row.reason) == ("not comparable", "the reference's version differs: 1 / 2")


def test_a_terminal_gives_a_reason_once_however_many_rows_have_it(base, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    machine = {**made.MACHINE, "instructions": "avx2"}
    assert status(base, made.made_run(tmp_path / "other", numbers(5), machine=machine)) == 0
    told = capsys.readouterr().out
    reason = "instructions differs: avx512f / avx2"
    (line,) = [line for line in told.splitlines() if reason in line]
    who = [part.strip() for part in line.removesuffix(f": {reason}").split(",")]
    assert who[:2] == ["4 cells", "images/s"]
    assert {"memory peak", "compile"} <= {*who}
    assert "watched" not in told.partition(reason)[0], "a watched metric that has no numbers takes no row of the table"


def test_a_throughput_that_never_settled_is_not_comparable(base, tmp_path):
    cells = {label: {seed: (pair[0], None) for seed, pair in seeds.items()} for label, seeds in numbers(5).items()}
    head = made.made_run(tmp_path / "head", cells)
    rows = [row for row in results.compare(base, head).rows if row.metric == "images_per_second"]
    assert {(row.verdict, row.reason) for row in rows} == {("not comparable", "head: the rate had not settled")}
    assert status(base, head) == 0


def test_memory_is_watched_and_gates_when_the_margins_say_so(base, tmp_path):
    head = made.made_run(tmp_path / "head", numbers(5), memory={"peak_rss_mb": 1200.0})
    watched = {row.label: row.verdict for row in results.compare(base, head).rows if row.metric == "peak_rss_mb"}
    assert set(watched.values()) == {"regressed"}, "200 MiB more than 1002: above 1 % and 64 MiB"
    assert status(base, head) == 0
    rules = tmp_path / "rules.yaml"
    rules.write_text("metrics:\n  peak_rss_mb: {scale: ratio, better: lower, margin: 0.01, floor: 64}\n")
    assert status(base, head, margins=rules) == 1
    _, figure = forest(results.compare(base, head, margins.read(str(rules))))
    assert "the lowest against its margin is " in figure.alt
    assert figure.alt.endswith("+19.8 %.")
    assert figure.caption.endswith("Left of it is worse; right of it for memory peak, MiB.")
    rules.write_text("metrics:\n  peak_rss_mb: {scale: ratio, better: lower, margin: 0.01, floor: 300}\n")
    assert status(base, head, margins=rules) == 0


def test_a_wider_margin_for_some_cells(base, tmp_path):
    head = made.made_run(tmp_path / "head", numbers(5, drop={"dice": 0.03}))
    rules = margins.Margins(
        metrics={"miou": {"scale": "difference", "better": "higher", "margin": 0.005}},
        cells=[{"match": "di*", "margins": {"miou": 0.05}}],
    )
    assert verdicts(results.compare(base, head, rules))["dice"] == "ok"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("metrics: {iou: {scale: ratio, better: higher, margin: 0.1}}", "unknown metric 'iou'; did you mean 'miou'"),
        ("metrics: {miou: {scale: ratio, better: up, margin: 0.1}}", "metrics.miou.better: "),
        ("metrics: {miou: {scale: ratio, better: higher, margin: 0}}", "metrics.miou.margin: "),
        ("cells: [{match: x, margins: {miou: 1}}]\nmetrics: {}", "metric 'miou' is not under `metrics`"),
        ("{", "not YAML"),
    ],
)
def test_bad_margins_are_one_line(base, tmp_path, capsys, text, reason):
    rules = tmp_path / "rules.yaml"
    rules.write_text(text)
    assert status(base, base, margins=rules) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert str(rules) in error


def test_incomplete_comes_before_regressed(base, tmp_path, capsys):
    cells = numbers(5, drop={"dice": 0.03})
    head = made.made_run(tmp_path / "head", cells, planned={"ce": [*cells["ce"], 99]})
    assert status(base, head) == 4
    assert "no record of ce, seed 99" in capsys.readouterr().out
    assert "incomplete" in (head / "NOT_BLESSED").read_text()
    assert status(base, head, allow_incomplete=True) == 1
    (head / "trials" / "bce-s5" / "record.json").write_text('{"schema_version": 99}')
    assert status(base, head) == 4
    assert "version 99 is newer" in capsys.readouterr().out


def test_what_cannot_be_compared_at_all_is_one_line(base, tmp_path, capsys):
    other = made.made_run(tmp_path / "other", {"rmi": {0: (0.5, 40.0)}})
    longer = made.made_run(tmp_path / "longer", numbers(5), epochs=9)
    (tmp_path / "empty" / "trials").mkdir(parents=True)
    for head, reason in [
        (other, "share no cell"),
        (longer, "another setting (train.epochs: 3 / 9)"),
        (tmp_path / "empty", "there is no record of a trial"),
        (tmp_path / "othr", "did you mean"),
    ]:
        assert status(base, head) == 2
        error = capsys.readouterr().err
        assert reason in error
        assert error.count("\n") == 1
    assert status(base, base, only="x*") == 2


def test_a_head_that_measured_nothing_is_incomplete(base, tmp_path):
    cells = {label: {seed: (float("nan"), None) for seed in range(5, 8)} for label in LABELS}
    head = made.made_run(tmp_path / "head", cells)
    found = results.compare(base, head)
    assert set(verdicts(found).values()) == {"missing"}
    assert status(base, head) == 1
    assert status(head, head) == 4


def _two(tmp_path, change=lambda cells: None, **more):
    """Two runs of equal numbers, changed alike."""
    cells = numbers()
    change(cells)
    return [made.made_run(tmp_path / side, cells, **more) for side in ("b", "h")]


def _failed(cells):
    cells["dice"] = dict.fromkeys(cells["dice"])


def _without_score(cells):
    cells["dice"] = {seed: (float("nan"), rate) for seed, (_, rate) in cells["dice"].items()}


@pytest.mark.parametrize(
    ("change", "planned", "gap"),
    [
        (_failed, None, "dice: no trial ended well on either side"),
        (_without_score, None, "dice: no trial measured miou on either side"),
        (lambda cells: cells.pop("dice"), {"dice": []}, "dice: no trial ended well on either side"),
        (lambda cells: cells.pop("dice"), {"dice": [0]}, "h: no record of dice, seed 0"),
    ],
)
def test_what_no_side_measured_of_a_planned_cell_blesses_nothing(tmp_path, capsys, change, planned, gap):
    base, head = _two(tmp_path, change, planned=planned)
    assert status(base, head) == 4
    assert f"  {gap}\n" in capsys.readouterr().out
    assert f"incomplete: {gap}\n" in (head / "NOT_BLESSED").read_text()
    assert not (head / "BLESSED").exists()
    assert status(base, head, only="[!d]*") == 0, "the other cells by themselves are fine"
    assert status(base, head, allow_incomplete=True) == 0


def test_two_runs_of_failures_alone_bless_nothing_whatever_is_allowed(tmp_path):
    base, head = _two(tmp_path, lambda cells: cells.update({label: dict.fromkeys(range(3)) for label in LABELS}))
    assert len(results.compare(base, head).unjudged) == len(LABELS)
    assert status(base, head) == status(base, head, allow_incomplete=True) == 4


def test_a_cell_that_only_head_has_must_have_ended_well(base, tmp_path):
    cells = numbers(5) | {"rmi": dict.fromkeys(range(3))}
    found = results.compare(base, made.made_run(tmp_path / "h", cells))
    assert (found.outcome, found.gaps) == ("incomplete", ("rmi: no trial ended well in head",))
    cells["rmi"][0] = (0.5, 40.0)
    assert results.compare(base, made.made_run(tmp_path / "h", cells)).outcome == "ok"


def test_a_cell_that_failed_in_base_and_partly_in_head_is_no_gap(tmp_path):
    cells = numbers()
    head = made.made_run(tmp_path / "h", cells | {"dice": {0: None, 1: (0.7, 40.0), 2: (0.71, 40.0)}})
    _failed(cells)
    assert results.compare(made.made_run(tmp_path / "b", cells), head).outcome == "ok"


def test_a_cell_of_another_data_set_is_not_judged_by_the_others(base, tmp_path):
    head = made.made_run(tmp_path / "h", numbers(5))
    for trial in (head / "trials").glob("dice-*"):
        record = results.read(trial)
        changed = record.dataset.model_copy(update={"version": "v2"})
        results.write(trial, record.model_copy(update={"dataset": changed}))
    found = results.compare(base, head)
    assert found.gaps == ("dice: miou could not be compared: the data set's version differs: v1 / v2",)
    assert found.outcome == "incomplete"


def test_the_reason_of_a_gap_is_that_of_its_cell_and_score(base, tmp_path):
    cells = numbers(5)
    cells["bce"] = {seed: (miou, None) for seed, (miou, _) in cells["bce"].items()}
    cells["dice"] = {seed: (miou, None) for seed, (miou, _) in cells["dice"].items()}
    head = made.made_run(tmp_path / "h", cells)
    for trial in (head / "trials").glob("dice-*"):
        record = results.read(trial)
        results.write(trial, record.model_copy(update={"dataset": record.dataset.model_copy(update={"version": "v2"})}))
    assert results.compare(base, head).gaps == (
        "dice: miou could not be compared: the data set's version differs: v1 / v2",
    )


def test_a_view_that_failed_on_both_sides_is_a_gap_and_one_that_head_has_is_none(tmp_path):
    views = [{"view": name, "images": 3, "miou": 0.7, "iou": [0.7, 0.7]} for name in ("default", "flip")]
    runs = {}
    for name, some in (("failed", views[:1]), ("scored", views)):
        lost = {} if some == views else {"flip": "out of memory"}
        runs[name] = made.made_run(tmp_path / name, numbers(), views=some, failed_views=lost)
    both = results.compare(runs["failed"], runs["failed"])
    assert both.outcome == "incomplete"
    assert both.gaps == tuple(f"{label}, view flip: measured by no trial on either side" for label in LABELS)
    more = results.compare(runs["failed"], runs["scored"])
    assert more.outcome == "ok"
    told = {(row.verdict, row.reason) for row in more.rows if row.view == "flip"}
    assert told == {("not comparable", "base did not measure it")}
    assert results.compare(runs["scored"], runs["failed"]).outcome == "regressed"


def test_a_cell_that_both_sides_shrank_is_judged_at_its_smaller_batch(tmp_path):
    """As for the run itself, a trial that ran out of memory and ended well with half the batch is done."""

    def run(name, smaller):
        cells = numbers() | {"dice": dict.fromkeys(range(3)), "dice batch 4": smaller}
        folder = made.made_run(tmp_path / name, cells)
        for trial in (folder / "trials").glob("dice-s*"):
            results.write(trial, results.read(trial).model_copy(update={"status": "oom"}))
        for trial in (folder / "trials").glob("dice batch 4-s*"):
            named = results.read(trial).model_copy(update={"trial": f"dice-s{trial.name[-1]}-batch4"})
            results.write(trial, named)
        manifest = json.loads((folder / "run.json").read_text())
        manifest["cells"] = [cell for cell in manifest["cells"] if cell["label"] != "dice batch 4"]
        (folder / "run.json").write_text(json.dumps(manifest))
        return folder

    well = {seed: (0.7 + 0.001 * seed, 40.0) for seed in range(3)}
    assert results.compare(run("b", well), run("h", well)).outcome == "ok"
    found = results.compare(run("b2", dict.fromkeys(range(3))), run("h2", dict.fromkeys(range(3))))
    assert found.gaps == ("dice: no trial ended well on either side",)


def test_every_format_states_the_same(base, tmp_path, capsys, monkeypatch):
    head = made.made_run(tmp_path / "head", numbers(5, drop={"dice": 0.03}))
    capsys.readouterr()
    told = {}
    for name in ("table", "md", "json", "html", "github"):
        assert status(base, head, format=compare.Format(name)) == 1
        told[name] = capsys.readouterr().out
    plain = json.loads(told["json"], parse_constant=lambda name: pytest.fail(f"bare {name}"))
    dice = next(row for row in plain["rows"] if (row["label"], row["metric"]) == ("dice", "miou"))
    assert plain["blessed"] is False
    assert dice["verdict"] == "regressed"
    shown = f"{100 * dice['change']:+.2f} pt"
    for name in ("table", "md", "html", "github"):
        assert shown in told[name], name
        assert "dice" in told[name], name
    assert told["github"].count("::error title=bench.compare regressed::regressed: dice, mIoU") == 1
    assert "90 %25 interval" in told["github"], "a bare percent sign would be taken for an escape"
    assert told["html"].count("data:image/png;base64,") == 1
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    status(base, head, format=compare.Format.github)
    assert shown in summary.read_text()
    assert shown not in capsys.readouterr().out.split("::error")[0]


def test_one_seed_without_any_noise_estimate_is_no_verdict(tmp_path):
    runs = [made.made_run(tmp_path / name, {"ce": {seed: (0.7 - 0.2 * seed, 40.0)}}) for seed, name in enumerate("ab")]
    found = results.compare(*runs)
    rows = {row.metric: row for row in found.rows if row.gate}
    assert (rows["miou"].verdict, rows["miou"].reason) == (
        "inconclusive",
        "no noise estimate: at least 2 seeds are needed",
    )
    assert rows["miou"].change == pytest.approx(-0.2)


def test_releases_are_frozen_checked_and_compared(base, tmp_path, monkeypatch, capsys):
    from bench import history, publish

    tree = tmp_path / "tree"
    (tree / "results" / "releases").mkdir(parents=True)
    monkeypatch.chdir(tree)
    old = Path(shutil.copytree(base, tree / "runs" / "old"))
    new = made.made_run(tree / "runs" / "new", numbers(5, drop={"dice": 0.03}))
    (old / "trials" / "ce-s0" / "log.txt").write_text(f"what it said of {tree}/pets/a.jpg")
    for path in (old / "run.json", old / "trials" / "ce-s0" / "record.json"):
        data = json.loads(path.read_text())
        data |= {"command": f"bench.run --data-root {tree}/pets --out {tree}/runs"} if "command" in data else {}
        if "spec" in data:
            data["spec"]["data"] = {"root": f"{tree}/pets"}
        path.write_text(json.dumps(data))
    heads = made.made_run(tree / "runs" / "heads", {"subpixel": {0: (0.6, 30.0), 1: (0.61, 31.0)}}, grid="heads")

    def run(command, *arguments, **options):
        with pytest.raises(SystemExit) as caught:
            command(*arguments, **options)
        return caught.value.code

    assert run(publish.main, [old, heads], "0.1.0") == 0
    frozen = tree / "results" / "releases" / "0.1.0"
    assert {path.name for path in frozen.iterdir()} == {"losses", "heads", "run.json", "SHA256SUMS"}
    assert (frozen / "losses" / "report" / "report.html").is_file()
    assert subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=frozen, check=False).returncode == 0
    assert len(results.load("0.1.0")) == len(results.load(old)) + 2
    assert run(publish.main, [new], "0.1.0") == 2
    assert "published already" in capsys.readouterr().err
    assert run(publish.main, [new], "next") == 2

    log = frozen / "losses" / "trials" / "ce-s0" / "log.txt"
    assert log.read_text() == "what it said of pets/a.jpg"
    assert [path for path in frozen.rglob("*") if path.is_file() and str(tmp_path).encode() in path.read_bytes()] == []
    assert "bench.run --data-root pets --out runs" in (frozen / "losses" / "report" / "report.md").read_text()
    link = re.search(r'href="([^"]*ce-s0/log.txt)"', (frozen / "losses" / "report" / "report.html").read_text())[1]
    assert (frozen / "losses" / "report" / link).resolve() == log.resolve()

    assert status("0.1.0", new) == 1  # for its dice: the release's other grid is none of its business
    found = results.compare("0.1.0", new)
    assert {(row.label, row.metric) for row in found.failing} == {("dice", "miou")}
    assert found.base.name == "0.1.0/losses"
    assert run(publish.main, [new], "0.2.0") == 0
    assert results.published() == ["0.1.0", "0.2.0"]
    capsys.readouterr()
    assert run(history.main, None, "miou", "dice") == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("dice"))
    assert line.rstrip().endswith("▼")
    assert run(history.main, None, "mio") == 2
    assert run(history.main, None, "miou", "nothing") == 2
    assert run(history.main, [heads], "miou", "dice") == 0, "heads has no dice, and the others are shown all the same"
    assert run(history.main, [heads], format=history.Format.json) == 0
    assert '"0.1.0": {' in capsys.readouterr().out

    record = frozen / "losses" / "trials" / "ce-s0" / "record.json"
    record.write_text(record.read_text().replace('"seed": 0', '"seed": 9'))
    assert status("0.1.0", new) == 2
    assert "losses/trials/ce-s0/record.json changed after publishing" in capsys.readouterr().err

    lacking = made.made_run(tree / "runs" / "lacking", {"ce": {0: None, 1: (0.7, 40.0)}})
    assert run(publish.main, [lacking], "0.3.0") == 2
    assert "ce-s0: diverged" in capsys.readouterr().err
    assert [path.name for path in (tree / "results" / "releases").iterdir() if path.name.startswith(".")] == []


def test_a_run_whose_classes_have_no_names_is_told_of_it(tmp_path):
    from bench import publish

    nameless = {**DATASET, "class_names": ["class_0", "class_1"]}
    for number, (dataset, told) in enumerate([(DATASET, False), (nameless, True)]):
        run = made.made_run(tmp_path / str(number), {"ce": numbers(n=2)["ce"]}, dataset=dataset)
        assert ("classes have no names; a classes.yaml" in publish._unnamed(results.read_run(run))) == told


def test_a_run_is_compared_with_the_run_of_its_cells_in_a_release(base, tmp_path, monkeypatch):
    """A release may hold one grid on two data sets, and a run that shares some cells with another."""
    from bench import publish

    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "releases").mkdir(parents=True)
    other = made.made_run(tmp_path / "other", numbers(3, drop={"ce": 0.1}), epochs=4)
    few = made.made_run(tmp_path / "few", {"ce": numbers(9)["ce"]})
    with pytest.raises(SystemExit):
        publish.main([few, base, other], "1.0.0")
    for run, name in ((base, "base"), (other, "other")):
        found = results.compare("1.0.0", run)
        assert found.base.name == f"1.0.0/{name}"
        assert found.outcome == "ok"
        assert found.headline.method == "identical"


def _lines(runs, only="*"):
    return [line for line in results.cell_history(runs, only).lines if line.metric == "miou"]


def test_history_follows_cells_through_searches_and_failures(tmp_path):
    runs = [results.read_run(_tuned(tmp_path / f"{rate}", start, rate)) for start, rate in ((0, 1e-3), (5, 1e-2))]
    (line,) = _lines(runs, "dice")
    assert (line.label, line.view) == ("dice", "default"), "one cell, whatever its search chose"
    assert [point.verdict for point in line.points] == [None, "ok"]

    failing = made.made_run(tmp_path / "failing", {"dice": dict.fromkeys(range(3))}, epochs=5)
    before = made.made_run(tmp_path / "before", {"dice": dict.fromkeys(range(3), (0.7, 40.0))}, epochs=5)
    runs = [results.read_run(one) for one in (before, failing)]
    (line,) = _lines(runs)
    assert line.points[1].verdict == "newly failing"
    assert results.distinct_names(runs) == ["before", "failing"]


def test_history_marks_the_view_that_changed_and_no_other(tmp_path):
    cells = {"dice": dict.fromkeys(range(5), (0.7, 40.0))}
    views = [{"view": view, "images": 3, "miou": 0.7, "iou": [0.7, 0.7]} for view in ("default", "flip", "crf")]
    old = made.made_run(tmp_path / "old", cells, views=views)
    head = made.made_run(tmp_path / "head", {"dice": cells["dice"] | {4: None}}, views=views[:2])
    record = results.read(head / "trials" / "dice-s4")
    results.write(head / "trials" / "dice-s4", record.model_copy(update={"views": []}))
    last = {line.view: line.points[1] for line in _lines([results.read_run(one) for one in (old, head)])}
    assert last["default"].mean == last["flip"].mean == pytest.approx(0.7)
    assert last["default"].verdict == "newly failing", "how trials ended goes before what others measured"
    assert last["flip"].verdict == "ok"
    assert np.isnan(last["crf"].mean)
    assert last["crf"].verdict == "missing"


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    made_twice = [made.made_run(tmp_path / side / "losses", {"dice": numbers(3)["ce"]}) for side in ("old", "new")]
    other = made.made_run(tmp_path / "other", {"dice": numbers(3)["ce"]})
    names = results.distinct_names([results.read_run(one) for one in (*made_twice, other)])
    assert names == [str(tmp_path / "old" / "losses"), str(tmp_path / "new" / "losses"), "other"]


def test_the_commands_import_neither_tensorflow_nor_ray(base):
    code = (
        "import sys\nfrom bench import compare, history, publish, report\n"
        "try:\n    compare.main(sys.argv[1], sys.argv[1], only='ce')\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'tensorflow', 'keras', 'ray', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(base)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def test_a_crash_that_another_trial_of_its_seed_healed_is_none(base, tmp_path):
    cells = numbers(5)
    head = made.made_run(tmp_path / "head", cells)
    crashed = made.record("dice", 5, None).model_copy(update={"trial": "dice-s5-first"})
    results.write(head / "trials" / "dice-s5-first", crashed)
    assert "trials" not in {row.metric for row in results.compare(base, head).failing}
    results.write(head / "trials" / "dice-s6", made.record("dice", 6, None))
    (row,) = [row for row in results.compare(base, head).failing if row.metric == "trials"]
    assert (row.verdict, row.reason) == ("newly failing", "base 0 of 5 failed; head 1 of 5 failed (diverged)")


def decided(folder, cells, base, margin=0.02):
    """Make `folder` a run that had to decide whether a cell lost the margin against `base`."""
    plan = sequential.Plan("release", margin, 2, 3)
    scores = {made.key(label): {seed: pair[0] for seed, pair in seeds.items()} for label, seeds in base.items()}
    labels = {made.key(label): label for label in cells}
    manifest = json.loads((folder / "run.json").read_text())
    manifest |= results.Decision(plan, labels, "old", scores).plain()
    (folder / "run.json").write_text(json.dumps(manifest))
    return folder


def test_a_run_that_decided_is_judged_by_its_own_plan_and_by_no_test_of_a_fixed_number(tmp_path):
    old = {label: {seed: (0.7 + 0.001 * seed, 40.0) for seed in range(3)} for label in ("ce", "dice")}
    steps = {"ce": (0.0005, -0.0004, 0.0), "dice": (-0.101, -0.099, -0.1)}
    new = {label: {seed: (old[label][seed][0] + steps[label][seed], 40.0) for seed in range(3)} for label in old}
    base = made.made_run(tmp_path / "old", old)
    head = decided(made.made_run(tmp_path / "new", new), new, old)
    found = {row.label: row for row in results.compare(base, head).rows if row.metric == "miou"}
    assert {label: row.verdict for label, row in found.items()} == {"ce": "ok", "dice": "regressed"}
    look = results.decision_of(json.loads((head / "run.json").read_text())).look(
        one.record for one in results.read_run(head).trials
    )
    bounds = look.intervals[made.key("dice")]
    assert (found["dice"].low, found["dice"].high) == (bounds.low, bounds.high)
    assert found["dice"].reason == "judged by its plan (--until), over all looks"
    speeds = [row for row in results.compare(base, head).rows if row.metric == "images_per_second"]
    assert {(row.verdict, row.reason) for row in speeds} == {
        ("not comparable", "speed is not judged: base and head did not run in turns, as bench.versus runs them")
    }
    # Against any other base its number of seeds was not fixed.
    other = made.made_run(tmp_path / "other", {label: dict(list(seeds.items())[1:]) for label, seeds in old.items()})
    rows = [row for row in results.compare(other, head).rows if row.metric == "miou"]
    assert {row.verdict for row in rows} == {"not comparable"}
    assert "--until" in rows[0].reason


def test_scores_across_versions_of_the_augmentation_are_compared_and_it_is_said(tmp_path):
    """Records from before the field have version 1. Speed needs no remark, and equal versions need none."""
    new = made.MACHINE | {"augmentation": 2}
    old, two, again = (
        made.made_run(tmp_path / name, numbers(5), machine=machine)
        for name, machine in (("old", made.MACHINE), ("two", new), ("again", new))
    )
    across = {row.metric: row.reason for row in results.compare(old, two).rows if row.view == "default"}
    assert "augmentation of version 1 / 2: the same policy, other pixels from the same seed" in across["miou"]
    assert "augmentation" not in across["images_per_second"]
    assert not any("augmentation" in row.reason for row in results.compare(two, again).rows)
    assert not any(row.verdict == "not comparable" and row.metric == "miou" for row in results.compare(old, two).rows)
