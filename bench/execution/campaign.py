"""A run that decides which trials come next: it asks the plan after every round, and tells what was decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import results
from bench.core import UsageError
from bench.execution.failure_policy import FailurePolicy, Trial
from bench.execution.run_folder import RunFolder
from bench.plan import Grid, Plan
from results import Decision
from results.statistics import sequential

if TYPE_CHECKING:
    from bench.execution.runner import TrialRunner


class Campaign:
    """The trials of a run until its plan is decided.

    Args:
        decision: what is to be decided.
        plan: the placed trials, all that may be run.
        folder: of the run.
    """

    def __init__(self, decision: Decision, plan: Plan, folder: RunFolder) -> None:
        self._decision, self._folder = decision, folder
        self.trials: list[Trial] = plan.trials
        self._before = sequential.Look()
        self._given_up: set[str] = set()  # by this session; what failed in an earlier one is tried again

    @property
    def release(self) -> bool:
        """Whether the run is judged against a release."""
        return self._decision.plan.question == "release"

    def look(self) -> sequential.Look:
        """Return where the plan stands. A trial that failed in an earlier session does not count; it is run again."""
        return self._decision.look(self._folder.records(), self._given_up)

    def ask(self, runner: TrialRunner) -> list[str]:
        """Return the names of the trials to run next, and tell what was decided since the last call."""
        found = self.look()
        for line in news(self._before, found, self._decision):
            runner.note(line)
        self._before = found
        wanted = set(found.next)
        names = [name for name, cell, spec in self.trials if (cell.spec.cell, spec.seed) in wanted]
        over = {cell for cell in self._decision.cells if cell not in found.left and found.seeds}
        runner.leave_out([name for name, cell, _ in self.trials if cell.spec.cell in over and name not in names])
        self._given_up |= set(names)
        self._folder.asked_for(self._seeds(found))
        return names

    def _seeds(self, found: sequential.Look) -> dict[str, list[int]]:
        """Return the seeds of each cell that were asked for so far."""
        most = {cell: max(found.seeds, self._decision.plan.first) for cell in self._decision.cells}
        most |= {cell: out.seeds for cell, out in found.out.items()} | dict(found.ok) | dict(found.failed)
        seeds = {cell: set(range(n)) for cell, n in most.items()}
        for cell, seed in found.next:
            seeds[cell].add(seed)
        return {cell: sorted(of) for cell, of in seeds.items()}


def news(before: sequential.Look, after: sequential.Look, decision: Decision) -> Iterator[str]:
    """Yield what one look decided and an earlier one had not, a line per kind."""
    release = decision.plan.question == "release"
    label = decision.cells.__getitem__
    left = [
        f"{label(cell)} ({100 * out.at_least:.1f} points{'' if release else f' below {label(out.by)}'} at least)"
        for cell, out in after.out.items()
        if cell not in before.out
    ]
    seeds = results.counted(after.seeds, "seed")
    if left:
        yield f"{'Regressed' if release else 'Left out'} after {seeds}: {', '.join(left)}"
    if well := [label(cell) for cell in after.ok if cell not in before.ok]:
        yield f"{'Surely ok' if release else 'Settled'} after {seeds}: {', '.join(well)}"
    if lost := [label(cell) for cell in after.failed if cell not in before.failed]:
        yield f"Set aside after {seeds}, too many of their trials failed: {', '.join(lost)}"
    if after.seeds > before.seeds and not after.ended:
        yield f"{results.counted(len(after.left), 'cell')} go on after {seeds}"


def planned(grid: Grid, margin: float, against: str | None, policy: FailurePolicy) -> Decision:
    """Return what the run of a grid has to decide, before its first trial.

    Args:
        grid: the resolved grid; its `until` is what is asked for.
        margin: the difference that does not matter unless the grid says so, a fraction.
        against: name or folder of the release for the question "release".
        policy: how failed trials are handled.

    Raises:
        UsageError: the question and the grid do not go together; one line.
    """
    assert grid.until is not None
    if grid.search:
        raise UsageError("--until: the grid has a search, which chooses the cells itself; leave out one of the two")
    if policy.on_oom == "shrink":
        raise UsageError("--until: --on-oom shrink makes other cells while it runs; leave it out")
    if len({cell.spec.data.name for cell in grid.cells}) > 1:
        raise UsageError("--until: cells of several data sets cannot be ranked together; run one data set at a time")
    cells = {cell.spec.cell: cell.label for cell in grid.cells}
    if len(cells) < len(grid.cells):
        raise UsageError(
            "--until: cells that differ in their devices alone have the same scores; leave out all but one"
        )
    plan = grid.until.plan(margin, against is not None)
    base = _base(against, cells) if against is not None else {}
    if against is not None:
        plan = replace(plan, last=min(plan.last, min(map(len, base.values()))))
        if plan.last < plan.first:
            raise UsageError(f"--against {against}: {plan.last} seed(s) from 0 on; the first look needs {plan.first}")
    try:
        sequential.check(plan, len(cells))
    except ValueError as error:
        raise UsageError(f"--until: {error}") from None
    return Decision(plan, cells, against or "", base)


def _base(against: str, cells: Mapping[str, str]) -> dict[str, dict[int, float]]:
    """Return the scores of a release by cell and seed, of the seeds from 0 on without a gap.

    Raises:
        UsageError: the release cannot be read, lacks a cell, or has scores of another version.
    """
    try:
        records = [one.record for one in results.read_run(results.locate(against)).trials]
    except ValueError as error:
        raise UsageError(f"--against: {error}") from None
    found: dict[str, dict[int, float]] = {cell: {} for cell in cells}
    for record in records:
        score = results.validation_miou(record)
        if record.cell in found and score is not None:
            if record.scoring != results.SCORING_VERSION:
                raise UsageError(
                    f"--against {against}: its scores are of version {record.scoring}, new ones are of version "
                    f"{results.SCORING_VERSION}, and the two cannot be compared"
                )
            found[record.cell][record.seed] = score
    for cell, of in found.items():
        if 0 not in of:
            raise UsageError(f"--against {against}: it has no seed 0 of cell {cells[cell]!r}")
        found[cell] = {seed: of[seed] for seed in range(next(n for n in range(len(of) + 1) if n not in of))}
    return found


def check_same(kept: Decision, asked: Decision, path: Path) -> None:
    """Refuse a plan that differs from the one that a run began with.

    Raises:
        UsageError: one line.
    """
    if kept != asked:
        raise UsageError(
            f"--resume {path}: its plan was fixed before the first trial ({describe(kept)}); another plan, cell or "
            "list of seeds needs a new run"
        )


def describe(decision: Decision) -> str:
    """Return what a run has to decide, in words: "until best within 0.5 points, 7 cells, seeds 2 to 10"."""
    against = f" against {decision.against}" if decision.against else ""
    return f"until {_words(decision.plan)}{against}; {results.counted(len(decision.cells), 'cell')}"


def _words(plan: sequential.Plan) -> str:
    most = f", {plan.budget} trials" if plan.budget else f", {plan.hours:g} hours" if plan.hours else ""
    return (
        f"{plan.question} within {100 * plan.margin:g} points, alpha {plan.alpha:g}, seeds {plan.first} to {plan.last}"
        f"{most}"
    )


@dataclass(frozen=True)
class _Noise:
    """What an earlier run tells: means (k,), and the deviations of one trial alone and of a seed in all cells."""

    run: str
    means: np.ndarray
    alone: float
    seeds: float


def expectation(decision: Decision, earlier: Path, draws: int = 400) -> str:
    """Return how many trials a run may take, for the noise of the last run of its cells, in words.

    Args:
        decision: what is to be decided.
        earlier: folder of runs.
        draws: number of runs that are played.
    """
    plan, cells = decision.plan, len(decision.cells)
    most = cells * plan.last
    limit = f"at most {min(most, plan.budget) if plan.budget else most}"
    noise = _last_noise(decision, earlier)
    if noise is None:
        return f"Until decided: at least {cells * plan.first} trials, {limit}; no earlier run shows their noise"
    rng = np.random.default_rng(0)
    shape = (draws, cells, plan.last)
    y = noise.alone * rng.standard_normal(shape)
    if decision.against:
        y *= np.sqrt(2 * 0.4)  # head less base, where reruns of a seed correlate at .6
    else:
        y += noise.means[:, None] + noise.seeds * rng.standard_normal((draws, 1, plan.last))
    trials = sequential.rehearse(plan, y).trials
    low, middle, high = np.quantile(trials, [0.1, 0.5, 0.9])
    return (
        f"Until decided: about {middle:.0f} trials ({low:.0f} to {high:.0f} in eight of ten), {limit}, "
        f"for the noise of {noise.run}"
    )


def _last_noise(decision: Decision, earlier: Path) -> _Noise | None:
    """Return the noise of the newest run that has two seeds of every cell; None without one."""
    manifests = sorted(earlier.glob("*/run.json"), key=lambda path: -path.stat().st_mtime)[:50]
    for path in manifests:
        try:
            if not set(decision.cells) <= {
                cell["cell"] for cell in results.read_manifest(path.parent).get("cells", [])
            }:
                continue
            records = [one.record for one in results.read_run(path.parent).trials]
        except (ValueError, KeyError, TypeError):
            continue
        scores = {(one.cell, one.seed): score for one in records if (score := results.validation_miou(one)) is not None}
        seeds = [s for s in sorted({s for _, s in scores}) if all((cell, s) in scores for cell in decision.cells)]
        if len(seeds) < 2:
            continue
        table = np.array([[scores[cell, seed] for seed in seeds] for cell in decision.cells])
        rest = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
        alone = float((rest**2).sum() / max(1, (len(table) - 1) * (len(seeds) - 1)))
        common = max(0.0, float(table.mean(0).var(ddof=1)) - alone / len(table))
        return _Noise(str(path.parent), table.mean(1), float(np.sqrt(alone)), float(np.sqrt(common)))
    return None


def unfinished(folder: RunFolder, trials: Sequence[Trial]) -> int:
    """Return how many of the trials that were asked for did not end well."""
    asked = folder.seeds_asked_for()
    return sum(
        spec.seed in asked.get(cell.spec.cell, ()) and folder.status(name) != "ok" for name, cell, spec in trials
    )
