"""Environment of a run: a line at the top of the page, the environment and the command at its end."""

import json
from collections import Counter
from typing import Any

import results
from reports.document import Block, Bold, Field, Heading, Listing, Paragraph, Table, Text
from reports.format import plain
from reports.summary import Summary
from results import counted


def setting(run: results.Run, summary: Summary) -> list[Block]:
    """Return in one line what was measured, on what and when."""
    records = [stored.record for stored in run.trials]
    data = sorted({record.dataset.name for record in records if record.dataset})
    fewest = f"{summary.fewest} to " if 0 < summary.fewest < summary.seeds else ""
    seeds = f", {fewest}{counted(summary.seeds, 'seed')} each" if summary.seeds else ""
    known, _ = _most_frequent(run)
    devices = known.get("gpu_names") or [known.get("processor")]
    versions = [
        f"{name} {known[key]}" for name, key in (("TensorFlow", "tensorflow"), ("Python", "python")) if key in known
    ]
    days = sorted({record.finished.date().isoformat() for record in records if record.finished})
    parts = [
        ", ".join(data),
        counted(len(summary.cells), "cell") + seeds,
        ", ".join(versions),
        ", ".join(sorted({str(device) for device in devices if device})),
        " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "",
    ]
    return [Paragraph(" · ".join(part for part in parts if part))]


def about(run: results.Run) -> list[Block]:
    """Return the data sets, the command that repeats the run, and the environment."""
    common, environments = _most_frequent(run)
    rows: list[list[Field | Text]] = [
        [name, plain(value)] for name, value in common.items() if value not in (None, "", [], {})
    ]
    blocks: list[Block] = [Heading("Environment and command")]
    datasets = {stored.record.dataset.name: stored.record.dataset for stored in run.trials if stored.record.dataset}
    for dataset in datasets.values():
        images = ", ".join(f"{n} {split}" for split, n in dataset.images.items())
        classes = counted(len(dataset.class_names), "class", "classes")
        rest = f" (version {dataset.version}): {classes}; images: {images}."
        blocks.append(Paragraph(["Data set ", Bold(dataset.name), rest]))
    if command := run.manifest.get("command"):
        command = command if isinstance(command, str) else " ".join(map(str, command))
        blocks += [Paragraph("Repeat with"), Listing(command)]
    if rows:
        blocks.append(Table(["environment", "value"], rows, frozenset({"environment", "value"}), "Environment"))
    if environments > 1:
        several = f"The trials ran in {environments} environments;"
        blocks.append(Paragraph([Bold(several), " the table shows the most frequent."]))
    return blocks


def _most_frequent(run: results.Run) -> tuple[dict[str, Any], int]:
    """Return the environment that most trials ran in, and the number of environments."""
    counts = Counter(json.dumps(one.record.environment, sort_keys=True, ensure_ascii=False) for one in run.trials)
    return json.loads(counts.most_common(1)[0][0]), len(counts)
