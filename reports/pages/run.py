"""What the report of a run says: the verdict in words first, then tables, figures, failures, environment, command."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import numpy as np

import results
from reports.document import (
    Block,
    Bold,
    Code,
    Document,
    Field,
    Figure,
    Heading,
    Inline,
    Items,
    Link,
    Listing,
    Paragraph,
    Table,
    Text,
    Tone,
)
from reports.pages import comparison as changes
from reports.summary import ALPHA, POWER, Cell, Summary
from results import LOG

# Figures in the order of the page: heading, and what the caption says.
_FIGURES = {
    "miou.png": (
        "mIoU by cell",
        "Each point is a seed; the bar is the mean with its 95 % interval, where the seeds allow one.",
    ),
    "best.png": ("Distance to the best", "Mean less that of the best cell, 95 % intervals; shaded: half a point."),
    "throughput.png": (
        "Throughput against mIoU",
        "Up and to the right is better; the line joins the cells that nothing else beats in both.",
    ),
    "views.png": (
        "Views",
        "The same weights evaluated in other ways; a line joins the views of a cell. Up and to the right is better.",
    ),
    "curves.png": (
        "Learning curves",
        "Validation mIoU over training images; line: mean of the seeds, band: their range.",
    ),
    "classes.png": ("IoU by class", "Validation, mean over seeds, percent. A blank field: the class does not occur."),
    "confusion.png": ("Confusion of the best cell", "Rows truth, columns prediction; percent of the row, all seeds."),
    "gradient.png": (
        "Gradient scale",
        "Norm of the loss's gradient at the logits relative to cross-entropy, before training and once all is right by "
        "a margin of 3.",
    ),
    "steps.png": ("Where the time goes", "Seconds of a trial, mean over seeds."),
    "memory.png": ("Memory", "Peaks in MiB: mean over seeds, and every seed."),
    "scaling.png": ("Scaling", "Training throughput over replicas, and its share of the ideal."),
    "pictures.png": (
        "Predictions",
        "Best, median and worst of the kept validation images, one seed of each cell; the number is the picture's own "
        "mIoU in percent. Last panel: the share of cells that are wrong at each pixel, white none, black all.",
    ),
}


_WEIGHTS = {
    "averaged": "averaged weights",
    "best": "the weights that the validation split chose",
    "last": "the weights of the last step",
}


def document(
    run: results.Run,
    summary: Summary,
    drawn: dict[str, bytes],
    notes: Sequence[str] = (),
    comparison: results.Comparison | None = None,
) -> Document:
    """The report as a document; `drawn` are its figures, `notes` what could not be drawn and why."""
    made: list[Block] = [*_setting(run, summary), Heading("Verdict"), *verdict(summary), *_gaps(run, summary)]
    if comparison is not None:
        made += [Heading(f"Against {comparison.base.name}"), *changes.verdict(comparison)]
        made += [changes.table([row for row in comparison.rows if row.gate])]
        made += changes.forest(comparison)[1:]
    made += _outdated(summary)
    made += [Heading("Results"), *_table(summary), *throughput(summary), *_across(summary)]
    if summary.test:
        made += [Heading("Test split"), *_test(summary)]
    for name, (heading, caption) in _FIGURES.items():
        if name in drawn:
            alt = f"{heading}. {_alt(name, summary) or caption}"
            made += [Heading(heading), Figure(name, drawn[name], alt, caption)]
            made += [_views(summary)] if name == "views.png" else []
            made += [_scaling(summary)] if name == "scaling.png" else []
    made += [Items(list(notes))] if notes else []
    made += [*_published(run, summary), *_failures(run), *_trials(run, summary), *_about(run)]
    return Document(str(run.manifest.get("name") or run.folder.resolve().name), made)


def _setting(run: results.Run, summary: Summary) -> list[Block]:
    """What was measured, on what and when, in a line."""
    records = [one.record for one in run.trials]
    data = sorted({record.dataset.name for record in records if record.dataset})
    seeds = f" of {summary.seeds} seed{'s' if summary.seeds > 1 else ''}" if summary.seeds else ""
    known, _ = _environment(run)
    devices = known.get("gpu_names") or [known.get("processor")]
    versions = [
        f"{name} {known[key]}" for name, key in (("TensorFlow", "tensorflow"), ("Python", "python")) if key in known
    ]
    days = sorted({record.finished.date().isoformat() for record in records if record.finished})
    parts = [
        ", ".join(data),
        _count(summary.cells, "cell") + seeds,
        ", ".join(versions),
        ", ".join(sorted({str(device) for device in devices if device})),
        " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "",
    ]
    return [Paragraph(" · ".join(part for part in parts if part))]


def verdict(summary: Summary) -> list[Block]:
    """Who wins, whether by more than the noise, and what these seeds could not have shown; for each data set apart."""
    if summary.parts:
        return [
            block for name, part in summary.parts.items() for block in (Paragraph([Bold(f"{name}:")]), *verdict(part))
        ]
    cells = summary.measured
    if not cells:
        said: list[Inline] = [
            Bold("Nothing was measured:"),
            " no trial ended with a validation mIoU. The reasons are below.",
        ]
        return [Paragraph(said, "bad")]
    best = cells[0]
    said = [Bold(best.label), f" has the highest validation mIoU: {_score(best)} %. "]
    if len(cells) == 1:
        return [Paragraph([*said, "It is the only cell that was measured, so there is nothing to compare."])]
    tested = {pair: p for pair, p in summary.ranking.p.items() if not math.isnan(p)}
    if not tested:
        said += ["No cell has seeds that differ, so the noise is unknown: ", Bold("no difference can be called real.")]
        return [Paragraph(said, "unsure")]
    clear, words = _standing(summary)
    made: list[Block] = [Paragraph([*said, *words], "good" if clear else "unsure")]
    if best.chance < 1:
        rivals = [cell for cell in cells[1:] if cell.chance >= 0.05][:3]
        others = "".join(f"; {cell.label} {chance(cell.chance)}" for cell in rivals)
        made.append(Paragraph(f"Chance of having the highest true mIoU: {best.label} {chance(best.chance)}{others}."))
    if not math.isnan(summary.smallest):
        least = "" if summary.fewest == summary.seeds else "at least "
        seeds = f"{least}{summary.fewest} seed{'s' if summary.fewest > 1 else ''} a cell"
        kind = "noise beside the seeds' common effect" if summary.ranking.method == "blocked" else "seed noise"
        noise = f"{kind} {summary.ranking.pool.sd * 100:.2f} points" if summary.ranking.pool else ""
        level = f"{100 * ALPHA:.0f} % false alarms over all {len(summary.ranking.p)} pairs together"
        unseen = Bold(f"{summary.smallest * 100:.1f} points")
        made.append(
            Paragraph(
                [
                    f"With {seeds}, a true difference below ",
                    unseen,
                    " between two cells would probably not have been "
                    f"seen (power {100 * POWER:.0f} %; {level}; {noise}).",
                ]
            )
        )
    if summary.ranking.method == "blocked":
        r = summary.ranking.correlation
        made.append(Paragraph(f"Seeds are shared and correlate ({r:.2f}): their common effect is taken out."))
    return made


def _standing(summary: Summary) -> tuple[bool, list[Inline]]:
    """Whether the best cell stands apart, and how, in words."""
    best, second, *_ = cells = summary.measured
    alike = [cell for cell in cells[1:] if summary.ranking.alike(best.key, cell.key)]
    gap = (best.interval.mean - second.interval.mean) * 100
    following = f"the next is {second.label}, {gap:.1f} points below."
    if not alike:
        return True, [f"It beats every other cell by more than the noise; {following}"]
    if len(alike) == len(cells) - 1:
        return False, [Bold("No cell differs from it by more than the noise"), f"; {following}"]
    below = len(cells) - 1 - len(alike)
    names = _list([cell.label for cell in alike])
    return False, [f"It cannot be told apart from {names}; {below} of the others are below it by more than the noise."]


def _gaps(run: results.Run, summary: Summary) -> list[Block]:
    counts = Counter(stored.record.status for stored in run.trials)
    told = ", ".join(f"{n} {status}" for status, n in sorted(counts.items(), key=_ok_first))
    made: list[Block] = [Paragraph(f"Trials: {told}.")]
    if summary.missing:
        lacks = f" {len(summary.missing)} without a record ({_list(summary.missing)})."
        made.append(Paragraph([Bold("The run is incomplete:"), lacks], "bad"))
    if run.problems:
        made.append(
            Paragraph([Bold(f"{_count(run.problems, 'record')} cannot be read:"), f" {'; '.join(run.problems)}"], "bad")
        )
    blind = [
        f"{name} of {one.record.trial} ({reason})"
        for one in run.trials
        for name, reason in one.record.failed_views.items()
    ]
    if blind:
        more = f", and {len(blind) - 3} more" if len(blind) > 3 else ""
        made.append(Paragraph([Bold("Views that came to nothing:"), f" {'; '.join(blind[:3])}{more}."], "bad"))
    short = [
        f"{cell.label} {len(cell.miou)} of {cell.planned}" for cell in summary.measured if len(cell.miou) < cell.planned
    ]
    if short:
        made.append(
            Paragraph(
                f"Means over fewer seeds than planned: {_list(short)}; seeds that failed may have been the worse ones."
            )
        )
    return made


def _table(summary: Summary) -> list[Block]:
    if summary.parts:
        return [block for name, part in summary.parts.items() for block in (Heading(name, level=3), *_table(part))]
    chosen = "best" in summary.weights  # else the best epoch is not that of the weights that were scored
    head = ["cell", "mIoU, %", "group", "P(best)", "seeds", "images/s", "input share, %"]
    head += [*(["best epoch"] if chosen else []), "training, s"]
    scaled = len({cell.gradient for cell in summary.measured if not math.isnan(cell.gradient[0])}) > 1
    rows: list[list[Field | Text]] = []
    for cell in summary.cells:
        status = ", ".join(f"{n} {name}" for name, n in sorted(cell.statuses.items(), key=_ok_first)) or "missing"
        tone: Tone = "" if set(cell.statuses) == {"ok"} else "bad"
        row: list[Field | Text] = [
            Field(Link(cell.label, f"#cell-{cell.key}"), None),
            Field(_score(cell), cell.interval.mean),
            summary.ranking.groups.get(cell.key, "–"),
            Field(chance(cell.chance), cell.chance),
            f"{len(cell.miou)}/{cell.planned}",
            Field(number(cell.images_per_second, 1), cell.images_per_second),
            number(cell.input_share * 100, 0),
            *([number(cell.best_epoch, 1)] if chosen else []),
            number(cell.train_s, 0),
        ]
        row += [Field(" → ".join(map(_significant, cell.gradient)), cell.gradient[0])] if scaled else []
        rows.append([*row, Field(status, None, tone)])
    head += [*(["gradient"] if scaled else []), "trials"]
    return [Table(head, rows, frozenset({"cell", "group", "trials"})), Paragraph(_how(summary, scaled))]


def _how(summary: Summary, scaled: bool) -> str:
    """How to read the table of results."""
    note = "Cells that share a letter cannot be told apart (all pairs, Holm, 5 %)."
    methods = {cell.interval.method for cell in summary.measured}
    if methods & {"pooled", "own"}:
        note = f"mIoU: mean ± 95 % interval on the validation split, noise shared by the cells. {note}"
    elif methods:
        note = f"No intervals: no cell has seeds that differ. {note}"
    note += " P(best): chance of the highest true mIoU under flat priors."
    own = [cell.label for cell in summary.measured if cell.interval.method == "own"]
    if own:
        note += f" Noisier than the rest, so with its own interval: {_list(own)}."
    constant = [cell.label for cell in summary.measured if cell.interval.method == "constant"]
    if constant:
        note += f" Equal over all seeds, which hints at a collapse and gives no interval: {_list(constant)}."
    if scaled:
        note += (
            " Gradient: its norm at the logits relative to cross-entropy, before training → once all is right by a "
            "margin of 3. Cells of other scales also train at another rate."
        )
    return note


def _outdated(summary: Summary) -> list[Block]:
    """How many trials have scores that cannot stand beside those of the others."""
    parts = [summary, *summary.parts.values()]
    if not (outdated := max(part.outdated for part in parts)):
        return []
    told = "1 trial has scores" if outdated == 1 else f"{outdated} trials have scores"
    return [
        Paragraph(
            f"{told} of an older version than the others: they are left out, because the two cannot be compared.", "bad"
        )
    ]


def throughput(summary: Summary) -> list[Block]:
    """Why images/s leave trials out, or cannot be compared at all; empty where they can."""
    if not summary.incomparable:
        return []
    reasons = "; ".join(summary.incomparable)
    trials = summary.trials["trial"].nunique()
    if summary.timed:
        return [Paragraph(f"Images/s leave out {summary.untimed} of {trials} trials: {reasons}.")]
    return [Paragraph(f"Images/s cannot be compared between these trials: {reasons}.", "unsure")]


def _across(summary: Summary) -> list[Block]:
    """Several data sets: interquartile means and profiles, never a bare mean."""
    if not summary.across:
        return []
    thresholds = summary.across[0].thresholds
    head = ["cell", "IQM of mIoU, %", "data sets", *(f"> {100 * t:.0f} %" for t in thresholds)]
    rows: list[list[Field | Text]] = [
        [
            one.label,
            Field(f"{_percent(one.iqm.value)} {_range(one.iqm.low, one.iqm.high)}".strip(), one.iqm.value),
            str(one.tasks),
            *(Field(number(100 * share, 0), share) for share in one.profile),
        ]
        for one in summary.across
    ]
    note = (
        "IQM: mean of the middle half of all seeds on all data sets, with a 95 % interval (seeds resampled inside "
        "their data set); then the performance profile, the percentage of runs above each mIoU."
    )
    return [Heading("Across data sets"), Table(head, rows, frozenset({"cell"})), Paragraph(note)]


def _test(summary: Summary) -> list[Block]:
    labels = {cell.key: cell.label for cell in summary.cells}
    rows: list[list[Field | Text]] = [
        [labels[key], Field(f"{_percent(one.mean)} {_plus_minus(one.mean, one.high)}".strip(), one.mean), str(one.n)]
        for key, one in sorted(summary.test.items(), key=lambda item: (-item[1].mean, item[0]))
    ]
    return [
        Paragraph(f"Evaluated once, with {' or '.join(_WEIGHTS[kind] for kind in summary.weights)}."),
        Table(["cell", "test mIoU, %", "seeds"], rows, frozenset({"cell"})),
    ]


def _views(summary: Summary) -> Table:
    rows: list[list[Field | Text]] = [
        [
            view.label,
            Code(view.name),
            Field(f"{_percent(one.mean)} {_plus_minus(one.mean, one.high)}".strip(), one.mean),
            _percent(view.boundary_iou),
            number(view.images_per_second, 1),
        ]
        for view in summary.views
        for one in [view.interval]
    ]
    return Table(["cell", "view", "mIoU, %", "Boundary IoU, %", "images/s"], rows, frozenset({"cell", "view"}))


def _scaling(summary: Summary) -> Table:
    rows: list[list[Field | Text]] = [
        [
            one.series,
            str(one.replicas),
            str(one.batch),
            Field(number(one.images_per_second, 1), one.images_per_second),
            Field(
                f"{one.efficiency:.2f}" + ("" if one.low is None else f" ({one.low:.2f} to {one.high:.2f})"),
                one.efficiency,
            ),
            "–" if one.input_share is None else number(100 * one.input_share, 0),
        ]
        for one in summary.scaling
    ]
    return Table(
        ["series", "replicas", "batch", "images/s", "efficiency", "input share, %"], rows, frozenset({"series"})
    )


def _published(run: results.Run, summary: Summary) -> list[Block]:
    """What earlier projects would have published for these very weights, each with the place it would give the cell."""
    names = {"soft_iou": "soft IoU, %", "class_recall": "class recall, %", "soft_dice": "soft Dice, %"}
    found: dict[str, dict[str, list[float]]] = {}
    for record in (one.record for one in run.trials if one.record.status == "ok"):
        for view in record.views:
            if view.published and (view.view, view.split) == ("default", "val"):
                for name in names:
                    if (value := getattr(view.published, name)) is not None:
                        found.setdefault(record.cell, {}).setdefault(name, []).append(value)
    note = (
        "Numbers that earlier projects called IoU, computed as they did, on the same weights; in brackets the place "
        "that each gives."
    )
    tables = _published_tables(summary, names, found)
    return [Heading("As others published it"), Paragraph(note), *tables] if tables else []


def _published_tables(summary: Summary, names: dict[str, str], found: dict[str, dict[str, list[float]]]) -> list[Block]:
    if summary.parts:
        parts = {name: _published_tables(part, names, found) for name, part in summary.parts.items()}
        return [block for name, made in parts.items() if made for block in (Heading(name, level=3), *made)]
    cells = [cell for cell in summary.measured if cell.key in found]
    if not cells:
        return []
    columns = {"mIoU, %": [cell.interval.mean for cell in cells]}
    columns |= {
        told: [float(np.mean(found[cell.key].get(name, [math.nan]))) for cell in cells] for name, told in names.items()
    }
    rows: list[list[Field | Text]] = [
        [cell.label, *(_placed(values[row], values) for values in columns.values())] for row, cell in enumerate(cells)
    ]
    return [Table(["cell", *columns], rows, frozenset({"cell"}))]


def _placed(value: float, values: list[float]) -> Field:
    return Field(f"{_percent(value)} ({1 + sum(other > value for other in values)})", value)


def _failures(run: results.Run) -> list[Block]:
    rows: list[list[Field | Text]] = []
    for stored in run.trials:
        record = stored.record
        if record.status == "ok":
            continue
        reason = f"{record.error.kind}: {record.error.message}" if record.error else "no reason recorded"
        where = f" (epoch {record.error.epoch})" if record.error and record.error.epoch is not None else ""
        rows.append([record.trial, Field(record.status, None, "bad"), reason[:200] + where, _links(run, stored)])
    if not rows:
        return []
    head = ["trial", "status", "reason", "details"]
    return [Heading("Failed trials"), Table(head, rows, frozenset(head))]


def _trials(run: results.Run, summary: Summary) -> list[Block]:
    """Every trial with its record and log; the cells of the results table lead here."""
    ranks = {cell.key: rank for rank, cell in enumerate(summary.cells)}
    first: set[str] = set()
    rows: list[list[Field | Text]] = []
    for stored in sorted(run.trials, key=lambda one: (ranks[one.record.cell], one.record.seed, one.record.trial)):
        record = stored.record
        val = next((view.miou for view in record.views if (view.view, view.split) == ("default", "val")), None)
        rate = record.throughput.images_per_second if record.throughput else None
        rows.append(
            [
                Field(record.label, None, "", "" if record.cell in first else f"cell-{record.cell}"),
                str(record.seed),
                Field(record.status, None, "" if record.status == "ok" else "bad"),
                number(math.nan if val is None else 100 * val, 2),
                number(math.nan if rate is None else rate, 1),
                number(math.nan if record.clocks.total_s is None else record.clocks.total_s, 0),
                _links(run, stored),
            ]
        )
        first.add(record.cell)
    head = ["cell", "seed", "status", "mIoU, %", "images/s", "total, s", "files"]
    return [Heading("Trials"), Table(head, rows, frozenset({"cell", "status", "files"}), f"{len(rows)} trials")]


def _links(run: results.Run, stored: results.Stored) -> Text:
    """Links to a trial's record and log, as far as they lie in the run's folder."""
    try:
        folder = quote(stored.folder.resolve().relative_to(run.folder.resolve()).as_posix())
    except ValueError:
        return "–"
    record = Link("record", f"../{folder}/record.json")
    return [record, ", ", Link("log", f"../{folder}/{LOG}")] if (stored.folder / LOG).is_file() else record


def _environment(run: results.Run) -> tuple[dict[str, Any], int]:
    """The environment that most trials ran in, and how many there were."""
    found = Counter(json.dumps(one.record.environment, sort_keys=True, ensure_ascii=False) for one in run.trials)
    return json.loads(found.most_common(1)[0][0]), len(found)


def _about(run: results.Run) -> list[Block]:
    common, environments = _environment(run)
    rows: list[list[Field | Text]] = [
        [name, _plain(value)] for name, value in common.items() if value not in (None, "", [], {})
    ]
    made: list[Block] = [Heading("Environment and command")]
    datasets = {one.record.dataset.name: one.record.dataset for one in run.trials if one.record.dataset}
    for dataset in datasets.values():
        images = ", ".join(f"{n} {split}" for split, n in dataset.images.items())
        rest = f" (version {dataset.version}): {len(dataset.class_names)} classes; images: {images}."
        made.append(Paragraph(["Data set ", Bold(dataset.name), rest]))
    if command := run.manifest.get("command"):
        command = command if isinstance(command, str) else " ".join(map(str, command))
        made += [Paragraph("Repeat with"), Listing(command)]
    if rows:
        made.append(Table(["environment", "value"], rows, frozenset({"environment", "value"})))
    if environments > 1:
        told = f"The trials ran in {environments} environments;"
        made.append(Paragraph([Bold(told), " the table shows the most frequent."]))
    return made


def _alt(name: str, summary: Summary) -> str:
    """What a figure shows, for who cannot see it."""
    cells = summary.measured
    if name in ("miou.png", "best.png") and cells:
        first, last = cells[0], cells[-1]
        return f"{len(cells)} cells from {first.label} at {_score(first)} % to {last.label} at {_score(last)} %."
    if name == "throughput.png":
        fast = max((cell for cell in cells if cell.rates), key=lambda cell: cell.images_per_second)
        return f"The fastest cell is {fast.label} at {fast.images_per_second:.1f} images/s and {_score(fast)} % mIoU."
    return ""


def _count(items: Sequence[object], name: str) -> str:
    return f"{len(items)} {name}{'' if len(items) == 1 else 's'}"


def _ok_first(item: tuple[str, int]) -> tuple[bool, str]:
    return item[0] != "ok", item[0]


def _list(items: list[str], most: int = 10) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def _score(cell: Cell) -> str:
    return f"{_percent(cell.interval.mean)} {_plus_minus(cell.interval.mean, cell.interval.high)}".strip()


def _percent(fraction: float) -> str:
    return number(fraction * 100, 1)


def _plus_minus(mean: float, high: float) -> str:
    return "" if math.isnan(high) else f"± {(high - mean) * 100:.1f}"


def _range(low: float, high: float) -> str:
    return "" if math.isnan(low) else f"({100 * low:.1f} to {100 * high:.1f})"


def chance(share: float) -> str:
    """A simulated probability; its ends are not certainties."""
    return "–" if math.isnan(share) else "> 0.99" if share > 0.99 else "< 0.01" if share < 0.01 else f"{share:.2f}"


def number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _significant(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2g}"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
