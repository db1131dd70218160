"""Whether a run is blessed, and the file that says so. Only a comparison that says "ok" in so many words blesses."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.core import UsageError
from bench.tfx import processes

BLESSED, NOT_BLESSED = "BLESSED", "NOT_BLESSED"
"""Names of the file, as TFX has them. A Pusher does not read it, but the artifact's property `blessed`."""


@dataclass(frozen=True)
class Judgement:
    """The answer of the gate.

    Attributes:
        blessed: whether the model may be pushed.
        verdict: ok, regressed, incomplete or inconclusive, as `bench.compare` has it; "first" without a base; "vetoed"
            where something else than the comparison refuses.
        reasons: one line each.
    """

    blessed: bool
    verdict: str
    reasons: tuple[str, ...] = ()

    def vetoed(self, reason: str) -> Judgement:
        """Return the judgement with a reason against it, for which nothing is blessed."""
        return replace(self, blessed=False, verdict="vetoed", reasons=(*self.reasons, reason))


def of_comparison(status: int, text: str) -> Judgement:
    """Return the judgement that a comparison makes.

    Args:
        status: exit status of `bench.compare --format json`.
        text: what it printed.

    Raises:
        UsageError: it is no comparison.
    """
    try:
        found = json.loads(text)
        outcome, reasons = str(found["outcome"]), tuple(str(reason) for reason in found["reasons"])
        against = f"head {found['head']['name']} against base {found['base']['name']}"
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"bench.compare: exit status {status} without a comparison ({error!r})") from None
    blessed = status == 0 and outcome == "ok" and found.get("blessed") is True
    return Judgement(blessed, outcome, (against, *reasons))


def of_the_first(allowed: bool, failed: int) -> Judgement:
    """Return the judgement of a run that has no base.

    Args:
        allowed: whether the first run is blessed without a comparison.
        failed: number of its trials that did not end well.
    """
    if failed:
        return Judgement(False, "incomplete", (f"{failed} trials did not end well, and there is no base",))
    if not allowed:
        reason = "nothing to compare with: name a base, or let the first run pass with bless_first=1"
        return Judgement(False, "first", (reason,))
    return Judgement(True, "first", ("no base: nothing was compared",))


def compare(base: str, head: str, options: str = "", python: str = "") -> Judgement:
    """Judge a run against another or a release by `bench.compare`.

    Args:
        base: folder of a run, or name of a release.
        head: folder of the run to judge.
        options: further options, as one would type them, e.g. "--require-conclusive".
        python: interpreter of the project's environment; empty for this one.

    Raises:
        UsageError: they cannot be compared; its reason is on standard error.
    """
    arguments = [base, head, "--format", "json", *shlex.split(options)]
    return of_comparison(*processes.run(processes.interpreter(python), "bench.compare", arguments, capture=True))


def write(folder: Path, judgement: Judgement, facts: Mapping[str, Any]) -> None:
    """Write BLESSED or NOT_BLESSED with the reasons, and `judgement.json` with further facts.

    Args:
        folder: of the ModelBlessing artifact; made if missing.
        judgement: the answer.
        facts: what else is to be known, as values for JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    good, bad = (BLESSED, NOT_BLESSED) if judgement.blessed else (NOT_BLESSED, BLESSED)
    (folder / bad).unlink(missing_ok=True)
    (folder / good).write_text(_lines([judgement.verdict, *judgement.reasons]), encoding="utf-8")
    told = {"blessed": judgement.blessed, "verdict": judgement.verdict, "reasons": list(judgement.reasons), **facts}
    (folder / "judgement.json").write_text(json.dumps(told, indent=2, ensure_ascii=False), encoding="utf-8")


def _lines(texts: Sequence[str]) -> str:
    return "".join(f"{text}\n" for text in texts)
