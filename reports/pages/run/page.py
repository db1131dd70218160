"""The whole report of a run: first the verdict in words, then settings, tables, figures, failures and environment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import results
from reports.document import Block, Document, Figure, Heading, Items, Key, Paragraph, Plot, Viewer
from reports.format import estimate, number
from reports.pages import comparison as changes
from reports.pages.run import (
    cells,
    environment,
    own_metrics,
    published,
    recipe,
    sentences,
    settings,
    slices,
    tables,
    targets,
    trials,
)
from reports.summary import Summary

# Most lines on what could not be drawn.
_NOTES = 5
# Figures in the order of the page: heading and caption.
_FIGURES = {
    "miou.png": (
        "mIoU by cell",
        "Each point is a seed; the bar is the mean with its 95 % interval, where the seeds allow one.",
    ),
    "best.png": (
        "Distance to the best",
        "Mean less that of the best cell; shaded: half a point. The 95 % intervals hold for all pairs together: one "
        "that crosses zero is no significant difference, and its marker is open.",
    ),
    "throughput.png": (
        "Throughput against mIoU",
        "Up and to the right is better; a line joins the cells, if several, that nothing else beats in both. "
        "One that is faster only within the range of the seeds is not joined.",
    ),
    "targets.png": (
        "Seeds that reached the target",
        "Share of the seeds that reached the target by then, by Kaplan-Meier. Up and to the left is better.",
    ),
    "views.png": (
        "Views",
        "The same weights evaluated in other ways; a line joins the views of a cell. Up and to the right is better.",
    ),
    "curves.png": (
        "Learning curves",
        "Validation mIoU over training images; line: mean of the seeds, band: their range, for up to four cells.",
    ),
    "classes.png": (
        "IoU by class",
        "Mean over the seeds in percent, on the split of the results. A blank field: the class does not occur.",
    ),
    "confusion.png": ("Confusion of the best cell", "Rows truth, columns prediction; percent of the row, all seeds."),
    "gradient.png": (
        "Gradient scale",
        "Norm of the loss's gradient at the logits relative to cross-entropy, before training and when every pixel "
        "is right by a margin of 3.",
    ),
    "steps.png": ("Where the time goes", "Seconds of a trial, mean over seeds."),
    "memory.png": ("Memory", "Peaks in MiB: mean over seeds, and every seed."),
    "scaling.png": ("Scaling", "Training throughput over replicas, and its share of the ideal."),
    "pictures.png": (
        "Predictions",
        "{kept}, one seed of each cell; the number is the image's "
        "own mIoU in percent. Last panel: the share of cells that are wrong at each pixel, white none, black all.",
    ),
}


@dataclass(frozen=True)
class Extras:
    """What a report may have besides the run itself.

    Attributes:
        title: of the page; default: the question of the grid and the name of the run.
        runs: blocks on the runs that it joins.
        comparison: the comparison with an earlier run; the page then also lists what regressed since.
        keys, plots, viewers: what only HTML shows: cells to switch on and off, charts in place of figures
            {name: chart}, and picture viewers.
    """

    title: str = ""
    runs: Sequence[Block] = ()
    comparison: results.Comparison | None = None
    keys: tuple[Key, ...] = ()
    plots: Mapping[str, Plot] = field(default_factory=dict)
    viewers: Sequence[Viewer] = ()


_TERMS = "A cell is one combination of what the grid varies. A trial trains a cell once, from one seed."


def document(
    run: results.Run,
    summary: Summary,
    drawn: Mapping[str, bytes],
    notes: Sequence[str] = (),
    extras: Extras | None = None,
) -> Document:
    """Return the report of a run.

    Args:
        run: the run.
        summary: the summary of its records.
        drawn: its figures, {file name: PNG}.
        notes: which figures could not be drawn, and why.
        extras: what else the page has.
    """
    extras = extras or Extras()
    comparison = extras.comparison
    blocks: list[Block] = [
        *settings.description(run),
        *environment.setting(run, summary),
        Heading("Verdict"),
        *sentences.verdict(run, summary),
        *sentences.gaps(run, summary),
        *extras.runs,
        *settings.section(run, summary),
    ]
    if comparison is not None:
        blocks += [Heading(f"Against {comparison.base.name}"), *changes.verdict(comparison)]
        blocks += [changes.table([row for row in comparison.rows if row.gate])]
        blocks += changes.forest(comparison)[1:]
    blocks += recipe.section(run, summary)
    blocks += sentences.outdated(summary)
    blocks += [
        Heading("Results"),
        Paragraph(_TERMS),
        *cells.table(summary),
        *cells.throughput(summary, with_evaluation=True),
        *targets.section(summary),
        *tables.across(summary),
    ]
    blocks += _figures(run, summary, drawn, extras)
    more = [f"{len(notes) - _NOTES} more"] if len(notes) > _NOTES else []
    blocks += [Items([*notes[:_NOTES], *more])] if notes else []
    blocks += slices.section(run, summary)
    blocks += [*own_metrics.section(run, summary), *published.section(run, summary)]
    blocks += [*trials.failures(run), *trials.every_trial(run, summary)]
    blocks += environment.about(run)
    return Document(extras.title or settings.title(run), blocks, extras.keys)


def alternatives(run: results.Run, summary: Summary, drawn: Mapping[str, bytes]) -> dict[str, str]:
    """Return {name of a figure: its text alternative}, in the order of the page."""
    return {
        name: f"{heading}. {_alt(name, summary) or _caption(name, run)}"
        for name, (heading, _) in _FIGURES.items()
        if name in drawn
    }


def _figures(run: results.Run, summary: Summary, drawn: Mapping[str, bytes], extras: Extras) -> list[Block]:
    """Return the figures in the order of the page, each with the table that belongs to it."""
    blocks: list[Block] = []
    for name, alt in alternatives(run, summary, drawn).items():
        heading, caption = _FIGURES[name][0], _caption(name, run)
        blocks += [Heading(heading), *(extras.viewers if name == "pictures.png" else ())]
        blocks.append(Figure(name, drawn[name], alt, caption, extras.plots.get(name)))
        blocks += [tables.views(summary)] if name == "views.png" else []
        blocks += [tables.scaling(summary)] if name == "scaling.png" else []
    if "pictures.png" not in drawn and extras.viewers:
        blocks += [*extras.viewers]
    return blocks


def _caption(name: str, run: results.Run) -> str:
    """Return the caption of a figure, with which of the images that the run kept it shows."""
    artefacts = (artefact for one in run.trials for artefact in one.record.artefacts)
    kept = {str(artefact.meta.get("key")) for artefact in artefacts if artefact.kind == "truth"}
    which = {1: "The only image", 2: "Best and worst of the 2 images"}
    shown = which.get(len(kept), f"Best, median and worst of the {len(kept)} images")
    return _FIGURES[name][1].replace("{kept}", f"{shown} that {'was' if len(kept) == 1 else 'were'} kept")


def _alt(name: str, summary: Summary) -> str:
    """Return the text alternative of a figure; empty if its caption suffices."""
    measured = summary.measured
    if name in ("miou.png", "best.png") and measured:
        first, last = measured[0], measured[-1]
        lowest, highest = estimate(last.interval), estimate(first.interval)
        number_of = results.counted(len(measured), "cell")
        return f"{number_of} from {first.label} at {highest} % to {last.label} at {lowest} %."
    if name == "throughput.png":
        fast = max((cell for cell in measured if cell.rates), key=lambda cell: cell.images_per_second)
        rate = number(fast.images_per_second, 1)
        return f"The fastest cell is {fast.label} at {rate} images/s and {estimate(fast.interval)} % mIoU."
    return ""
