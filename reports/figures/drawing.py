"""The figures of a report, as PNG bytes."""

import math
from collections.abc import Callable

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

import results
from reports.figures import costs, pictures, scores, targets, theme
from reports.metrics import name as metric_name
from reports.metrics import unit_of_change
from reports.summary import Summary
from results import Margins


def draw(run: results.Run, summary: Summary) -> tuple[dict[str, bytes], list[str]]:
    """Return all figures that these records allow, {file name: PNG}, and a line per figure that could not be drawn."""
    notes: list[str] = []
    makers: dict[str, Callable[[], Figure | None]] = {
        "miou.png": lambda: scores.miou(summary),
        "best.png": lambda: None if summary.parts else scores.best(summary),
        "throughput.png": lambda: None if summary.parts else scores.throughput(summary),
        "targets.png": lambda: None if summary.parts else targets.reached(summary),
        "views.png": lambda: scores.views(summary),
        "curves.png": lambda: scores.curves(run, summary),
        "classes.png": lambda: None if summary.parts else scores.classes(run, summary),
        "confusion.png": lambda: None if summary.parts else scores.confusion(run, summary),
        "gradient.png": lambda: scores.gradient(summary),
        "steps.png": lambda: costs.steps(summary),
        "memory.png": lambda: costs.memory(summary),
        "scaling.png": lambda: costs.scaling(summary),
        "pictures.png": lambda: None if summary.parts else pictures.pictures(run, summary, notes),
    }
    return {name: png for name, make in makers.items() if (png := _themed(make)) is not None}, notes


def _themed(make: Callable[[], Figure | None]) -> bytes | None:
    sns.set_theme(style="whitegrid")
    with plt.rc_context(theme.THEME):
        figure = make()
        return None if figure is None else theme.png(figure)


def forest(comparison: results.Comparison) -> bytes | None:
    """Draw a panel per guarded metric: its changes with intervals and margins. None without such a metric."""
    return _themed(lambda: _forest(comparison))


# {verdict: colour, marker, whether it is filled}
_LOOKS = {
    "regressed": ("#d55e00", "X", True), "improved": ("#029e73", "^", True), "ok": ("#0173b2", "o", True),
    "inconclusive": ("#7a5195", "o", False),
}  # fmt: skip


def _forest(comparison: results.Comparison) -> Figure | None:
    rows = [row for row in comparison.rows if row.gate and not math.isnan(row.change)]
    metrics = [name for name in comparison.margins.metrics if any(row.metric == name for row in rows)]
    if not metrics:
        return None
    rules = comparison.margins
    there = sorted({(row.label, row.view) for row in rows}, key=lambda place: _worst(place, rows, rules))
    places = there[: theme.MOST_ROWS]
    figure, panels = plt.subplots(
        1,
        len(metrics),
        squeeze=False,
        sharey=True,
        figsize=(3.2 + 4.4 * len(metrics), 1.9 + 0.42 * max(len(places), 2)),
    )
    for axes, name in zip(panels.flat, metrics, strict=True):
        _panel(axes, [row for row in rows if row.metric == name], places)
    names = [theme.short(label if view == "default" else f"{label} {view}") for label, view in places]
    panels[0, 0].set_yticks(range(len(places)), names)
    panels[0, 0].set_ylim(len(places) - 0.5, -0.5)
    seen = [verdict for verdict in _LOOKS if any(row.verdict == verdict for row in rows)]
    handles = [
        plt.Line2D([], [], color=color, marker=marker, mfc=color if full else "white", mew=2, ms=9, lw=2, label=verdict)
        for verdict in seen
        for color, marker, full in [_LOOKS[verdict]]
    ]
    figure.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(seen), frameon=False)
    theme.say_cut(panels[0, 0], len(there), len(places), "worst")
    figure.tight_layout()
    return figure


def _worst(place: tuple[str, str], rows: list[results.ComparisonRow], rules: Margins) -> tuple[float, str, str]:
    """Return the sort key of a cell, its worst change in units of the margin, so that the worst cell is on top."""
    return min(
        rules.metrics[row.metric].sign * row.change / row.margin for row in rows if (row.label, row.view) == place
    ), *place


def _panel(axes: plt.Axes, rows: list[results.ComparisonRow], places: list[tuple[str, str]]) -> None:
    factor, unit = unit_of_change(rows[0])
    axes.axvline(0, color=theme.INK, lw=1.2)
    for row in rows:
        if (row.label, row.view) not in places:
            continue
        at = places.index((row.label, row.view))
        color, marker, full = _LOOKS[row.verdict]
        axes.barh(
            [at], 2 * factor * row.margin, left=-factor * row.margin, height=1, color=theme.SOFT, alpha=0.18, lw=0
        )
        if not math.isnan(row.low):
            axes.plot([factor * row.low, factor * row.high], [at, at], color=color, lw=2.4)
        axes.plot(
            [factor * row.change], [at], marker, color=color, ms=9, mew=2, mfc=color if full else "white", zorder=5
        )
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"{metric_name(rows[0].metric)}, change{f' in {unit}' if unit else ''}")
