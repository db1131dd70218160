"""What a finished run says in a terminal: who won, and what can be done next."""

import os
from dataclasses import dataclass

import results
from reports.document import words
from reports.pages import run as page
from reports.recipes import in_a_line, outcome
from reports.summary import Summary, summarize


@dataclass(frozen=True)
class Conclusion:
    """The end of a run.

    Attributes:
        verdict: a line per data set: the best cell, how far the budget carries, and what to take.
        seeds: number of seeds of the cells.
        clear: whether the best cell, of each data set, is distinguishable from all others; True for a run that decides,
            because more seeds are no part of its plan.
        trial: id of a complete trial of the best cell whose weights were kept; empty if there is none.
        recipe: published and reached score of a run of a recipe; empty for other runs.
    """

    verdict: list[str]
    seeds: int
    clear: bool
    trial: str
    recipe: str = ""


def conclude(run: str | os.PathLike[str]) -> Conclusion:
    """Return what the records of a run folder say.

    Raises:
        ValueError: no readable record; one line gives the reason.
    """
    stored = results.read_run(run)
    summary = summarize(stored)
    verdict = [
        (f"{name}: " if name else "") + " ".join(words(block.text) for block in page.verdict(stored, part))
        for name, part in (summary.parts or {"": summary}).items()
    ]
    found = outcome(stored, summary)
    said = in_a_line(found) if found else ""
    return Conclusion(verdict, summary.seeds, _clear(summary), _with_weights(stored, summary), said)


def _clear(summary: Summary) -> bool:
    if summary.look:
        return True
    parts = [*summary.parts.values()] or [summary]
    return not any(
        part.ranking.indistinguishable(part.measured[0].key, cell.key) for part in parts for cell in part.measured[1:]
    )


def _with_weights(run: results.Run, summary: Summary) -> str:
    best = summary.measured[0].key if summary.measured else ""
    kept = [
        one.record.trial
        for one in run.trials
        if (one.record.cell, one.record.status) == (best, "ok")
        and any(artefact.kind == "checkpoint" for artefact in one.record.artefacts)
    ]
    return min(kept, default="")
