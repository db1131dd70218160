"""Run a search: check it, measure commits in turns until it has an answer or a budget ends, and keep its journal."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.bisection.answers import Answer, conclude, step_words
from bench.bisection.checkouts import Checkouts
from bench.bisection.journal import JOURNAL, End, Journal, Trial, read_journal
from bench.bisection.measures import Measure
from bench.core import StorageLost, UsageError, describe
from bench.plan import Cell, GridRequest, checks, make, this_machine, why_unplaceable
from bench.revisions import Revision, line_between, measure, resolve
from results import counted
from results.statistics import Search, effect_across, replay

Say = Callable[[str], None]
MACHINE = ("python", "tensorflow", "keras", "processor", "instructions", "cores", "gpus")
"""Entries of the environment that must not change within a search."""


@dataclass(frozen=True)
class Limits:
    """What ends a search before its answer.

    Attributes:
        trials: trials run since its beginning; None for no limit.
        hours: hours of these trials; None for no limit.
    """

    trials: int | None = None
    hours: float | None = None

    def reached(self, journal: Journal) -> str:
        """Return what is used up, in words; empty if nothing is."""
        if self.trials is not None and journal.used >= self.trials:
            return f"the budget of {counted(self.trials, 'trial')} is used up"
        if self.hours is not None and journal.seconds >= 3600 * self.hours:
            return f"the budget of {self.hours:g} hours is used up"
        return ""


@dataclass(frozen=True)
class BisectRequest:
    """A search as it is requested.

    Attributes:
        repository: a folder of the checkout whose history is searched.
        good, bad: revisions as the user names them.
        what: the grid and the options that resolve it to one cell.
        metric: one of `METRICS`.
        margin: smallest change that matters, see results/comparison/margins.yaml; None for the one there.
        disturbed: count speeds that were measured beside other work, too.
        most_turns: turns after which a step stays undecided.
        alpha: chance of a wrong answer.
        trial_timeout: seconds of a trial; None for no limit.
        out: folder of the search, which must not exist; None for one in `runs`.
        command: the command line, for the journal.
    """

    repository: Path
    good: str
    bad: str
    what: GridRequest = field(default_factory=GridRequest)
    metric: str = "images_per_second"
    margin: float | None = None
    disturbed: bool = False
    most_turns: int = 16
    alpha: float = 0.05
    trial_timeout: float | None = None
    out: Path | None = None
    command: str = ""


def begin(request: BisectRequest, limits: Limits, say: Say) -> tuple[Path, Answer]:
    """Begin a search and run it; return its folder and its answer.

    Raises:
        UsageError: the request has a fault. Nothing has been written then.
        KeyboardInterrupt: Ctrl-C; all complete trials are kept, and no worktree and no process is left.
    """
    good, bad = (resolve(request.repository, text) for text in (request.good, request.bad))
    line = line_between(good, bad)
    cell = _cell(request.what)
    wanted = Measure(request.metric, request.disturbed)
    journal = Journal(
        created=datetime.now(UTC).isoformat(timespec="seconds"), command=request.command,
        good=_end(good), bad=_end(bad), line=line, machine=_machine(), metric=request.metric,
        cell={"label": cell.label, "axes": dict(cell.axes), "spec": cell.spec.model_dump(mode="json")},
        margin=request.margin or wanted.rules.margin, disturbed=request.disturbed, most_turns=request.most_turns,
        alpha=request.alpha, trial_timeout=request.trial_timeout,
    )  # fmt: skip
    folder = _folder(request)
    if not bad.dirty and resolve(good.repository, str(good.repository)).dirty:
        say("Uncommitted changes are left out; as BAD, `.` names the working tree with them.")
    say(
        f"{counted(len(line) - 1, 'commit')} from GOOD {good.name} to BAD {bad.name}; {request.metric} of cell "
        f"{cell.label!r}; a step has at most {counted(request.most_turns, 'turn')}."
    )
    try:
        return folder, _run(journal.save(folder), folder, limits, say)
    except UsageError:  # GOOD or BAD cannot be checked out, or has no environment
        if not read_journal(folder).used:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def resume(folder: Path, limits: Limits, say: Say) -> Answer:
    """Go on with a search that was interrupted, or whose budget was used up; return its answer.

    Raises:
        UsageError: there is no such search, or it began on another machine or with other versions.
        KeyboardInterrupt: as in `begin`.
    """
    journal = read_journal(folder)
    here = _machine()
    if differ := [name for name in here if here[name] != journal.machine.get(name)]:
        name = differ[0]
        told = f"{name} {journal.machine.get(name)!r}, now {here[name]!r}"
        raise UsageError(f"--resume {folder}: it began with {told}; begin a new search here")
    resolve(Path(journal.good.repository), journal.bad.commit)
    if journal.measure.fresh:
        for _, turn in replay(journal.plan, journal.scores, journal.broken).next[:1]:
            journal = journal.without_turn(turn)  # the others of its trials would run at another hour
    say(f"{counted(journal.used, 'trial')} kept.")
    return _run(journal, folder, limits, say)


def _run(journal: Journal, folder: Path, limits: Limits, say: Say) -> Answer:
    """Measure until the search has an answer or a budget ends; write the answer into the journal."""
    try:
        with Checkouts(journal) as checkouts:
            journal, search, ended = _measure_all(journal, checkouts, folder, limits, say)
    except KeyboardInterrupt:
        again = shlex.join(["python", "-m", "bench.bisect", "--resume", str(folder)])
        say(f"Interrupted; every complete trial is kept. Go on with: {again}")
        raise
    effect = effect_across(journal.scores, *_ends(search, journal))
    answer = conclude(search, journal.line, journal.measure, effect, journal.used, journal.alpha, ended)
    journal.model_copy(update={"answer": answer}).save(folder)
    return answer


def _measure_all(
    journal: Journal, checkouts: Checkouts, folder: Path, limits: Limits, say: Say
) -> tuple[Journal, Search, str]:
    """Run trials until none is left or a limit is reached; return the journal, the search, and the limit in words."""
    told = 0
    while True:
        search = replay(journal.plan, journal.scores, journal.broken)
        told = _tell(search, told, journal, say)
        if not search.next:
            return journal, search, _why_failed(journal) if search.outcome == "failed" else ""
        if ended := limits.reached(journal):
            return journal, search, ended
        journal = _next(search, journal, checkouts, folder, say).save(folder)


def _why_failed(journal: Journal) -> str:
    """Return why the last trial without a value has none, and what to do if that was the machine's fault."""
    last = next(trial for trial in reversed(journal.trials) if trial.value is None)
    return last.reason + "; wait until the machine is quiet, or take --disturbed" * last.disturbed


def _next(search: Search, journal: Journal, checkouts: Checkouts, folder: Path, say: Say) -> Journal:
    """Run the next trial of a search; return the journal with it, or with a commit that cannot be measured."""
    tested = search.steps[-1].commit
    try:
        checkouts.prepare(tested)
        for number, _ in search.next:
            checkouts.prepare(number)
    except UsageError as error:
        if tested in (0, len(journal.line) - 1):
            raise
        say(f"  commit {tested} is skipped: {error}")
        return journal.with_broken(tested, str(error))
    commit, turn = search.next[0]
    trial = _measure(journal, checkouts, commit, turn, folder)
    say(f"  turn {turn + 1}, {_who(commit, journal)}: {_value(trial)}")
    return journal.with_trial(trial)


def _measure(journal: Journal, checkouts: Checkouts, commit: int, turn: int, folder: Path) -> Trial:
    """Run one trial of a commit."""
    name = f"turn-{turn:03d}-commit-{commit:03d}"
    began = time.monotonic()
    try:
        record = measure(
            checkouts.prepare(commit), journal.planned_cell, turn, folder / "trials" / name,
            timeout=journal.trial_timeout,
        )  # fmt: skip
    except OSError as error:
        raise StorageLost(f"{folder}: a trial cannot be kept: {error.strerror}") from None
    beside = [trial.hand_over_ns for trial in journal.trials if trial.turn == turn and trial.hand_over_ns]
    reading = journal.measure.read(record, beside)
    return Trial(
        commit=commit, turn=turn, value=reading.value, reason=reading.reason, disturbed=reading.disturbed,
        folder=f"trials/{name}", seconds=round(time.monotonic() - began, 3),
        hand_over_ns=record.throughput and record.throughput.hand_over_ns,
    )  # fmt: skip


def _value(trial: Trial) -> str:
    return f"no value: {trial.reason}" if trial.value is None else f"{trial.value:.5g}"


def _who(commit: int, journal: Journal) -> str:
    last = len(journal.line) - 1
    return {0: "GOOD", last: "BAD"}.get(commit, f"commit {commit} of {last} ({journal.line[commit].commit[:12]})")


def _tell(search: Search, told: int, journal: Journal, say: Say) -> int:
    """Say the verdicts of the steps that were not said yet; return how many were."""
    last = len(journal.line) - 1
    decided = [step for step in search.steps if step.verdict != "open"]
    for step in decided[told:]:
        one = journal.line[step.commit]
        say(f'{_who(step.commit, journal)} "{one.subject}": {step_words(step, journal.measure, last)}')
    return len(decided)


def _ends(search: Search, journal: Journal) -> tuple[int, int]:
    """Return the numbers of the commits between which the answer gives the change."""
    return (search.good, search.bad) if search.differs else (0, len(journal.line) - 1)


def _cell(what: GridRequest) -> Cell:
    """Return the cell of a request, its data checked.

    Raises:
        UsageError: the request has a fault, or gives more than one cell.
    """
    machine = [this_machine()]
    plan = make(what.begun(), machine, None)
    if len(plan.grid.cells) != 1 or plan.grid.search:
        labels = ", ".join(cell.label for cell in plan.grid.cells[:5])
        axis = next(iter(plan.grid.cells[0].axes), "loss")
        value = plan.grid.cells[0].axes.get(axis)
        raise UsageError(
            f"grid {plan.grid.name} has {len(plan.grid.cells)} cells ({labels}{', ...' * (len(plan.grid.cells) > 5)}); "
            f"a search follows one, without tuning: --only {axis}={value}"
        )
    if fault := why_unplaceable(plan.needs, machine):
        raise UsageError(fault)
    checks.check_inputs(plan.grid)
    return plan.grid.cells[0]


def _end(revision: Revision) -> End:
    return End(
        repository=str(revision.repository), commit=revision.commit, parent=revision.parent, name=revision.name,
        dirty=revision.dirty,
    )  # fmt: skip


def _machine() -> dict[str, Any]:
    here = describe()
    return {name: here.get(name) for name in MACHINE}


def _folder(request: BisectRequest) -> Path:
    """Return the folder of a new search.

    Raises:
        UsageError: it exists, or cannot be made.
    """
    folder = request.out or Path("runs") / f"bisect-{request.metric}-{datetime.now():%Y%m%d-%H%M%S}"
    if (folder / JOURNAL).exists():
        raise UsageError(f"--out {folder}: a search is there; go on with it: --resume {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"--out {folder}: the folder is not empty; name another one")
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot be made: {error.strerror}") from None
    return folder
