"""What was trained: the settings that all cells of a run share, and those that differ between its cells.

Everything is read from the records, old ones too. What a record does not say is left out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import results
from reports.format import plain, significant


@dataclass(frozen=True)
class Tuned:
    """What a search chose for a cell: `chosen` among the candidates of a field, from low to high.

    `at_edge` is true if the chosen candidate is the least or the greatest, so that a better value may lie beyond.
    """

    field: str
    chosen: float
    candidates: tuple[float, ...]

    @property
    def at_edge(self) -> bool:
        """Return whether a better value may lie beyond the candidates."""
        return len(self.candidates) > 1 and self.chosen in (self.candidates[0], self.candidates[-1])


@dataclass(frozen=True)
class Settings:
    """The settings of a run: {name: text} of those that all cells share, and per cell of those that differ.

    Attributes:
        shared: settings with one value in all cells, in the order of the page.
        differing: {cell: {name: text}}, every cell with the same names; empty if nothing differs.
        tuned: {cell: what a search chose for it}; empty without a search.
    """

    shared: dict[str, str]
    differing: dict[str, dict[str, str]]
    tuned: dict[str, Tuned]


def settings(run: results.Run) -> Settings:
    """Return the settings of a run; the record that says most speaks for its cell."""
    records: dict[str, results.Record] = {}
    for record in (one.record for one in run.trials):
        if record.cell not in records or (records[record.cell].status != "ok" and record.status == "ok"):
            records[record.cell] = record
    tuned = {cell: found for cell, record in records.items() if (found := _tuned(record)) is not None}
    texts = {cell: _texts(record, cell in tuned) for cell, record in records.items()}
    if preset := results.grid_head(run.folder).get("preset") or run.manifest.get("options", {}).get("preset"):
        texts = {cell: {**named, "preset": str(preset)} for cell, named in texts.items()}
    # Cells of several runs tell their run and its preset.
    for cell in run.manifest.get("cells", []):
        if cell["cell"] in texts:
            told = {name: str(cell[name]) for name in ("run", "preset") if cell.get(name)}
            texts[cell["cell"]] = told | texts[cell["cell"]]
    names = list(dict.fromkeys(name for named in texts.values() for name in named))
    # A cell whose trials failed early does not tell everything. What it does not tell differs from nothing.
    values = {name: {named[name] for named in texts.values() if name in named} for name in names}
    differ = [name for name in names if len(values[name]) > 1]
    return Settings(
        {name: next(iter(values[name])) for name in names if name not in differ},
        {cell: {name: named.get(name, "") for name in differ} for cell, named in texts.items()} if differ else {},
        tuned,
    )


def _texts(record: results.Record, tuned: bool) -> dict[str, str]:
    """Return {name: text} of the settings that a record tells."""
    spec = record.spec
    model, loss, data, train = (_section(spec, name) for name in ("model", "loss", "data", "train"))
    texts = {
        "architecture": _plain(model, "architecture"),
        "backbone": _plain(model, "backbone"),
        "backbone's weights": _weights(model),
        "output stride": _plain(model, "output_stride"),
        "head": _head(model),
        "batch normalisation": _normalisation(model),
        "loss": _loss(loss),
        "own code": ", ".join(f"{name} {digest}" for name, digest in _section(spec, "own_code").items()),
        "data set": _data(record, data),
        "images": _images(record, data),
        "size": _size(data, train),
        "augmentation": _augmentation(data),
        "batch": _plain(train, "batch_size"),
        "training": _training(train),
        "optimiser": _optimiser(train),
        "learning rate": "" if tuned else _rate(train),
        "schedule": _schedule(train),
        "precision": str(record.environment.get("precision") or _plain(train, "precision")),
        "hardware": _hardware(record),
    }
    return {name: text for name, text in texts.items() if text}


def _section(spec: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = spec.get(name, {})
    return found if isinstance(found, Mapping) else {}


def _plain(section: Mapping[str, Any], name: str) -> str:
    value = section.get(name)
    return "" if value is None else plain(value)


def _weights(model: Mapping[str, Any]) -> str:
    names = {"none": "random", "imagenet": "ImageNet"}
    return names.get(text := _plain(model, "weights"), text)


def _head(model: Mapping[str, Any]) -> str:
    auxiliary = model.get("auxiliary_weight")
    parts = [_plain(model, "head"), "blurred" if model.get("blur") else ""]
    parts += [f"auxiliary head with weight {auxiliary:g}" if auxiliary else ""]
    skips = model.get("skip_strides")
    parts += [f"decoder reads strides 4, {', '.join(map(str, skips))}" if skips else ""]
    return ", ".join(part for part in parts if part)


def _normalisation(model: Mapping[str, Any]) -> str:
    momentum, over_replicas = model.get("batch_norm_momentum"), model.get("sync_batch_norm")
    if momentum is None:
        return ""
    return f"momentum {momentum:g}" + (", over all replicas" if over_replicas else "")


def _loss(loss: Mapping[str, Any]) -> str:
    parts = [f"{key}={plain(value)}" for key, value in _section(loss, "params").items()]
    parts += ["calibrated"] if loss.get("calibrated") else []
    name = _plain(loss, "name")
    return f"{name} ({', '.join(parts)})" if parts else name


def _data(record: results.Record, data: Mapping[str, Any]) -> str:
    if record.dataset is None:
        return _plain(data, "name") or _plain(data, "dataset")
    classes = len(record.dataset.class_names)
    return f"{record.dataset.name}, {results.counted(classes, 'class', 'classes')}"


def _images(record: results.Record, data: Mapping[str, Any]) -> str:
    images = record.dataset.images if record.dataset else {}
    counts = ", ".join(f"{count} {split}" for split, count in images.items())
    return f"{counts}; val is trained on, too" if data.get("train_on") == "trainval" else counts


def _augmentation(data: Mapping[str, Any]) -> str:
    """Return the name of a policy, or of one that the spec spells out the changes that it makes."""
    policy = data.get("augment")
    return (_changes(policy) or "none") if isinstance(policy, Mapping) else _plain(data, "augment")


def _changes(policy: Mapping[str, Any]) -> str:
    """Return changes with their strengths: "flip 0.5, scale 0.5 to 1.5, blur (probability 0.2, sigma 0.3 to 1.5)"."""
    found = []
    for name, value in policy.items():
        if isinstance(value, Mapping):
            text = f" ({_changes(value)})"
        elif isinstance(value, Sequence) and not isinstance(value, str):
            text = " " + " to ".join(map(plain, value))
        else:
            text = "" if value is True else f" {plain(value)}"
        if value:
            found.append(name.replace("_", " ") + text)
    return ", ".join(found)


def _size(data: Mapping[str, Any], train: Mapping[str, Any]) -> str:
    size, crop = data.get("size"), data.get("crop")
    if not size:
        return ""
    smaller = "".join(
        f"{side} px up to {100 * share:g} % of the steps, then " for share, side in train.get("smaller_crops") or ()
    )
    return f"longest side {size} px" + (f", crops of {smaller}{crop} px" if crop else "")


def _training(train: Mapping[str, Any]) -> str:
    epochs, steps = train.get("epochs"), train.get("steps_per_epoch")
    if not (epochs and steps):
        return ""
    share = train.get("freeze_for", 1)
    frozen = "" if share == 1 else f" for {100 * share:g} % of them"
    frozen = f", backbone frozen{frozen}" if train.get("freeze") == "backbone" else ""
    until = "".join(f", or until {metric} {value:g}" for metric, value in (train.get("until") or {}).items())
    return f"{results.counted(epochs, 'epoch')} × {steps} steps = {epochs * steps} steps{until}{frozen}"


def _optimiser(train: Mapping[str, Any]) -> str:
    name, wrapper, decay = (train.get(key) for key in ("optimizer", "wrapper", "weight_decay"))
    if not name:
        return ""
    wrapped = f" in {wrapper}" if wrapper not in (None, "none") else ""
    averaged = f", weights averaged with momentum {train['ema']:g}" if train.get("ema") else ""
    return f"{name}{wrapped}" + (f", weight decay {decay:g}" if decay and name != "adam" else "") + averaged


def _rate(train: Mapping[str, Any]) -> str:
    """Return the learning rate at the trial's own batch; specifications give it for a batch of 8."""
    rate, batch = train.get("learning_rate"), train.get("batch_size")
    if not (rate and batch):
        return ""
    share = train.get("backbone_rate", 1)
    backbone = "" if share == 1 else f", {share:g} times that in the backbone"
    own = f"{rate:g}" if batch == 8 else f"{significant(rate * batch / 8, 3)} ({rate:g} for a batch of 8)"
    return own + backbone


def _schedule(train: Mapping[str, Any]) -> str:
    name, warmup = train.get("schedule"), train.get("warmup")
    if not name:
        return ""
    more = {"polynomial": f" (power {train.get('power', math.nan):g})"}.get(name, "")
    return f"{name}{more}" + (f", warm-up over {100 * warmup:g} % of the steps" if warmup else "")


def _hardware(record: results.Record) -> str:
    known = record.environment
    gpus = [str(name) for name in known.get("gpu_names") or []]
    if gpus:
        return ", ".join(f"{gpus.count(name)} × {name}" for name in dict.fromkeys(gpus))
    parts = [str(known[name]) for name in ("processor", "instructions") if known.get(name)]
    cpus = _section(record.spec, "placement").get("cpus") or known.get("cores")
    parts += [results.counted(cpus, "core")] if cpus else []
    return ", ".join(parts)


def _tuned(record: results.Record) -> Tuned | None:
    """Return what a search chose, if the record tells it as numbers."""
    told = record.tuning or {}
    chosen = told.get("chosen")
    values = [one.get("value") for one in told.get("candidates", []) if isinstance(one, Mapping)]
    if not isinstance(chosen, int | float):
        return None
    candidates = sorted(value for value in values if isinstance(value, int | float))
    return Tuned(str(told.get("field", "a field")), chosen, tuple(candidates))
