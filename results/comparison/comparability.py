"""Which numbers of a cell may be compared, and why the others may not."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from results import hand_over
from results.comparison.explanations import HOW_RUN, as_text, listed
from results.comparison.types import SCORES, SPEEDS, TARGETS, Aligned, ComparisonRow
from results.record import Record

# Fields of the environment, besides the software, on which speed and memory depend. The software itself is the object
# of a comparison. A field that a record lacks, or has empty, is unknown, and so equal to nothing.
MACHINE = (
    "processor", "instructions", "onednn", "cores", "gpus", "gpu_names", "device", "replicas", "precision",
    "tensor_float_32",
)  # fmt: skip
_Field = tuple[str, str, Callable[[Record], Mapping[str, Any]]]


def not_comparable(pair: Aligned, view: str, metric: str, gate: bool) -> ComparisonRow | None:
    """Make the row that states why a metric cannot be judged.

    Args:
        pair: the cell.
        view, metric: view and metric of the row.
        gate: whether the metric can fail the gate.

    Returns:
        The row. None if the metric can be judged, or if neither side measured it.
    """
    old, new = pair.seeds(view, metric)
    seeds = (len(old), len(new))
    base_ended, head_ended = pair.well
    reason = why_not_comparable(pair, metric)
    if reason and (old or new or metric == "images_per_second"):
        return ComparisonRow(pair.cell, pair.label, view, metric, "not comparable", reason, seeds=seeds, gate=gate)
    if old and not new and head_ended:
        reason = "base measured it, head did not"
        return ComparisonRow(pair.cell, pair.label, view, metric, "missing", reason, seeds=seeds, gate=gate)
    if new and not old and base_ended:
        reason = "base did not measure it"
        return ComparisonRow(pair.cell, pair.label, view, metric, "not comparable", reason, seeds=seeds, gate=gate)
    return None


def why_not_comparable(pair: Aligned, metric: str) -> str:
    """Return why a metric of the two sides cannot be compared; empty if it can."""
    if metric in (*SCORES, "target_steps"):  # steps are the same on every machine
        return why_scores_differ(pair)
    if metric in TARGETS and (reason := why_scores_differ(pair)):
        return reason
    if metric in SPEEDS and (reason := _decided_otherwise(pair)):
        return reason
    reason = _machines_differ(pair) or (_without_throughput(pair) or _placed_otherwise(pair)) * (metric in SPEEDS)
    return reason or (_references_differ(pair) if metric == "images_per_100_gflop" else "")


def why_scores_differ(pair: Aligned) -> str:
    """Return why the scores of a cell cannot be compared; empty if they can.

    They may come from another version of the scoring, from a data set that changed under the same name, or from the
    weights of another epoch; or they may have decided themselves how many seeds were run.
    """
    for name, side in zip(("base", "head"), pair.sides, strict=True):
        if side.decisions:
            return f"{name}'s seeds were run until decided (--until), which its own report judges"
    versions = {one.scoring for found in pair.records for one in found if one.views}
    if len(versions) > 1:
        return f"scores of version {' and '.join(map(str, sorted(versions)))}"
    for what in ("version", "class_names", "images"):
        found = [
            {as_text(getattr(record.dataset, what)) for record in records if record.dataset} for records in pair.records
        ]
        if reason := _differ(f"the data set's {what}", found):
            return reason
    kept = [{value == "best" for value in side} for side in _values(pair, "keep_checkpoint", _section("eval"))]
    if all(kept) and kept[0] != kept[1]:  # "last" and "none" score the same weights
        return "eval.keep_checkpoint differs: the weights of the best epoch / of the last"
    return ""


def _decided_otherwise(pair: Aligned) -> str:
    """Return why a speed is not judged where a run decided against a base how many seeds it runs; empty elsewhere.

    Its speed is judged by a plan of its own if both sides ran in turns. Else their trials ran in different hours, and
    the speed of a machine differs between hours.
    """
    for name, side in zip(("base", "head"), pair.sides, strict=True):
        if "images_per_second" in side.decisions:
            return f"{name}'s seeds were run until decided (--until), which judges images_per_second alone"
        if any(one.against for one in side.decisions.values()):
            return "speed is not judged: base and head did not run in turns, as bench.versus runs them"
    return ""


def _machines_differ(pair: Aligned) -> str:
    """Return how the machines or the run settings differ, or what of them is unknown; empty if they are the same."""
    fields = _fields()
    reasons = (_differ(path, _values(pair, name, of)) for path, name, of in fields)
    return next(filter(None, reasons), "") or _unknown(pair, fields) or _processes_differ(pair)


def _unknown(pair: Aligned, fields: Sequence[_Field]) -> str:
    """Return what the records of a side leave open; empty if they say everything."""
    for side, well in zip(("base", "head"), pair.well, strict=True):
        silent = [
            path for path, name, of in fields if any(name not in of(record) and _needs(record, name) for record in well)
        ]
        if silent:
            return f"{side} does not say its {', '.join(silent)}"
    return ""


def _fields() -> list[_Field]:
    """List the fields on which speed and memory depend: path, name, and how to get its section of a record."""
    return [
        *((name, name, _environment) for name in MACHINE),
        *((path, path.split(".")[1], _section(path.split(".")[0])) for path in HOW_RUN),
    ]


def _environment(record: Record) -> Mapping[str, Any]:
    """Return what a record says of its machine, without what it has as null or empty."""
    return {name: value for name, value in record.environment.items() if value not in (None, "")}


def _processes_differ(pair: Aligned) -> str:
    """Return how the kinds of processes differ, "fresh" and "forked". Before records said so, all were fresh.

    A forked process counts less memory: of the libraries that its fork server has mapped, only the pages it touches. It
    copies pages that it writes to, so that its first steps may be slower.
    """
    kinds = [{str(one.environment.get("process", "fresh")) for one in well} for well in pair.well]
    return _differ("the kind of process", kinds)


def _needs(record: Record, name: str) -> bool:
    """Return whether a record that lacks a field leaves something open."""
    return name != "tensor_float_32" or record.environment.get("device") == "gpu"


def _section(name: str) -> Callable[[Record], Mapping[str, Any]]:
    """Return how to get a section of a spec, in which null is a setting and only a field that is absent is unknown."""
    return lambda record: record.spec.get(name, {})


def _values(pair: Aligned, name: str, of: Callable[[Record], Mapping[str, Any]]) -> list[set[str]]:
    """Return the known values of a field in trials that ended well, per side."""
    return [{as_text(of(record)[name]) for record in well if name in of(record)} for well in pair.well]


def _differ(name: str, found: Iterable[set[str]]) -> str:
    """Describe a difference; empty also if one side has no known value."""
    old, new = found
    return f"{name} differs: {listed(old)} / {listed(new)}" if old and new and old != new else ""


def _references_differ(pair: Aligned) -> str:
    """Return how the versions of the reference differ, of trials that measured it."""
    speeds = [[record.throughput for record in well if record.throughput] for well in pair.well]
    return _differ(
        "the reference's version", [{str(one.reference.version) for one in side if one.reference} for side in speeds]
    )


def _without_throughput(pair: Aligned) -> str:
    """Return why a side has no comparable throughput, if none of its trials has one."""
    for name, side, records in zip(("base", "head"), (pair.base, pair.head), pair.records, strict=True):
        found = [record for record in records if record.throughput]
        reasons = [_why_without(record, side.usually) for record in found]
        if reasons and all(reasons):
            return f"{name}: {reasons[0]}"
    return ""


def _placed_otherwise(pair: Aligned) -> str:
    """Return that the cores were placed in one way in base and in another in head, where each is a run of its own."""
    for machine, time in pair.base.usually.items():
        if (other := pair.head.usually.get(machine)) and hand_over.moved(time, other):
            return f"{hand_over.OTHERWISE}: a hand-over in {time:.0f} / {other:.0f} ns"
    return ""


def _why_without(record: Record, usually: hand_over.Levels) -> str:
    """Return why a trial has no comparable throughput; empty if it has one."""
    speed = record.throughput
    if speed and speed.comparable and speed.images_per_second:
        return hand_over.placed_otherwise(hand_over.cores_of(record), usually)
    return (speed and speed.reason) or "no throughput"
