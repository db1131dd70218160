"""The model card beside an export: YAML that model hubs read, then scores, how to run it, settings and licences."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

import reports
import results
from bench.data import entries
from bench.export.formats import Views
from bench.export.source import Source
from bench.spec import TrialSpec
from models import row_of

if TYPE_CHECKING:
    from bench.export.writing import Written

NOT_STATED = "not stated"
ARCHITECTURES = {
    "deeplabv3plus": "A DeepLabV3+",
    "deeplabv3": "A DeepLabV3",
    "keras_cv": "KerasCV's DeepLabV3+",
    "keras_hub": "KerasHub's DeepLabV3+",
    "keras_hub_segformer": "KerasHub's SegFormer",
}
"""Those of `models.ARCHITECTURES` in words."""
_PACKAGES = {"keras_cv": "KerasCV", "keras_hub": "KerasHub"}
_NO_LICENCE = ("folder", "tfrecord")  # the catalogue's words for these are addressed to their owner


def card(source: Source, spec: TrialSpec, written: Sequence[Written], views: Views) -> str:
    """Return the model card of an export as markdown with YAML in front.

    Args:
        source: the trial, and the run that tells the scores of its cell.
        spec: of the trial.
        written: the files.
        views: what they compute.
    """
    record = source.trial.record
    assert record.dataset is not None
    summary = reports.summarize(source.run)
    head = yaml.safe_dump(
        _front(record, spec, written, summary), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )
    parts = [
        f"---\n{head}---",
        f"# {record.label}, {record.dataset.name}",
        _what(record, spec, views),
        _section("Scores", _scores(record, summary)),
        _section("How to run it", _use(spec, written)),
        _section("Settings", _settings(source, spec)),
        _section("Data and licences", _licences(record, spec)),
        _section("Files", _files(written)),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}"


def _front(
    record: results.Record, spec: TrialSpec, written: Sequence[Written], summary: reports.Summary
) -> dict[str, Any]:
    """Return the front matter by the names that model hubs use; what they have no name for is under `segbench`."""
    dataset = record.dataset
    assert dataset is not None
    data: dict[str, str] = {"type": spec.data.dataset, "name": dataset.name}
    found: list[dict[str, Any]] = [
        {"task": {"type": "image-segmentation"}, "dataset": {**data, "split": split}, "metrics": metrics}
        for split, interval in _intervals(record, summary).items()
        if (metrics := _metrics(interval))
    ]
    return {
        "license": "unknown",
        "library_name": written[0].format.library,
        "pipeline_tag": "image-segmentation",
        "tags": ["semantic-segmentation", spec.model.architecture, spec.model.backbone],
        "datasets": [spec.data.dataset],
        "metrics": ["mean_iou"],
        "model-index": [{"name": record.trial, "results": found}],
        "segbench": {
            "trial": record.trial,
            "cell": record.cell,
            "formats": [one.format.name for one in written],
            "longest_side": spec.data.size,
            "classes": list(dataset.class_names),
            "data_version": dataset.version,
            "data_licence": data_licence(spec),
            "weights_licence": weights_licence(spec)[1],
        },
    }


def _metrics(interval: Any) -> list[dict[str, Any]]:
    if math.isnan(interval.mean):
        return []
    seeds = results.counted(interval.n, "seed")
    spread = (
        {}
        if math.isnan(interval.low)
        else {"interval_95": [round(float(interval.low), 4), round(float(interval.high), 4)]}
    )
    return [{"type": "mean_iou", "name": f"mIoU, mean of {seeds}", "value": round(float(interval.mean), 4), **spread}]


def _intervals(record: results.Record, summary: reports.Summary) -> dict[str, Any]:
    """Return the interval of the cell's mIoU by split."""
    found = {cell.key: cell.interval for cell in summary.cells}
    splits = {summary.judged_on: found.get(record.cell)}
    splits |= {"test": summary.test.get(record.cell)} if summary.split == "val" else {}
    return {split: interval for split, interval in splits.items() if interval is not None}


def _what(record: results.Record, spec: TrialSpec, views: Views) -> str:
    dataset = record.dataset
    assert dataset is not None
    extra = [
        f"scales {', '.join(f'{scale:g}' for scale in views.scales)}" if views.scales != (1.0,) else "",
        "the mirrored image" if views.flip else "",
    ]
    averaged = " and ".join(part for part in extra if part)
    words = [
        f"{ARCHITECTURES[spec.model.architecture]} with the backbone {spec.model.backbone} for semantic segmentation "
        f"into {results.counted(len(dataset.class_names), 'class', 'classes')}, trained on {dataset.name}.",
        f"The weights are those of trial `{record.trial}` (seed {record.seed}).",
        f"The probabilities are averaged over {averaged}." if averaged else "",
        "They are refined by a dense CRF." if views.crf else "",
        f"Made with segmentation-bench; the trial ran with {_stack(record, spec)}.",
    ]
    return "\n".join(word for word in words if word)


def _stack(record: results.Record, spec: TrialSpec) -> str:
    known = record.environment
    packages = {"tensorflow": "TensorFlow", "keras": "Keras", **{name: _PACKAGES[name] for name in spec.model.packages}}
    *others, last = [f"{title} {known[name]}" for name, title in packages.items() if known.get(name)] or [
        "versions that its record does not state"
    ]
    return f"{', '.join(others)} and {last}" if others else last


def _scores(record: results.Record, summary: reports.Summary) -> str:
    """Return the scores of the cell, of the exported trial, and of its classes."""
    views: Mapping[tuple[str, str], results.ViewScores] = {(view.split, view.view): view for view in record.views}
    rows = ["| split | mIoU of the cell, % | seeds | mIoU of this trial, % | boundary IoU of this trial, % |"]
    rows.append("|---|--:|--:|--:|--:|")
    intervals = _intervals(record, summary)
    for split, interval in intervals.items():
        own = views.get(("val" if split == "validation" else "test", "default"))
        miou, boundary = (_percent(own.miou if own else None), _percent(own.boundary_iou if own else None))
        rows.append(f"| {split} | {reports.format.estimate(interval)} | {interval.n} | {miou} | {boundary} |")
    pooled = any(interval.method == "pooled" for interval in intervals.values())
    with_interval = any(not math.isnan(interval.low) for interval in intervals.values())
    shared = " with the noise shared by the cells of the run" if pooled else ""
    note = (
        f"± is the 95 % interval of the mean over the seeds{shared}."
        if with_interval
        else "There is no interval: the seeds show no spread."
    )
    if _chosen_by_validation(record):
        note += " The weights are those of the best validation epoch, which biases the validation score upwards."
    return "\n".join(["\n".join(rows), "", note, *_by_class(record, views)])


def _chosen_by_validation(record: results.Record) -> bool:
    """Return whether the validation split chose the weights of a trial."""
    return bool(record.spec.get("eval", {}).get("keep_checkpoint", "best") == "best")


def _by_class(record: results.Record, views: Mapping[tuple[str, str], results.ViewScores]) -> list[str]:
    split = "val" if ("val", "default") in views else "test"  # val is not scored if it was trained on
    view = views.get((split, "default"))
    assert record.dataset is not None
    if view is None or not view.iou:
        return []
    name_of = {"val": "validation"}.get(split, split)
    rows = ["", f"| id | class | {name_of} IoU of this trial, % |", "|--:|---|--:|"]
    for order, (name, iou) in enumerate(zip(record.dataset.class_names, view.iou, strict=True)):
        rows.append(f"| {order} | {_cell(name)} | {_percent(iou)} |")
    return rows


def _percent(value: float | None) -> str:
    return reports.format.percent(math.nan if value is None else value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _use(spec: TrialSpec, written: Sequence[Written]) -> str:
    """Return the preparation of a picture, and lines for each runtime."""
    size = spec.data.size
    prepare = (
        "import numpy as np\nfrom PIL import Image\n"
        'picture = Image.open("picture.jpg").convert("RGB")\n'
        f"sides = [max(1, round(side * {size} / max(picture.size))) for side in picture.size]\n"
        "images = np.asarray(picture.resize(sides, Image.Resampling.BILINEAR))[None]"
    )
    words = (
        f"Input `images`: uint8 RGB (batch, height, width, 3), 0 to 255; the scaling of the values is inside. In the "
        f"trial the longest side was {size} pixels. Outputs: `labels` (batch, height, width), the class ids, and "
        "`probabilities` (batch, height, width, classes). For labels at another size, resize the probabilities and "
        "take the largest."
    )
    if row_of(spec.model.backbone).fixed_size:
        words += (
            f" This backbone is another function at every size: pad the picture right and below with its mean colour "
            f"to {size} x {size} pixels, and cut the labels afterwards."
        )
        prepare += (
            f"\nsquare = np.empty((1, {size}, {size}, 3), np.uint8)\n"
            "square[:] = np.rint(images.mean((0, 1, 2)))\n"
            "square[:, : images.shape[1], : images.shape[2]] = images\nimages = square"
        )
    clahe = spec.data.policy.clahe
    if clahe and clahe.evaluation:
        words += f" The trial saw pictures after CLAHE (clip {clahe.clip:g}, {clahe.tiles} tiles), resized first."
    blocks = [words, f"```python\n{prepare}\n```"]
    for one in written:
        blocks += [f"{one.format.title}:", f"```python\n{one.format.use}\n```"]
        if one.format.has_examples:
            blocks.append(
                "Its signature `serving_examples` takes serialized `tf.train.Example`s with the feature "
                "`image/encoded` (JPEG, PNG, BMP or GIF; RGB and upright), perhaps with `image/filename`. It resizes "
                "the pictures itself. It gives `labels` (batch, 1), a PNG of class ids at each picture's size, and "
                "`image/filename` (batch, 1). This folder is the artifact that a Pusher of TFX takes."
            )
    return "\n\n".join(blocks)


def _settings(source: Source, spec: TrialSpec) -> str:
    """Return the settings of the cell in the words of the report, and the code that trained it."""
    found = reports.settings_of(source.run)
    own = {**found.shared, **found.differing.get(source.trial.record.cell, {})}
    if tuned := found.tuned.get(source.trial.record.cell):
        own[f"searched {tuned.field}"] = f"{tuned.chosen:g}"
    known = source.trial.record.environment
    own["code"] = str(known.get("git_commit") or known.get("code") or NOT_STATED)
    return "\n".join(
        ["| setting | value |", "|---|---|", *(f"| {name} | {_cell(text)} |" for name, text in own.items() if text)]
    )


def _licences(record: results.Record, spec: TrialSpec) -> str:
    dataset = record.dataset
    assert dataset is not None
    images = ", ".join(f"{count} {split}" for split, count in dataset.images.items())
    weights, licence = weights_licence(spec)
    return "\n".join(
        [
            f"- Data: {dataset.name}, version {dataset.version or NOT_STATED}; images: {images or NOT_STATED}.",
            f"- Licence of the data: {data_licence(spec)}.",
            f"- Initial weights: {weights}.",
            f"- Licence of the initial weights: {licence}.",
            f"- Licence of these weights: {NOT_STATED}. Whoever publishes them decides, within the two above.",
        ]
    )


def data_licence(spec: TrialSpec) -> str:
    """Return the licence of the data set as its source states it, as far as known."""
    entry = None if spec.data.dataset in _NO_LICENCE else entries().get(spec.data.dataset)
    return entry.licence if entry else NOT_STATED


def weights_licence(spec: TrialSpec) -> tuple[str, str]:
    """Return where the initial weights come from, and their licence as far as known."""
    if spec.train.init_from:
        return "an earlier training", NOT_STATED
    if spec.model.weights == "none":
        return "random", "none needed"
    package = row_of(spec.model.backbone).package
    if spec.model.weights != "imagenet" or package is None:
        return str(spec.model.weights), NOT_STATED
    return f"ImageNet, package {package}", _package_licence(package)


def _package_licence(package: str) -> str:
    """Return the licence of an installed package by its metadata, else by the title of its licence file."""
    try:
        found = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return NOT_STATED
    told = [found.metadata[name] for name in ("License-Expression", "License") if name in found.metadata]
    if told and told[0] not in ("", "UNKNOWN"):
        return told[0].splitlines()[0]
    title = " ".join((found.read_text("LICENSE") or "").split()[:4])
    return title.rstrip(",") or NOT_STATED


def _files(written: Sequence[Written]) -> str:
    rows = ["| file | format | MiB | beside Keras |", "|---|---|--:|---|"]
    for one in written:
        beside = one.beside or "not compared: its runtime was not installed"
        rows.append(f"| {one.format.file} | {one.format.title} | {one.size_mb:.1f} | {beside} |")
    return "\n".join(rows)
