"""The report as Markdown: the verdict in words first, then tables, figures, failures, environment and command."""

import json
import math
from collections import Counter

import results
from reports.summary import ALPHA, POWER, Cell, Summary

_FIGURES = {
    "miou.png": ("mIoU by cell", "Each point is a seed; the bar is the mean with its 95 % interval."),
    "throughput.png": ("Throughput against mIoU", "Up and to the right is better."),
    "views.png": (
        "Views",
        "The same weights evaluated in other ways; a line joins the views of a cell. Up and to the right is better.",
    ),
    "curves.png": (
        "Learning curves",
        "Validation mIoU over training images; line: mean of the seeds, band: their range.",
    ),
    "classes.png": ("IoU by class", "Validation, mean over seeds, percent. A blank field: the class does not occur."),
    "pictures.png": ("Predictions", "One seed of each cell; the number is the picture's own mIoU in percent."),
}


def render(run: results.Run, summary: Summary, figures: set[str], notes: list[str]) -> str:
    """The text of `report.md`; `figures` are the files drawn beside it, `notes` what could not be drawn and why."""
    title = run.manifest.get("name") or run.folder.resolve().name
    parts = [f"# {_text(title)}", "## Verdict", verdict(summary), _gaps(run, summary), "## Results", _table(summary)]
    parts += [_throughput(summary)]
    if summary.test:
        parts += ["## Test split", "Evaluated once, with the weights that the validation split chose.", _test(summary)]
    for name, (heading, caption) in _FIGURES.items():
        if name in figures:
            parts += [f"## {heading}", f"![{heading}. {caption}](figures/{name})", caption]
            parts += [_views(summary)] if name == "views.png" else []
    parts += [f"- {_text(note)}" for note in notes]
    parts += [_failures(run), _about(run)]
    return "\n\n".join(part for part in parts if part) + "\n"


def verdict(summary: Summary) -> str:
    """Who wins, whether by more than the noise, and what these seeds could not have shown."""
    cells = summary.measured
    if not cells:
        return "**Nothing was measured:** no trial ended with a validation mIoU. The reasons are listed below."
    best = cells[0]
    score = f"{_percent(best.interval.mean)} {_half(best)}".strip()
    head = f"**{_text(best.label)}** has the highest validation mIoU: {score} %"
    if len(cells) == 1:
        return f"{head}. It is the only cell that was measured, so there is nothing to compare."
    tested = {pair: p for pair, p in summary.ranking.p.items() if not math.isnan(p)}
    if not tested:
        return f"{head}. No cell has seeds that differ, so the noise is unknown: **no difference can be called real.**"
    level = set(summary.ranking.groups[best.key])
    alike = [cell for cell in cells[1:] if level & set(summary.ranking.groups[cell.key])]
    second = cells[1]
    gap = (best.interval.mean - second.interval.mean) * 100
    following = f"the next is {_text(second.label)}, {gap:.1f} points below."
    if not alike:
        said = f"It beats every other cell by more than the noise; {following}"
    elif len(alike) == len(cells) - 1:
        said = f"**No cell differs from it by more than the noise**; {following}"
    else:
        below = len(cells) - 1 - len(alike)
        names = _list([cell.label for cell in alike])
        said = f"It cannot be told apart from {names}; {below} of the others are below it by more than the noise."
    lines = [f"{head}. {said}"]
    if not math.isnan(summary.smallest):
        seeds = f"{summary.seeds} seed{'s' if summary.seeds > 1 else ''} a cell"
        noise = f"seed noise {summary.ranking.pool.sd * 100:.2f} points" if summary.ranking.pool else ""
        lines.append(
            f"With {seeds}, a true difference below **{summary.smallest * 100:.1f} points** between two cells would "
            f"probably not have been seen (power {100 * POWER:.0f} %; {100 * ALPHA:.0f} % false alarms over all "
            f"{len(summary.ranking.p)} pairs together; {noise})."
        )
    if summary.ranking.method == "blocked":
        lines.append(
            f"Seeds are shared and correlate ({summary.ranking.correlation:.2f}): their common effect is taken out."
        )
    return "\n\n".join(lines)


def _gaps(run: results.Run, summary: Summary) -> str:
    counts = Counter(stored.record.status for stored in run.trials)
    lines = ["Trials: " + ", ".join(f"{n} {status}" for status, n in sorted(counts.items(), key=_ok_first)) + "."]
    if summary.missing:
        lines.append(f"**The run is incomplete:** {len(summary.missing)} without a record ({_list(summary.missing)}).")
    if run.problems:
        lines.append(
            f"**{len(run.problems)} records cannot be read:** " + "; ".join(_text(one) for one in run.problems)
        )
    short = [
        f"{cell.label} {len(cell.miou)} of {cell.planned}" for cell in summary.measured if len(cell.miou) < cell.planned
    ]
    if short:
        lines.append(
            f"Means over fewer seeds than planned: {_list(short)}; seeds that failed may have been the worse ones."
        )
    return "\n\n".join(lines)


def _table(summary: Summary) -> str:
    rows = []
    for cell in summary.cells:
        status = ", ".join(f"{n} {name}" for name, n in sorted(cell.statuses.items(), key=_ok_first)) or "missing"
        rows.append(
            [
                _text(cell.label),
                f"{_percent(cell.interval.mean)} {_half(cell)}".strip(),
                summary.ranking.groups.get(cell.key, "–"),
                f"{len(cell.miou)}/{cell.planned}",
                _number(cell.images_per_second, 1),
                _number(cell.input_share * 100, 0),
                _number(cell.best_epoch, 1),
                _number(cell.train_s, 0),
                " → ".join(map(_significant, cell.gradient)),
                status,
            ]
        )
    head = ["cell", "mIoU, %", "group", "seeds", "images/s", "input share, %", "best epoch", "training, s"]
    head += ["gradient", "trials"]
    note = "Cells that share a letter cannot be told apart (all pairs, Holm, 5 %)."
    methods = {cell.interval.method for cell in summary.measured}
    if methods & {"pooled", "own"}:
        note = f"mIoU: mean ± 95 % interval on the validation split, noise shared by the cells. {note}"
    elif methods:
        note = f"No intervals: no cell has seeds that differ. {note}"
    own = [cell.label for cell in summary.measured if cell.interval.method == "own"]
    if own:
        note += f" Noisier than the rest, so with its own interval: {_list(own)}."
    constant = [cell.label for cell in summary.measured if cell.interval.method == "constant"]
    if constant:
        note += f" Equal over all seeds, which hints at a collapse and gives no interval: {_list(constant)}."
    if len({cell.gradient for cell in summary.measured if not math.isnan(cell.gradient[0])}) > 1:
        note += (
            " Gradient: its norm at the logits relative to cross-entropy, before training → once all is right by a "
            "margin of 3. Cells of other scales also train at another rate."
        )
    else:
        head, rows = head[:-2] + head[-1:], [row[:-2] + row[-1:] for row in rows]
    return _markdown_table(head, rows, left={0, len(head) - 1}) + "\n\n" + note


def _throughput(summary: Summary) -> str:
    if not summary.incomparable:
        return ""
    return (
        "Images/s cannot be compared between these trials: "
        + "; ".join(_text(one) for one in summary.incomparable)
        + "."
    )


def _test(summary: Summary) -> str:
    labels = {cell.key: cell.label for cell in summary.cells}
    rows = [
        [_text(labels[key]), f"{_percent(one.mean)} {_plus_minus(one.mean, one.high)}".strip(), str(one.n)]
        for key, one in sorted(summary.test.items(), key=lambda item: (-item[1].mean, item[0]))
    ]
    return _markdown_table(["cell", "test mIoU, %", "seeds"], rows, left={0})


def _views(summary: Summary) -> str:
    rows = [
        [
            _text(view.label),
            f"`{view.name}`",
            f"{_percent(view.interval.mean)} {_plus_minus(view.interval.mean, view.interval.high)}".strip(),
            _percent(view.boundary_iou),
            _number(view.images_per_second, 1),
        ]
        for view in summary.views
    ]
    return _markdown_table(["cell", "view", "mIoU, %", "Boundary IoU, %", "images/s"], rows, left={0, 1})


def _failures(run: results.Run) -> str:
    rows = []
    for stored in run.trials:
        record = stored.record
        if record.status == "ok":
            continue
        log = next((one.path for one in record.artefacts if one.kind == "log"), None)
        path = f"../{stored.folder.relative_to(run.folder).as_posix()}/{log or 'record.json'}"
        reason = f"{record.error.kind}: {record.error.message}" if record.error else "no reason recorded"
        where = f" (epoch {record.error.epoch})" if record.error and record.error.epoch is not None else ""
        shown = _text(reason[:200] + where)
        rows.append(
            [_text(record.trial), record.status, shown, f"[{'log' if log else 'record'}]({path.replace(' ', '%20')})"]
        )
    return (
        "## Failed trials\n\n" + _markdown_table(["trial", "status", "reason", "details"], rows, left={0, 1, 2, 3})
        if rows
        else ""
    )


def _about(run: results.Run) -> str:
    environments = Counter(json.dumps(one.record.environment, sort_keys=True, ensure_ascii=False) for one in run.trials)
    common, _ = environments.most_common(1)[0]
    rows = [
        [_text(name), _text(_plain(value))] for name, value in json.loads(common).items() if value not in (None, [], {})
    ]
    parts = []
    dataset = next((one.record.dataset for one in run.trials if one.record.dataset), None)
    if dataset:
        images = ", ".join(f"{n} {split}" for split, n in dataset.images.items())
        parts.append(
            f"Data set **{_text(dataset.name)}** (version {_text(dataset.version)}): "
            f"{len(dataset.class_names)} classes; images: {images}."
        )
    if command := run.manifest.get("command"):
        command = command if isinstance(command, str) else " ".join(map(str, command))
        parts.append(f"Repeat with\n\n```\n{command}\n```")
    if rows:
        parts.append(_markdown_table(["environment", ""], rows, left={0, 1}))
    if len(environments) > 1:
        parts.append(f"**The trials ran in {len(environments)} environments;** the table shows the most frequent.")
    return "\n\n".join(["## Environment and command", *parts])


def _markdown_table(head: list[str], rows: list[list[str]], left: set[int]) -> str:
    rule = [":---" if column in left else "---:" for column in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def _ok_first(item: tuple[str, int]) -> tuple[bool, str]:
    return item[0] != "ok", item[0]


def _list(items: list[str], most: int = 10) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(_text(item) for item in items[:most]) + more


def _percent(fraction: float) -> str:
    return _number(fraction * 100, 1)


def _half(cell: Cell) -> str:
    return _plus_minus(cell.interval.mean, cell.interval.high)


def _plus_minus(mean: float, high: float) -> str:
    return "" if math.isnan(high) else f"± {(high - mean) * 100:.1f}"


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _significant(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2g}"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _text(value: object) -> str:
    """Text that cannot break a table or be taken for markup."""
    text = " ".join(str(value).split())
    for mark in "\\|<>*`[]":
        text = text.replace(mark, f"\\{mark}")
    return text
