"""The verdict per cell: how its trials ended, and each metric of it, judged by `results.statistics.gate`."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from results.comparison.comparability import not_comparable
from results.comparison.explanations import explain_same_label, remarks
from results.comparison.margins import Margins, Metric
from results.comparison.targets import censored_rows, is_censored
from results.comparison.types import TRIALS, Aligned, ComparisonRow, Key, Seeds, Verdict
from results.record import Record
from results.statistics.gate import Change, Decision, changes, decide
from results.table import VIEW_METRICS

MANY_SEEDS = 100  # nobody trains more for one verdict

_Pairs = Mapping[Key, Aligned]  # the cells that are judged together


def trial_rows(pair: Aligned) -> Iterable[ComparisonRow]:
    """Make the row on how the trials of a cell ended, if that changed."""
    cell, label = pair.cell, pair.label
    if cell not in pair.head.labels:
        owed = cell in pair.base.planned
        same = explain_same_label(cell, pair.base, pair.head)
        reason = f"head has no such cell{same}" if owed else "not planned: base shrank it to fit"
        yield ComparisonRow(cell, label, "", TRIALS, "missing" if owed else "not comparable", reason)
        return
    failed = [_failed(records) for records in pair.records]
    totals = [len({record.seed for record in records}) for records in pair.records]
    shares = [len(one) / total if total else 0.0 for one, total in zip(failed, totals, strict=True)]
    reason = "; ".join(
        f"{name} {len(one)} of {total} failed{_kinds(one)}"
        for name, one, total in zip(("base", "head"), failed, totals, strict=True)
    )
    ok = [total - len(one) for one, total in zip(failed, totals, strict=True)]
    verdict: Verdict = "not comparable"
    if not totals[1] and totals[0]:
        verdict, reason = "missing", "head has no record of this cell"
    elif shares[0] != shares[1]:
        verdict = "newly failing" if shares[1] > shares[0] else "not comparable" if shares[1] else "fixed"
    elif not shares[0]:
        return
    yield ComparisonRow(cell, label, "", TRIALS, verdict, reason, ok[0], ok[1], (totals[0], totals[1]))


def _failed(records: Sequence[Record]) -> list[Record]:
    """Return one record per seed that failed; a seed of which another trial ended well did not."""
    well = {record.seed for record in records if record.status == "ok"}
    lost = {record.seed: record for record in records if record.status not in ("ok", "interrupted")}
    return [record for seed, record in lost.items() if seed not in well]


def _kinds(failed: list[Record]) -> str:
    kinds = sorted({record.status for record in failed})
    return f" ({', '.join(kinds)})" if kinds else ""


def metric_rows(pairs: Sequence[Aligned], margins: Margins) -> list[ComparisonRow]:
    """Make a row per metric of the margins, cell and view: its verdict, or why it cannot be judged."""
    rows: list[ComparisonRow] = []
    judged: dict[Key, Aligned] = {}
    censored: list[tuple[Aligned, str]] = []
    for pair in pairs:
        for name, metric in margins.metrics.items():
            for view in pair.views() if name in VIEW_METRICS else ["default"]:
                if is_censored(pair, name):
                    censored.append((pair, name))
                elif said := decided_row(pair, view, name, metric) or not_comparable(pair, view, name, metric.gate):
                    rows.append(said)
                elif all(pair.seeds(view, name)):
                    judged[pair.cell, view, name] = pair
    for gate in (True, False):  # metrics that can fail the gate are corrected for their own tests alone
        rows += judge({key: pair for key, pair in judged.items() if margins.metrics[key[2]].gate == gate}, margins)
        rows += censored_rows([one for one in censored if margins.metrics[one[1]].gate == gate], margins)
    return rows


def decided_row(pair: Aligned, view: str, name: str, metric: Metric) -> ComparisonRow | None:
    """Make the row of a cell that head was run to decide about, against this base: from its plan's own intervals.

    Returns None if head had nothing to decide, or not about the scores of this base.
    """
    decision = pair.head.decisions.get(name)
    if view != "default" or decision is None or pair.cell not in decision.base:
        return None
    base, head = pair.seeds(view, name)
    kept = {seed: value for seed, value in decision.base[pair.cell].items() if value is not None}
    scores = decision.scores(pair.base.of(pair.cell))[pair.cell]
    if any(scores.get(seed) != value for seed, value in kept.items()):
        return None
    look = decision.look(record for records in pair.head.records.values() for record in records)
    bounds = look.intervals.get(pair.cell)
    if bounds is None or not head or not base:
        if pair.cell not in look.failed:
            return None
        reason = "too many of its trials gave no value for its plan (--until)"
        return ComparisonRow(pair.cell, pair.label, view, name, "not comparable", reason, gate=metric.gate)
    verdict: Verdict = "regressed" if pair.cell in look.out else "ok" if pair.cell in look.ok else "inconclusive"

    def shown(value: float) -> float:
        return math.expm1(value) if metric.scale == "ratio" else value

    means = _mean({seed: base[seed] for seed in head if seed in base}, metric), _mean(head, metric)
    change, low, high, margin = (
        shown(one) for one in (bounds.estimate, bounds.low, bounds.high, -decision.plan.margin)
    )
    return ComparisonRow(
        pair.cell, pair.label, view, name, verdict, "judged by its plan (--until), over all looks", *means,
        (len(base), len(head)), change, low, high, margin=abs(margin), gate=metric.gate, scale=metric.scale,
        method="sequential",
    )  # fmt: skip


def judge(pairs: _Pairs, margins: Margins) -> list[ComparisonRow]:
    """Make a row per line that both sides measured; the lines given here are corrected together."""
    strata = {key: stratum(pair, key[1], key[2]) for key, pair in pairs.items()}
    found: dict[Key, Change] = {}
    for one in sorted(set(strata.values())):
        found |= changes({key: _on_scale(pairs[key], key, margins) for key in pairs if strata[key] == one})
    means = {key: _means(pairs[key], key, margins) for key in found}
    limits = {key: margins.metrics[key[2]].limit(margins.of(key[2], pairs[key].label), means[key][0]) for key in found}
    decisions = decide(found, limits, alpha=margins.alpha, suspects=margins.suspects, power=margins.power)
    return [
        _row(pairs[key], key, found[key], decisions[key], means[key], limits[key], margins.metrics[key[2]])
        for key in found
    ]


def stratum(pair: Aligned, view: str, metric: str) -> tuple[str, ...]:
    """Return the key of the cells that share one noise: metric, view, data set and length of training."""
    spec = next((record.spec for record in pair.base.of(pair.cell)), {})
    train, data = spec.get("train", {}), spec.get("data", {})
    steps = train.get("epochs", 0) * train.get("steps_per_epoch", 0) * train.get("batch_size", 0)
    return metric, view, str(data.get("name")), str(steps)


def _on_scale(pair: Aligned, key: Key, margins: Margins) -> tuple[Seeds, Seeds]:
    """Return the values of both sides on the scale of the test, where more is better."""
    old, new = pair.seeds(*key[1:])
    return _scaled(old, margins.metrics[key[2]]), _scaled(new, margins.metrics[key[2]])


def _scaled(seeds: Seeds, metric: Metric) -> Seeds:
    kept = {seed: value for seed, value in seeds.items() if metric.scale == "difference" or value > 0}
    return {seed: metric.on_scale(value) for seed, value in kept.items()}


def _means(pair: Aligned, key: Key, margins: Margins) -> tuple[float, float]:
    old, new = pair.seeds(*key[1:])
    return _mean(old, margins.metrics[key[2]]), _mean(new, margins.metrics[key[2]])


def _mean(seeds: Seeds, metric: Metric) -> float:
    values = np.array([*seeds.values()], float)
    return float(values.mean() if metric.scale == "difference" else np.exp(np.log(values[values > 0]).mean()))


def _needs(more: int) -> str:
    """Say how many more seeds could decide. An estimate beyond what anyone trains has no digits to be read."""
    if more > MANY_SEEDS:
        return f"needs over {MANY_SEEDS} more seeds"
    return f"needs {more} more seed{'s' if more > 1 else ''}"


def _row(
    pair: Aligned,
    key: Key,
    one: Change,
    decision: Decision,
    means: tuple[float, float],
    limit: float,
    metric: Metric,
) -> ComparisonRow:
    cell, view, name = key

    def shown(value: float) -> float:
        return metric.sign * value if metric.scale == "difference" else math.expm1(metric.sign * value)

    low, high = sorted((shown(one.low), shown(one.high)))
    more, reason = decision.more_seeds, ""
    if decision.verdict == "inconclusive":
        reason = _needs(more) if more else "no noise estimate: at least 2 seeds are needed"
    reason = "; ".join(filter(None, [reason, remarks(pair, view, name)]))
    return ComparisonRow(
        cell, pair.label, view, name, decision.verdict, reason, means[0], means[1], one.seeds, shown(one.estimate), low,
        high, decision.p, abs(shown(-limit)), abs(shown(-decision.smallest)), more, decision.suspect, metric.gate,
        metric.scale, one.method,
    )  # fmt: skip
