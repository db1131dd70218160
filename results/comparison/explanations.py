"""Describe in words what differs between two runs, and which cells have no verdict."""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from results.comparison.types import FAILING, SCORES, Aligned, ComparisonRow, LoadedRun
from results.record import Record

# Settings that are no part of a cell but still change what is measured: how steps are run.
HOW_RUN = ("train.deterministic", "train.jit_compile", "train.steps_per_execution", "train.eager", "placement.cpus")
# Settings that are no part of a cell.
_ASIDE = ("seed", "data.root", "data.planned_root", "data.cache", *HOW_RUN)


def as_text(value: Any) -> str:
    """Return a value as text: a string unchanged, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def listed(values: set[str]) -> str:
    """Return values as one text, sorted, in at most 80 characters."""
    text = ", ".join(sorted(values))
    return text if len(text) <= 80 else text[:79] + "…"


def nested_differences(first: Any, second: Any, path: str = "") -> list[str]:
    """List the dotted paths at which two nested objects differ, each with both values."""
    if isinstance(first, dict) and isinstance(second, dict):
        names = dict.fromkeys([*first, *second])
        return [
            line
            for name in names
            for line in nested_differences(first.get(name), second.get(name), f"{path}.{name}" if path else str(name))
        ]
    return [] if first == second else [f"{path}: {as_text(first)} / {as_text(second)}"]


def differing_settings(old: Record, new: Record) -> list[str]:
    """List the settings of a cell in which two records differ, each with both values."""
    found = nested_differences(old.spec, new.spec)
    return [one for one in found if one.split(":")[0] not in _ASIDE and not one.startswith(("eval.", "placement."))]


def explain_retuned(old: Sequence[Record], new: Sequence[Record]) -> str:
    """Return the field that a search chose, with both values, if two cells differ in nothing else; otherwise empty."""
    if not (old and new and old[0].tuning and new[0].tuning):
        return ""
    differ = differing_settings(old[0], new[0])
    return differ[0] if len(differ) == 1 and differ[0].startswith(f"{old[0].tuning.get('field')}:") else ""


def explain_same_label(cell: str, base: LoadedRun, head: LoadedRun) -> str:
    """Return how head's cell of the same label differs, if there is one; otherwise empty."""
    label = base.labels[cell]
    other = next((key for key, name in head.labels.items() if name == label), None)
    if other is None or not base.of(cell) or not head.of(other):
        return ""
    differ = differing_settings(base.of(cell)[0], head.of(other)[0])
    return f"; its {label} has another setting ({', '.join(differ[:3]) or 'same fields, other hash'})"


def explain_nothing_shared(base: LoadedRun, head: LoadedRun) -> str:
    """Return the message that two runs share no cell, and why."""
    text = f"{base.side.folder} and {head.side.folder} share no cell"
    for cell in base.labels:
        if same := explain_same_label(cell, base, head):
            return f"{text}{same}"
    return f"{text}: {', '.join(list(base.labels.values())[:3])} … / {', '.join(list(head.labels.values())[:3])} …"


def remarks(pair: Aligned, view: str, metric: str) -> str:
    """Return remarks on a row: another value that a search chose, and trials without a value of this metric."""
    said = [explain_retuned(*pair.records), explain_augmentation(pair) if metric in SCORES else ""]
    for name, well, values in zip(("base", "head"), pair.well, pair.seeds(view, metric), strict=True):
        ended = {record.seed for record in well}
        if lost := len(ended - set(values)):
            said.append(f"{lost} of {name}'s {len(ended)} seeds without a value")
    return ", ".join(filter(None, said))


def explain_augmentation(pair: Aligned) -> str:
    """Return how the versions of the augmentation differ, and why scores are compared all the same; otherwise empty.

    A version says how a policy and a seed become pixels, up to rounding and interpolation. The policy of a cell stays
    the same, so its scores are of the same distribution. Records without a version have version 1.
    """
    old, new = (
        {str(record.environment.get("augmentation") or 1) for record in records if record.views}
        for records in pair.records
    )
    if not old or not new or old == new:
        return ""
    return f"augmentation of version {listed(old)} / {listed(new)}: the same policy, other pixels from the same seed"


def environment_differences(base: LoadedRun, head: LoadedRun) -> dict[str, tuple[str, str]]:
    """Return {name: (base, head)} of the differences between the environments.

    They are those of the trials that ended well, if there are any: a record of an interrupted one may lack entries.
    """
    both = [_environments([one for found in side.records.values() for one in found]) for side in (base, head)]
    names = sorted({name for side in both for one in side for name in one})
    found = {}
    for name in names:
        old, new = ({as_text(one.get(name)) for one in side} for side in both)
        if old != new:
            found[name] = (listed(old), listed(new))
    return found


def _environments(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [one.environment for one in records if one.status == "ok"] or [one.environment for one in records]


def unjudged(rows: Sequence[ComparisonRow], base: LoadedRun, head: LoadedRun, guarded: Sequence[str]) -> list[str]:
    """List the planned cells, and views of cells, that have no decision, one line each.

    A cell is decided by a verdict on a guarded score, or by how its trials ended. A cell that failed in the same way on
    both sides is no regression, but also no proof that head is as good.

    Args:
        rows: all rows of the comparison.
        base, head: the runs.
        guarded: names of the metrics that can fail the gate.
    """
    guarded = [name for name in guarded if name in SCORES] or guarded
    judged = {
        row.cell
        for row in rows
        if row.verdict in (*FAILING, "fixed") or (row.metric in guarded and not math.isnan(row.change))
    }
    pairs = [Aligned(cell, base, head) for cell in {**head.labels, **base.labels}]
    lines = [_unjudged_cell(pair, rows, guarded) for pair in pairs if pair.cell not in judged]
    views = (
        line for cell in head.labels if cell in judged for line in _unjudged_views(Aligned(cell, base, head), guarded)
    )
    return [*filter(None, lines), *views]


def _unjudged_cell(pair: Aligned, rows: Sequence[ComparisonRow], guarded: Sequence[str]) -> str:
    sides = [side for side in pair.sides if pair.cell in side.labels]
    if not any(pair.cell in side.planned for side in sides):
        return ""
    if sides == [pair.base] or all(pair.cell in side.shrunk for side in sides):
        return ""  # only base has it, which a row states; or its smaller cell replaces it
    measured = [side for side in sides if any(side.seeds(pair.cell, "default", name) for name in guarded)]
    if measured == [pair.head]:
        return ""  # more than base has
    where = "in head" if sides == [pair.head] else "on either side"
    names = " and ".join(guarded)
    if measured:
        reasons = (row.reason for row in rows if row.cell == pair.cell and row.metric in guarded and row.reason)
        why = next(reasons, "")
        return f"{pair.label}: {names} could not be compared{f': {why}' if why else ''}"
    if any(side.well(pair.cell) for side in sides):
        return f"{pair.label}: no trial measured {names} {where}"
    return f"{pair.label}: no trial ended well {where}"


def _unjudged_views(pair: Aligned, guarded: Sequence[str]) -> Iterable[str]:
    for view in sorted(pair.head.owed(pair.cell) | pair.base.owed(pair.cell)):
        if not any(values for name in guarded for values in pair.seeds(view, name)):
            yield f"{pair.head.labels[pair.cell]}, view {view}: measured by no trial on either side"
