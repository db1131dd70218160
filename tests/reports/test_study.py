"""The study's claims and tables on runs whose numbers are chosen, and the page that they are filled into."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import results
from bench import study as command
from bench.core import UsageError
from bench.study import __main__ as entry
from bench.study import parts
from reports import Document, claims, markdown
from reports.pages import study
from reports.pages.run import deciding
from tests.invented_runs.chosen import run_of_views

ROOT = Path(__file__).parents[2]
T_2, T_4 = 4.302653, 2.776445  # the 97.5 % quantiles of t with 2 and 4 degrees of freedom


CELLS = {"cross_entropy": [0.50, 0.52, 0.54], "dice": [0.56, 0.55, 0.60]}
CRF = {"cross_entropy": [0.51, 0.54, 0.57], "dice": [0.57, 0.54, 0.60]}


@pytest.fixture
def run(tmp_path):
    return run_of_views(tmp_path / "losses", CELLS, {"crf": CRF})


def test_a_claim_about_cells_of_the_same_seeds_takes_the_seeds_out(run):
    asked = [claims.Claim("Is Dice better?", "losses", "cross_entropy", "dice")]
    (one,) = claims.answers({"losses": results.read_run(run)}, asked, {})
    # Steps of .06, .03 and .06: variance .0003 with 2 degrees of freedom.
    half = T_2 * math.sqrt(0.0003 / 3)
    assert one.found.estimate == pytest.approx(0.05)
    assert (one.found.low, one.found.high) == pytest.approx((0.05 - half, 0.05 + half), rel=1e-6)
    assert one.seeds == 3


def test_a_part_says_which_cells_are_surely_not_the_best(tmp_path):
    """Steps .200 .202 .198: mean .2 less 2.92 times .002 / sqrt(3), with 2 degrees of freedom on one side: .1966."""
    cells = {"a": [0.700, 0.712, 0.721], "b": [0.500, 0.510, 0.523]}
    part = study.part(results.read_run(run_of_views(tmp_path / "losses", cells, {})))
    assert "**Surely not the best:** b (at least 19.7 points worse)" in markdown.render(Document("", part))


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        (0.0521, "at least 5.2 points worse"),
        (0.0006, "at least 0.1 points worse"),
        (0.0004, "worse, maybe by less than 0.1 points"),
    ],
)
def test_no_cell_is_at_least_zero_points_worse(bound, words):
    assert deciding._least(bound) == words


def test_a_claim_about_views_pairs_each_trial_with_itself(run):
    asked = [claims.Claim("Does the CRF help?", "losses", views=("default", "crf"))]
    (one,) = claims.answers({"losses": results.read_run(run)}, asked, {})
    # Changes .01 .02 .03 and .01 -.01 0: of the seeds .010 .005 .015, mean .01, deviation .005, 2 degrees of freedom.
    half = T_2 * 0.005 / math.sqrt(3)
    assert one.found.estimate == pytest.approx(0.01)
    assert (one.found.low, one.found.high) == pytest.approx((0.01 - half, 0.01 + half), rel=1e-6)


def test_a_claim_about_views_may_be_about_some_cells(run):
    asked = [claims.Claim("Does the CRF help?", "losses", views=("default", "crf"), cells=("cross_entropy",))]
    (one,) = claims.answers({"losses": results.read_run(run)}, asked, {})
    # Changes .01 .02 .03: mean .02, standard error .01 / sqrt(3), 2 degrees of freedom.
    half = T_2 * 0.01 / math.sqrt(3)
    assert one.found.estimate == pytest.approx(0.02)
    assert (one.found.low, one.found.high) == pytest.approx((0.02 - half, 0.02 + half), rel=1e-6)


def test_p_values_are_corrected_over_all_claims_that_were_run(run):
    runs = {"losses": results.read_run(run)}
    asked = [
        claims.Claim("cells", "losses", "cross_entropy", "dice"),
        claims.Claim("views", "losses", views=("default", "crf")),
        claims.Claim("elsewhere", "not run", "cross_entropy", "dice"),
    ]
    alone = [claims.answers(runs, [claim], {})[0].p for claim in asked[:2]]
    both = claims.answers(runs, asked, {})
    assert [one.claim.ask for one in both] == ["cells", "views"]
    assert min(one.p for one in both) == pytest.approx(2 * min(alone))


def test_the_rare_classes_are_those_that_are_named(run):
    read = results.read_run(run)
    assert claims.values(read, claims.RARE, rare=["little"])["dice"] == {0: 0.3, 1: 0.3, 2: 0.3}
    assert claims.values(read, claims.RARE, rare=["little", "much"])["dice"][1] == pytest.approx(0.55)
    with pytest.raises(ValueError, match="no class 'litle'"):
        claims.values(read, claims.RARE, rare=["litle"])


def test_a_seed_that_one_cell_lost_does_not_shift_the_seeds_of_the_others():
    first = {"a": {0: 0.5, 1: 0.5, 2: 0.5}, "b": {0: 0.5, 1: 0.5, 2: 0.5}}
    second = {"a": {1: 0.52, 2: 0.54}, "b": {0: 0.9, 1: 0.52, 2: 0.54}}
    found = claims.between_views(first, second)
    assert (found.estimate, found.df) == (pytest.approx(0.03), 1)


def test_what_was_not_seen_is_told_with_how_large_it_may_be(tmp_path):
    run = run_of_views(tmp_path / "losses", {"cross_entropy": [0.50, 0.52, 0.54], "dice": [0.56, 0.60, 0.55]})
    asked = claims.Claim("Is Dice better?", "losses", "cross_entropy", "dice")
    (one,) = claims.answers({"losses": results.read_run(run)}, [asked], {})
    text = markdown.render(Document("", [study.claims_table([one])]))
    assert f"| 3 | no significant difference; at most {100 * one.found.high:.1f} points |" in text


def test_fewer_than_three_seeds_carry_no_claim(tmp_path):
    cells = {"cross_entropy": [0.50, 0.501], "dice": [0.60, 0.601]}
    read = results.read_run(run_of_views(tmp_path / "two", cells))
    found = claims.answers({"two": read}, [claims.Claim("Is Dice better?", "two", "cross_entropy", "dice")], {})
    assert found[0].p < 0.05
    assert "| 2 | fewer than 3 seeds |" in markdown.render(Document("", [study.claims_table(found)]))


def test_a_claim_about_what_was_not_measured_says_so_and_costs_the_others_nothing(run):
    runs = {"losses": results.read_run(run)}
    sure = claims.Claim("cells", "losses", "cross_entropy", "dice")
    asked = [
        claims.Claim("Is focal better?", "losses", "cross_entropy", "focal"),
        claims.Claim("Does flipping help?", "losses", views=("default", "flip")),
        sure,
    ]
    found = claims.answers(runs, asked, {})
    assert [math.isnan(one.found.estimate) for one in found] == [True, True, False]
    assert found[2].p == claims.answers(runs, [sure], {})[0].p
    text = markdown.render(Document("", [study.claims_table(found)]))
    assert text.count("| – | – | – | 0 | not measured |") == 2


def test_changes_that_go_together_in_a_seed_are_one_a_seed():
    """Four cells that change alike in each seed are no more than that seed's change."""
    shift = {0: 0.01, 1: 0.02, 2: 0.06}
    first = {label: dict.fromkeys(range(3), 0.5) for label in "abcd"}
    wobble = {label: 1e-4 * (-1) ** index for index, label in enumerate("abcd")}
    second = {label: {seed: 0.5 + change + wobble[label] * seed for seed, change in shift.items()} for label in "abcd"}
    found = claims.between_views(first, second)
    deviation = math.sqrt(sum((change - 0.03) ** 2 for change in shift.values()) / 2)
    assert found.estimate == pytest.approx(0.03)
    assert found.df == 2
    assert found.high - found.estimate == pytest.approx(T_2 * deviation / math.sqrt(3), rel=1e-3)


def test_the_tables_of_a_part_hold_cells_views_and_classes(run):
    text = markdown.render(Document("", study.part(results.read_run(run), ["little"], classes=True)))
    assert "| dice | 3 | 57.00 |" in text
    # IoU of `much` is twice the mIoU less .3: changes of the seeds .02 .01 .03 mean .02, deviation .01.
    assert f"| much | 84.00 | 74.00 | +2.00 ± {100 * T_2 * 0.01 / math.sqrt(3):.2f} |" in text
    assert "| little | 30.00 | 30.00 | – |" in text
    assert "| 30.00 | 1.00 | a |" in text or "| 30.00 | – |" in text
    assert "Rare: little." in text
    assert "| cross\\_entropy | crf | 54.00 |" in text or "| cross_entropy | crf | 54.00 |" in text
    assert text.index("| much |") < text.index("| little |")
    assert "6 trials with code" in text


def test_a_part_of_one_cell_ranks_nothing(tmp_path):
    alone = run_of_views(tmp_path / "stride", {"32": CELLS["dice"]}, {"os16": {"32": [0.5, 0.5, 0.5]}})
    text = markdown.render(Document("", study.part(results.read_run(alone))))
    (row,) = [line for line in text.splitlines() if line.startswith("| 32 | 3 |")]
    assert "| 57.00 |" in row
    assert "A true difference" not in text


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
    manifest = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(manifest | {"status": "complete"}))
    command.write(command.read(planned), run.parent, page)
    text = page.read_text()
    assert text.startswith("Before.\n<!-- study losses -->\n| cell |")
    assert "old" not in text
    assert text.endswith("Between.\n<!-- study other -->\n*Not trained yet.*\n<!-- end -->\n")
    assert (page.parent / command.FIGURE).read_bytes().startswith(b"\x89PNG")
    command.write(command.read(planned), run.parent, page)
    assert page.read_text() == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "<!-- study losses -->\nold\n\nProse.\n<!-- study claims -->\nold\n<!-- end -->\n",
            "line 1: <!-- study losses --> has no <!-- end --> before <!-- study claims -->",
        ),
        ("<!-- note -->\n<!-- study losses -->\nProse.\n", "line 2: <!-- study losses --> has no <!-- end --> after"),
        ("<!-- study lossse -->\nold\n<!-- end -->\n", "the study has no such part; did you mean 'study losses'"),
        ("Prose.\n", "no <!-- study NAME -->"),
    ],
)
def test_a_page_that_cannot_be_filled_in_whole_stays_as_it_is(run, tmp_path, text, message):
    page, planned = tmp_path / "page.md", tmp_path / "study.yaml"
    page.write_text(text)
    planned.write_text(
        "preset: smoke\ndata: {d: {dataset: scenes, folder: x}}\n"
        "parts: {losses: {data: d, grid: losses-core, seeds: 3}}\nclaims: []\n"
    )
    with pytest.raises(UsageError, match=re.escape(message)) as error:
        command.write(command.read(planned), run.parent, page)
    assert str(error.value).startswith(f"{page}: ")
    assert page.read_text() == text
    assert not (page.parent / command.FIGURE).exists()


def test_records_that_cannot_be_read_take_no_tables_from_the_page(run, tmp_path):
    planned = tmp_path / "study.yaml"
    planned.write_text(
        "preset: smoke\ndata: {d: {dataset: scenes, folder: x}}\n"
        "parts: {losses: {data: d, grid: losses-core, seeds: 3, published: 9.9.9/gone}}\nclaims: []\n"
    )
    part = command.read(planned)
    with pytest.raises(ValueError, match=r"9.9.9/gone: no published records of part losses"):
        command.recorded(part, "losses", tmp_path / "none", published=True)
    next((run / "trials").glob("*/record.json")).write_text("{")
    with pytest.raises(ValueError, match="not JSON, or cut off"):
        command.recorded(part, "losses", run.parent)


def test_the_page_that_comes_along_follows_from_the_published_records(tmp_path):
    (tmp_path / "pictures").mkdir()
    kept, page = ROOT / "docs" / "study.md", tmp_path / "study.md"
    page.write_text(re.sub(r"(<!-- study [\w-]+ -->\n).*?(<!-- end -->)", r"\1\2", kept.read_text(), flags=re.DOTALL))
    command.write(command.read(command.DEFAULT), tmp_path / "none", page, published=True)
    assert page.read_text() == kept.read_text()


def test_a_run_of_ones_own_goes_before_the_published_records(run, tmp_path):
    planned = tmp_path / "study.yaml"
    planned.write_text(
        "preset: smoke\ndata: {d: {dataset: scenes, folder: x}}\n"
        "parts: {losses: {data: d, grid: losses-core, seeds: 3, published: 0.2.0-study.1/heads}}\nclaims: []\n"
    )
    part = command.read(planned)
    assert command.recorded(part, "losses", tmp_path / "none") is None
    assert len(command.recorded(part, "losses", tmp_path / "none", published=True).manifest["cells"]) == 4
    assert len(command.recorded(part, "losses", run.parent, published=True).manifest["cells"]) == len(CELLS)


def test_the_study_that_comes_along_is_about_grids_and_cells_that_exist():
    from bench.plan import grid

    planned = command.read(command.DEFAULT)
    cells = {name: {cell.label for cell in grid.load(part.grid).cells} for name, part in planned.parts.items()}
    for claim in planned.claims:
        assert {claim.first, claim.second, *claim.cells} - {""} <= cells[claim.part], claim.ask
        assert claim.metric in claims.METRICS
        assert bool(claim.views) != bool(claim.first and claim.second)


def test_a_part_is_begun_once_and_then_resumed(tmp_path, monkeypatch):
    planned = command.read(command.DEFAULT)
    begun = command.arguments(planned, "parts-losses", tmp_path / "data", tmp_path / "runs")
    assert "data.masks=masks_parts" in begun
    assert str(tmp_path / "data" / "ccp") in begun
    (tmp_path / "runs" / "parts-losses").mkdir(parents=True)
    resumed = command.arguments(planned, "parts-losses", tmp_path / "data", tmp_path / "runs")
    assert resumed[:2] == ["--resume", str(tmp_path / "runs" / "parts-losses")]
    for arguments in (begun, resumed):
        assert arguments[-2:] == ["--max-concurrent", "2"]
    assert "--max-concurrent" not in command.arguments(planned, "cats-heads", tmp_path / "data", tmp_path / "runs")
    monkeypatch.setattr(parts, "gpu_names", lambda: ["one", "two"])
    assert "--max-concurrent" not in command.arguments(planned, "parts-losses", tmp_path / "data", tmp_path / "runs")
    assert not command.complete(planned, "parts-losses", tmp_path / "runs")


def test_the_old_key_for_trials_at_once_is_still_read(tmp_path):
    text = "preset: a\ndata: {{d: {{dataset: s, folder: f}}}}\nclaims: []\n"
    text += "parts: {{p: {{data: d, grid: g, seeds: 3, {}}}}}\n"
    for key in ("trials_at_once", "abreast"):
        (tmp_path / "s.yaml").write_text(text.format(f"{key}: 2"))
        assert command.read(tmp_path / "s.yaml").parts["p"].trials_at_once == 2
    (tmp_path / "s.yaml").write_text(text.format("abreast: 2, trials_at_once: 2"))
    with pytest.raises(UsageError, match=r"abreast"):
        command.read(tmp_path / "s.yaml")


def test_a_part_with_a_trial_that_failed_is_shown_with_the_seeds_it_has(run, tmp_path):
    planned = command.Study.model_validate({
        "preset": "smoke", "data": {"d": {"dataset": "scenes", "folder": "x"}},
        "parts": {"losses": {"data": "d", "grid": "losses", "seeds": 3}}, "claims": [],
    })  # fmt: skip
    place = run / "trials" / "dice-s1"
    record = results.read(place)

    def become(status):
        error = results.Failure(kind="Diverged", message="the loss is NaN")
        change = {"status": status, "error": error, "views": []}
        results.write(place, record.model_copy(update=change))
        return command.recorded(planned, "losses", tmp_path)

    assert become("interrupted") is None
    assert "| dice | 2 of 3 |" in markdown.render(Document("", study.part(become("diverged"))))
    (place / "record.json").unlink()
    assert command.recorded(planned, "losses", tmp_path) is None


def test_a_part_is_complete_when_its_run_says_so_and_has_all_seeds(run, tmp_path):
    manifest = json.loads((run / "run.json").read_text())
    study = command.Study.model_validate({
        "preset": "smoke", "data": {"d": {"dataset": "scenes", "folder": "x"}},
        "parts": {"losses": {"data": "d", "grid": "losses", "seeds": 3}}, "claims": [],
    })  # fmt: skip
    more = study.model_copy(update={"parts": {"losses": study.parts["losses"].model_copy(update={"seeds": 4})}})
    for status, expected in (("incomplete", False), ("complete", True)):
        (run / "run.json").write_text(json.dumps(manifest | {"status": status}))
        assert command.complete(study, "losses", tmp_path) is expected
    assert not command.complete(more, "losses", tmp_path)
    assert not command.complete(study, "losses", tmp_path / "absent")


def test_ctrl_c_waits_for_the_run_to_end_by_itself(tmp_path):
    """The child takes its time on SIGINT and ends with 130, as a run does that records what it was at."""
    child = "import signal, sys, time\ndef stop(*_):\n time.sleep(1); print('recorded', flush=True); sys.exit(130)\n"
    child += "signal.signal(signal.SIGINT, stop); print('ready', flush=True); time.sleep(60)"
    code = f"import sys; from bench.study import run; sys.exit(run([sys.executable, '-c', {child!r}]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=ROOT
    )
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 130
    assert process.stdout.read() == "recorded\n"


@pytest.mark.parametrize(("ends", "expected"), [([0, 0], 0), ([0, 4], 4), ([-9, 0], 4), ([1, 0], 4), ([2, 4], 2)])
def test_the_status_of_the_whole_is_that_of_the_worst_part(tmp_path, monkeypatch, ends, expected):
    """A part that was killed, or left no run to read, is incomplete, and the page stays as it was."""
    planned = command.read(command.DEFAULT)
    names, left = [*planned.parts][: len(ends)], iter(ends)
    monkeypatch.setattr(command, "run", lambda wanted: next(left))
    page = tmp_path / "page.md"
    with pytest.raises(SystemExit) as ended:
        entry.main(names, data_root=tmp_path, out=tmp_path / "runs", study=command.DEFAULT, page=page)
    assert ended.value.code == expected
    assert not page.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preset: [", "not readable as YAML"),
        ("preset: a\ndata: {}\nparts: {p: {data: d, grid: g, seeds: 3}}\nclaims: []", "unknown data 'd'"),
        ("preset: a\ndata: {}\nparts: {}\nclaims: [{ask: a, part: p, views: [a, b]}]", "unknown part 'p'"),
        ("preset: a\ndata: {}\nparts: {}\nclaims: [{ask: a, part: p}]", "either first and second or views"),
        (
            "preset: a\ndata: {}\nparts: {}\nclaims: [{ask: a, part: p, first: a, second: b, cells: [c]}]",
            "with views",
        ),
        ("preset: a\ndata: {}\nparts: {}\nclaims: [{ask: a, part: p, views: [a, b], metrik: x}]", "metrik"),
        ("preset: a\ndata: {}\nparts: {}\nclaims: [{ask: a, part: p, views: [a, b], metric: x}]", "metric"),
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


def test_its_options_are_listed_without_the_statistics_and_without_a_folder_of_this_machine():
    code = (
        "import sys; from typer.testing import CliRunner; from bench.core.cli import app;"
        "import bench.study.__main__ as entry;"
        "print(CliRunner().invoke(app(entry.main), ['--help']).output);"
        "print({'scipy', 'pandas', 'matplotlib', 'reports'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "bench/study/study.yaml" in done.stdout
    assert str(ROOT) not in done.stdout
    assert done.stdout.endswith("set()\n")
