"""A comparison that stops: pairs are asked for round by round, until all cells are surely ok or one has become worse.

mIoU and speed are judged side by side, each by a plan of its own; both share alpha. The speed of a machine differs
between hours, but both trials of a pair run in the same one, so that the change of a pair tells of the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import expm1
from pathlib import Path

from rich.console import Console

import results
from bench.core import UsageError
from bench.plan import METRIC, Grid, read_until
from bench.versus.folder import VersusFolder
from bench.versus.turns import SIDES, Pair
from results import Decision
from results.statistics import sequential

SPEED = "images_per_second"


def planned(
    words: str | None, most_seeds: int | None, grid: Grid, base: str, margins: Path | None
) -> tuple[Decision, ...]:
    """Return what a comparison has to decide, a plan per metric that can fail it; none for a fixed number of seeds.

    Args:
        words: of --until: decided or release, and perhaps a margin of mIoU.
        most_seeds: of --max-seeds.
        grid: whose cells both sides run.
        base: name of the base.
        margins: another margins file; None for the default.

    Raises:
        UsageError: the words, the cells or the margins do not go with a decision; one line.
    """
    until = read_until(words, None, most_seeds, None)
    if until is None:
        return ()
    if until.question not in (None, "release"):
        raise UsageError(f"--until {words}: two revisions are compared until it is decided whether one became worse")
    if len({cell.spec.data.name for cell in grid.cells}) > 1:
        raise UsageError("--until: cells of several data sets share no noise; compare one data set at a time")
    cells = {cell.spec.cell: cell.label for cell in grid.cells}
    if len(cells) < len(grid.cells):
        raise UsageError("--until: cells that differ in their devices alone share a name; leave out all but one")
    rules = results.margins.read(str(margins or results.margins.DEFAULT)).metrics
    names = [name for name in (METRIC, SPEED) if name in rules and rules[name].gate]
    if not names:
        raise UsageError(f"--until: neither {METRIC} nor {SPEED} can fail the comparison by these margins")
    found = []
    for name in names:
        plan = until.plan(rules[name].limit(rules[name].margin, float("inf")), against=True)
        if name == SPEED:  # the words are about mIoU
            plan = replace(plan, margin=rules[name].limit(rules[name].margin, float("inf")))
        found.append(Decision(replace(plan, metrics=len(names)), cells, base, metric=name))
    try:
        sequential.check(found[0].plan, len(cells))
    except ValueError as error:
        raise UsageError(f"--until: {error}") from None
    return tuple(found)


class Rounds:
    """The rounds of a comparison that stops.

    Args:
        decisions: what is to be decided, one metric each.
        folder: of the comparison.
        pairs: all that may be run.
        console: where it is told what was decided.
    """

    def __init__(
        self, decisions: Sequence[Decision], folder: VersusFolder, pairs: Sequence[Pair], console: Console
    ) -> None:
        self._decisions, self._folder, self._pairs, self._console = decisions, folder, pairs, console
        self._before = {one.metric: sequential.Look() for one in decisions}
        self._given_up: set[str] = set()  # asked for by this session; what failed in an earlier one is tried again

    def open(self) -> bool:
        """Return whether a pair is to be run."""
        return bool(_next(self._look()[1]))

    def lacking(self) -> int:
        """Return how many trials were asked for and did not end well."""
        runs = self._folder.runs.values()
        done = [{(record.cell, record.seed) for record in run.complete()} for run in runs]
        asked = [{(cell, s) for cell, seeds in run.seeds_asked_for().items() for s in seeds} for run in runs]
        return sum(len(one - well) for one, well in zip(asked, done, strict=True))

    def ask(self) -> list[str]:
        """Return the names of the pairs to run next, and tell what was decided since the last call."""
        decisions, looks = self._look()
        for one in decisions:
            for line in news(one, self._before[one.metric], looks[one.metric]):
                self._console.print(line, soft_wrap=True)
        self._before, wanted = looks, _next(looks)
        asked = [pair for pair in self._pairs if (pair.cell.spec.cell, pair.seed) in wanted]
        self._given_up |= {pair.name for pair in asked}
        self._keep(decisions)
        return [pair.name for pair in asked]

    def _look(self) -> tuple[list[Decision], dict[str, sequential.Look]]:
        """Return the decisions with the scores of base so far, and where they stand, by metric."""
        decisions = [replace(one, base=self._base(one)) for one in self._decisions]
        return decisions, {one.metric: one.of_scores(self._scores(one, "head")) for one in decisions}

    def _base(self, decision: Decision) -> dict[str, dict[int, float | None]]:
        """Return the scores of base; None for a speed of which the pair ran on cores that were placed in two ways."""
        found = self._scores(decision, "base")
        if decision.metric != SPEED:
            return found
        both = [
            {
                (one.cell, one.seed): one.throughput.hand_over_ns
                for one in self._folder.runs[side].records()
                if one.throughput
            }
            for side in SIDES
        ]
        for cell, seed in both[0].keys() & both[1].keys():
            if cell in found and results.hand_over.moved(both[0][cell, seed], both[1][cell, seed]):
                found[cell][seed] = None
        return found

    def _scores(self, decision: Decision, side: str) -> dict[str, dict[int, float | None]]:
        """Return the scores of a side; a pair that was given up and left no record has none."""
        found = decision.scores(self._folder.runs[side].records(), self._given_up)
        for pair in self._pairs:
            if pair.name in self._given_up:
                found[pair.cell.spec.cell].setdefault(pair.seed, None)
        return found

    def _keep(self, decisions: Sequence[Decision]) -> None:
        """Write into the manifests which seeds were asked for, and against which scores head is judged."""
        seeds: dict[str, set[int]] = {cell: set() for cell in self._decisions[0].cells}
        for side in SIDES:
            for record in self._folder.runs[side].records():
                seeds.setdefault(record.cell, set()).add(record.seed)
        for pair in self._pairs:
            if pair.name in self._given_up:
                seeds[pair.cell.spec.cell].add(pair.seed)
        for side in SIDES:
            self._folder.runs[side].asked_for({cell: sorted(of) for cell, of in seeds.items()})
        self._folder.runs["head"].amend({key: value for one in decisions for key, value in one.plain().items()})


def _next(looks: Mapping[str, sequential.Look]) -> set[tuple[str, int]]:
    """Return the (cell, seed) that some metric waits for; none once a cell has become worse by one of them."""
    if any(look.out for look in looks.values()):
        return set()
    return {trial for look in looks.values() for trial in look.next}


def news(decision: Decision, before: sequential.Look, after: sequential.Look) -> Iterator[str]:
    """Yield what one look decided about a metric and an earlier one had not, a line per kind."""
    seeds = f"after {results.counted(after.seeds, 'seed')}, {decision.metric}"
    new: Mapping[str, sequential.Out] = {cell: out for cell, out in after.out.items() if cell not in before.out}
    if lost := [f"{decision.cells[cell]} ({_amount(decision, out.at_least)} at least)" for cell, out in new.items()]:
        yield f"Worse {seeds}: {', '.join(lost)}"
    if well := [decision.cells[cell] for cell in after.ok if cell not in before.ok]:
        yield f"Surely ok {seeds}: {', '.join(well)}"
    if failed := [decision.cells[cell] for cell in after.failed if cell not in before.failed]:
        yield f"Not judged {seeds}, too many trials gave no value: {', '.join(failed)}"


def _amount(decision: Decision, loss: float) -> str:
    """Return a loss in points of mIoU, or in percent of the speed."""
    return f"{100 * loss:.1f} points" if decision.metric == METRIC else f"{-100 * expm1(-loss):.1f} %"
