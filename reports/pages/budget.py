"""What a budget is worth, as a table per data set, for the terminal and for the page docs/budget.md."""

from collections.abc import Sequence

from reports import markdown
from reports.document import Block, Field, Heading, Paragraph, Table, Text
from reports.format import DASH, number, percent
from results import Course, counted
from results.statistics import BudgetWorth

HEAD = ["budget, %", "steps", "Kendall's tau", "95 %", "verdicts", "held", "dissolved", "turned round"]


def title(course: Course) -> str:
    """Return what the table of a course is about."""
    rate = "rates tuned per cell" if course.tuned else "one rate for all"
    return f"{course.dataset}, {rate}, {course.kind} ({course.steps} steps, {counted(course.seeds, 'seed')})"


def row(one: BudgetWorth, steps: int) -> list[str]:
    """Return the fields of a budget, in the order of `HEAD`."""
    interval = DASH if one.low != one.low else f"{number(one.low, 2)} to {number(one.high, 2)}"
    turned = f"{one.turned} ({percent(one.share_turned, 0)} %)" if one.verdicts else DASH
    counts = (one.verdicts, one.held, one.dissolved)
    shares = [percent(one.share, 0), str(round(one.share * steps)), number(one.tau, 2), interval]
    return [*shares, *map(str, counts), turned]


def sentence(one: BudgetWorth, steps: int) -> str:
    """Return what became of the verdicts of a budget, in one sentence."""
    at = f"After {percent(one.share, 0)} % of the training ({round(one.share * steps)} steps)"
    if not one.verdicts:
        return f"{at} none of {counted(one.pairs, 'pair')} was told apart."
    rest = f"{one.dissolved} dissolved, {one.turned} turned round"
    return f"{at} {one.held} of {counted(one.verdicts, 'verdict')} held to convergence; {rest}."


def blocks(found: Sequence[Course]) -> list[Block]:
    """Return a heading, a table and the sentences of each course."""
    made: list[Block] = []
    for course in found:
        rows: list[list[Field | Text]] = [[*row(one, course.steps)] for one in course.rows]
        early = [sentence(one, course.steps) for one in course.rows[:-1]]
        made += [Heading(title(course), level=3), Table(HEAD, rows), Paragraph(" ".join(early))]
    return made


def filled(text: str, found: Sequence[Course]) -> str:
    """Return a page with the tables of the courses between `<!-- budget -->` and `<!-- end -->`.

    Raises:
        ValueError: the page has no such place, or one without an end.
    """
    if not markdown.places(text, "budget"):
        raise ValueError("no <!-- budget --> ... <!-- end --> in it")
    return markdown.filled(text, "budget", {"budget": markdown.part(blocks(found))})
