"""What a run has to decide, as commands and grid files write it."""

import pytest

from bench.core import UsageError
from bench.plan import Until, read_until
from bench.plan import grid as grids


def plan(words=None, file=None, most=None, budget=None, against=False):
    return read_until(words, file, most, budget).plan(0.005, against)


def test_words_become_a_plan():
    found = plan("decided")
    assert (found.question, found.margin, found.first, found.last, found.alpha) == ("best", 0.005, 2, 10, 0.05)
    assert plan("decided", against=True).question == "release"
    assert plan("best within 1 point").margin == 0.01
    assert plan("groups within 0.5 points", most=15).last == 15
    assert (plan("best", budget="80").budget, plan("best", budget="80").hours) == (80, None)
    assert (plan("best", budget="4h").budget, plan("best", budget="4h").hours) == (None, 4.0)


def test_the_command_changes_what_the_file_says_and_keeps_the_rest():
    file = Until(question="groups", margin={"miou": 0.02}, seeds=(3, 8), alpha=0.01, budget=90)
    assert plan(None, file) == plan("decided", file)
    found = plan("best", file, most=6)
    assert (found.question, found.margin, found.first, found.last, found.alpha, found.budget) == (
        "best", 0.02, 3, 6, 0.01, 90,
    )  # fmt: skip
    assert plan("decided", file, most=2).first == 2, "the first look is never after the last"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (("soon", None, None, None), "--until soon: expected decided, best, release or groups"),
        (("best within 1", None, None, None), "--until best within 1: expected decided"),
        (("best within 1.2.3 points", None, None, None), "1.2.3 is no number of points"),
        (("best", None, None, "soon"), "--budget soon: .*expected trials, such as 80, or hours, such as 4h"),
        (("best within 0 points", None, None, None), "--until 0.0"),
        ((None, None, 5, None), "--max-seeds: only a run with --until has one"),
        ((None, None, None, "4h"), "--budget: only a run with --until has one"),
    ],
)
def test_bad_words_are_refused_in_one_line(asked, why):
    with pytest.raises(UsageError, match=why) as refused:
        read_until(*asked)
    assert "\n" not in str(refused.value)


def test_a_block_and_its_plan_are_one_another():
    for asked in (plan("decided"), plan("groups within 0.7 points", most=7, budget="0.5h"), plan("best", budget="80")):
        assert Until.of(asked).plan(0.001, against=False) == asked
    release = plan("decided", against=True)
    assert Until.of(release).plan(0.001, against=True) == release


def test_a_question_and_a_release_belong_together():
    with pytest.raises(UsageError, match="--until release: needs --against RELEASE"):
        plan("release")
    with pytest.raises(UsageError, match="--until best: does not go with --against"):
        plan("best", against=True)


def test_a_grid_file_may_ask_and_a_number_of_seeds_makes_it_fixed_again(tmp_path):
    path = tmp_path / "g.yaml"
    path.write_text("axes: {loss: [dice, focal]}\nuntil: {question: best, margin: {miou: 0.01}, seeds: [3, 12]}\n")
    assert grids.load(str(path)).until.seeds == (3, 12)
    assert grids.load(str(path), seeds=4).until is None
    for block, why in (
        ("{question: worst}", "until.question"),
        ("{seeds: [5, 3]}", "the first look comes after the last"),
        ("{margin: {f1: 0.1}}", "until.margin"),
        ("{tries: 3}", "until.tries"),
    ):
        path.write_text(f"axes: {{loss: [dice, focal]}}\nuntil: {block}\n")
        with pytest.raises(UsageError, match=why):
            grids.load(str(path))
