"""Grids: small YAML files that say what varies. They are resolved into validated trial specs before anything runs.

A grid file has these keys:

    description: one line for the report
    preset: the preset to use when the command names none
    seeds: how many, when the command does not say
    base: {train.epochs: 8}           # fields for every cell
    axes:
      loss: [cross_entropy, dice]     # an alias or a field of the spec, and its values
      optimizer:                      # or named bundles of fields
        - {label: sgd, set: {train.optimizer: sgd, train.learning_rate: 0.05}}
    references:                       # further cells outside the combinations, with which all others are compared
      - keras_cv                      # a model of another library at stride 32, or a bundle:
      - {label: plain, set: {train.schedule: constant}}
    search: {field: train.learning_rate, values: [1.0e-4, 1.0e-3], epochs: 2}  # tune each cell before its seeds
    until: {question: best, margin: {miou: 0.01}, seeds: [2, 10], budget: 80}  # run seeds until this is decided
    recipe: {title: CamVid, ...}      # the data set that the grid is a recipe for, see `results.Recipe`

`loss: all` stands for every loss that a model can be trained with alone.

Fields are set in this order, and later ones win: the spec's defaults, preset, base, options of the command, `--set`,
axes.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

import losses
import models
from bench.core import Fault, UsageError, first_fault, load_yaml, nearest
from bench.core.faults import refuse_truth
from bench.plan.until import Until
from bench.spec import DataSpec, TrialSpec, assign, fields_of, parse
from bench.storage import Address, absolute, is_address
from results import Recipe, counted

GRIDS = Path(__file__).resolve().parents[1] / "grids"
PRESETS = Path(__file__).with_name("presets.yaml")
ALIASES = {
    "loss": "loss.name",
    "backbone": "model.backbone",
    "head": "model.head",
    "dataset": "data.dataset",
    "optimizer": "train.optimizer",
}


MOST_TRIALS = 100_000
"""Ten times as many as a run was measured with."""
_LONGEST = 200
"""Characters of a label in the name of a folder: file systems take 255 bytes, and hash, seed and batch follow."""
REFERENCE_AXIS = "beside"
"""The name in records of the axis of cells that are no part of the combinations."""


def _is_number(value: Any) -> Any:
    refuse_truth(value, float)
    return value


def _is_label(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError(f"{value!r} is no name in one line, as tables and reports need it")
    return value


class _Choice(BaseModel):
    """One value of an axis that sets several fields under one label."""

    model_config = ConfigDict(extra="forbid")
    label: Annotated[str, AfterValidator(_is_label)]
    set: dict[str, Any]


class Search(BaseModel):
    """Tuning of one field before the seeds are run, with the same candidates and steps for every cell.

    Attributes:
        field: dotted name of a field of the spec that holds a number.
        values: the candidates.
        log: (least, greatest, how many), in place of `values`: candidates with evenly spaced logarithms.
        epochs: of a candidate's training; None for that of the grid.
        seeds: number of seeds of the search, which are others than the reported ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    field: str = "train.learning_rate"
    values: tuple[Annotated[float, BeforeValidator(_is_number)], ...] = ()
    log: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[int, Field(ge=2)]] | None = None
    epochs: Annotated[int, Field(ge=1), BeforeValidator(_is_number)] | None = None
    seeds: Annotated[int, Field(ge=1), BeforeValidator(_is_number)] = 1

    @model_validator(mode="after")
    def _one_source(self) -> Search:
        if bool(self.values) == bool(self.log):
            raise ValueError("give either values or log")
        if len(set(self.values)) < len(self.values):
            raise ValueError("values: one is given twice")
        section = self.field.partition(".")[0]
        if self.field not in fields_of([section]):
            raise ValueError(f"unknown field {self.field!r}{nearest(self.field, fields_of([section]) or ALIASES)}")
        return self

    @property
    def candidates(self) -> tuple[float, ...]:
        """The values to try, those of `log` rounded to three digits."""
        if self.log is None:
            return self.values
        low, high, count = self.log
        return tuple(float(f"{low * (high / low) ** (i / (count - 1)):.3g}") for i in range(count))


class _File(BaseModel):
    """A grid file as it is written, see the head of this module."""

    model_config = ConfigDict(extra="forbid")
    description: str = ""
    preset: str | None = None
    seeds: Annotated[int, Field(ge=1), BeforeValidator(_is_number)] | None = None
    base: dict[str, Any] = {}
    search: Search | None = None
    until: Until | None = None
    axes: dict[str, Annotated[list[_Choice | str | int | float | bool | None], Field(min_length=1)]] = Field(
        min_length=1
    )
    recipe: Recipe | None = None
    references: list[_Choice] = Field([], validation_alias=AliasChoices("references", "beside"))  # the old name

    @field_validator("axes", mode="before")
    @classmethod
    def _all(cls, axes: Any) -> Any:
        if isinstance(axes, dict) and axes.get("loss") == "all":
            return {**axes, "loss": list(losses.names_alone())}
        return axes

    @field_validator("references", mode="before")
    @classmethod
    def _named(cls, references: Any) -> Any:
        return [_reference(one) if isinstance(one, str) else one for one in references or ()]


def _reference(name: str) -> dict[str, Any]:
    """Return the bundle that the name of another library's model stands for.

    Raises:
        ValueError: there is no such model.
    """
    if name not in models.REFERENCES:
        raise ValueError(f"unknown model {name!r} of another library{nearest(name, models.REFERENCES)}")
    return {"label": name, "set": {"model.architecture": name, "model.output_stride": 32}}


@dataclass(frozen=True)
class Cell:
    """One combination of the axes: its label, its values by axis, and its spec at seed 0."""

    label: str
    axes: Mapping[str, Any]
    spec: TrialSpec

    def trial(self, seed: int) -> tuple[str, TrialSpec]:
        """Return name and spec of this cell's trial with a seed. The name is valid for a folder."""
        return f"{slug(self.label)}-{self.spec.cell[:6]}-s{seed}", self.spec.model_copy(update={"seed": seed})


@dataclass(frozen=True)
class Grid:
    """A resolved grid: its cells in the file's order, the number of seeds per cell, and notes for the user.

    `until` is what the file asks for; a run that decides has its last look's number of seeds.
    """

    name: str
    description: str
    preset: str
    seeds: int
    cells: tuple[Cell, ...]
    search: Search | None = None
    notes: tuple[str, ...] = ()
    recipe: Recipe | None = None
    until: Until | None = None


def names() -> list[str]:
    """Return the names of the grids that come with the package; those of recipes begin with `recipes/`."""
    return sorted(path.relative_to(GRIDS).with_suffix("").as_posix() for path in GRIDS.rglob("*.yaml"))


@cache
def presets() -> dict[str, Any]:
    """Return the presets of presets.yaml by name."""
    return yaml.safe_load(PRESETS.read_text())


def load(
    source: str,
    *,
    preset: str | None = None,
    default_preset: str = "quick",
    seeds: int | None = None,
    settings: Sequence[str] = (),
    fixed: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    precision: str = "float32",
) -> Grid:
    """Resolve a grid into cells: read the file, assign the common fields, combine the axes, validate the cells.

    Args:
        source: a shipped grid's name, or a file ending in .yaml or .yml.
        preset: the preset that the command names; None if it names none.
        default_preset: the preset if neither the command nor the grid names one.
        seeds: number of seeds per cell, in place of the grid's or preset's own.
        settings: `field=value` texts, as given to --set.
        fixed: fields that other options of the command set.
        only: `axis=value,value` texts that keep part of the grid.
        precision: what `train.precision: auto` stands for on the devices at hand.

    Raises:
        UsageError: names the file, the path in it, the value and the nearest right name.
    """
    path, file = _read(source)
    preset = _preset(preset or file.preset or default_preset)
    base = _assign(path, file, preset, fixed or {}, settings)
    own, decoder = {_setting(text)[0] for text in settings}, presets()[preset].get("decoder", {})
    cells = [_cell(path, base, decoder, combination, precision, own) for combination in _combine(file, only)]
    references, notes = _references(path, base, decoder, () if only else file.references, precision, own)
    _check_search(path, file, cells)
    recipe = None if _names_dataset(fixed or {}, settings) else file.recipe
    return Grid(
        "-".join(path.relative_to(GRIDS).with_suffix("").parts) if path.is_relative_to(GRIDS) else path.stem,
        file.description,
        preset,
        _number_of_seeds(path, seeds or file.seeds or presets()[preset]["seeds"], len(cells) + len(references)),
        _validate(path, [*cells, *references]),
        file.search,
        notes,
        recipe,
        file.until if seeds is None else None,
    )


def _check_search(path: Path, file: _File, cells: Sequence[Cell]) -> None:
    """Check the candidates of the search.

    Raises:
        UsageError: the field cannot have one of them, or an axis names its values, which would not be those trained.
    """
    if file.search is None:
        return
    for axis, values in file.axes.items():
        if not all(isinstance(value, _Choice) for value in values) and _target(path, axis) == file.search.field:
            raise UsageError(f"{path}: search: the axis {axis} varies its field too; leave out one of the two")
    for value in file.search.candidates if cells else ():
        where = f"{path}: search"
        changed = _with_fields(cells[0].spec.model_dump(mode="json"), [(file.search.field, value)], where)
        parse(changed, where)


def _number_of_seeds(path: Path, seeds: int, cells: int) -> int:
    """Return the number of seeds.

    Raises:
        UsageError: the trials are more than a run can hold.
    """
    if seeds * cells > MOST_TRIALS:
        many = f"{counted(cells, 'cell')} x {seeds} seeds"
        raise UsageError(f"{path}: {many} are more than {MOST_TRIALS} trials; take fewer")
    return seeds


def _names_dataset(fixed: Mapping[str, Any], settings: Sequence[str]) -> bool:
    """Return whether the command names a data set, so that a recipe for another one says nothing of it."""
    return "data.dataset" in fixed or any(_setting(text)[0] == "data.dataset" for text in settings)


def single(settings: Sequence[str], preset: str, precision: str, fixed: Mapping[str, Any] | None = None) -> TrialSpec:
    """Return the spec of one trial outside any grid.

    Args:
        settings: `field=value` texts.
        preset: name of the preset whose fields they replace.
        precision: what `train.precision: auto` stands for.
        fixed: fields that other options of the command set.
    """
    values = _with_fields({}, presets()[_preset(preset)]["set"].items(), f"preset {preset}")
    values = _with_fields(values, (fixed or {}).items(), "command line")
    values = _own_folder(_with_fields(values, map(_setting, settings), "--set"))
    values = _with_decoder(values, presets()[preset].get("decoder", {}))
    return _precise(parse(values, "--set"), precision)


def data_fields(dataset: str | None, root: Path | None) -> dict[str, str]:
    """Return the fields that --dataset and --data-root set, as far as they are given."""
    given = {"data.dataset": dataset, "data.root": None if root is None else _root_of(root)}
    return {field: value for field, value in given.items() if value is not None}


def _root_of(root: Path) -> str:
    """Return a folder of data as specs hold it: a path, or an address with both of its slashes."""
    return str(Address.of(root)) if is_address(root) else str(root)


def data_of(dataset: str | None, root: Path | None, settings: Sequence[str]) -> DataSpec:
    """Return the data set that options of a command mean, without a preset: a folder, if it is not named otherwise.

    Args:
        dataset: name of the data set.
        root: folder of the data set.
        settings: `data.FIELD=value` texts, as given to --set.

    Raises:
        UsageError: a setting has a fault, or is of another section.
    """
    values = _with_fields({}, data_fields(dataset, root and absolute(root)).items(), "command line")
    values = _with_fields(values, map(_setting, settings), "--set")
    if others := [section for section in values if section != "data"]:
        raise UsageError(f"--set {others[0]}: only fields of data are set here, e.g. data.masks=labels")
    values.setdefault("data", {}).setdefault("dataset", "folder")
    return parse(values, "--set").data


def _preset(name: str) -> str:
    """Return the name of a preset, which has to exist.

    Raises:
        UsageError: there is no such preset.
    """
    if name not in presets():
        raise UsageError(f"unknown preset {name!r}{nearest(name, presets())}")
    return name


def _assign(path: Path, file: _File, preset: str, fixed: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Return what all cells have in common, as nested values: preset, base, the command's options, `--set`."""
    varied = set(_axis_of_fields(path, file))
    base = _with_fields({}, presets()[preset]["set"].items(), f"preset {preset}")
    base = _with_fields(base, file.base.items(), f"{path}: base")
    base = _with_fields(base, fixed.items(), "command line")
    _refuse_given_elsewhere(base, varied, str(path))
    base = _with_fields(base, (_unvaried(_setting(text), varied) for text in settings), "--set")
    _refuse_given_elsewhere(base, (), "--set")
    return base if "data.dataset" in varied else _own_folder(base)


def _own_folder(values: dict[str, Any]) -> dict[str, Any]:
    """Return nested values in which a root without a data set's name means the user's own folder."""
    data = values.get("data", {})
    if not data.get("root") or "dataset" in data:
        return values
    return _with_fields(values, [("data.dataset", "folder")], "command line")


def _with_fields(values: Mapping[str, Any], fields: Iterable[tuple[str, Any]], where: str) -> dict[str, Any]:
    """Return a copy of nested values with fields set, each by its dotted name."""
    copied = copy.deepcopy(dict(values))
    for dotted, value in fields:
        assign(copied, dotted, value, where)
    return copied


def _unvaried(setting: tuple[str, Any], varied: Collection[str]) -> tuple[str, Any]:
    """Return a setting, whose field no axis may vary.

    Raises:
        UsageError: an axis varies it.
    """
    if setting[0] in varied:
        raise UsageError(f"--set {setting[0]}: the grid varies this field; use --only, or leave it out")
    return setting


def _refuse_given_elsewhere(base: Mapping[str, Any], varied: Iterable[str], where: str) -> None:
    """Refuse fields that the plan sets itself, because it would ignore their values silently.

    Raises:
        UsageError: the seed, the CPUs of a trial or hashes of code are among them.
    """
    if "seed" in {*base, *varied}:
        raise UsageError(f"{where}: seed: the seeds are 0, 1, ...; --seeds sets their number")
    if "own_code" in {*base, *varied}:
        raise UsageError(f"{where}: own_code: hashes of your own code are made when a run is planned; leave it out")
    if "cpus" in base.get("placement", {}) or "placement.cpus" in varied:
        raise UsageError(f"{where}: placement.cpus: a trial gets its share of the node; see --max-concurrent")


def _precise(spec: TrialSpec, precision: str) -> TrialSpec:
    """Return a spec with `precision` in place of `auto`."""
    if spec.train.precision != "auto":
        return spec
    return spec.model_copy(update={"train": spec.train.model_copy(update={"precision": precision})})


def _read(source: str) -> tuple[Path, _File]:
    """Return path and content of a grid file, by its name or path.

    Raises:
        UsageError: there is no such file, or it is no valid grid.
    """
    path = Path(source) if source.endswith((".yaml", ".yml")) else GRIDS / f"{source}.yaml"
    if not path.is_file():
        if not source.endswith((".yaml", ".yml")):
            raise UsageError(f"unknown grid {source!r}{nearest(source, names())}; or give a file ending in .yaml")
        raise UsageError(f"grid file {path} does not exist")
    try:
        values = load_yaml(path.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path}: a grid is a mapping with `axes`, got {type(values).__name__}")
    try:
        return path, _File.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"{path}: {_in_words(first_fault(error))}") from None


_IN_CHOICE = re.compile(r"((?:axes\..+|references|beside)\.\d+)\.(?:_Choice\.)?(.+)")
"""The place of a fault in a named bundle of fields; pydantic adds the class that it tried."""


def _in_words(fault: Fault) -> str:
    """Return a fault of a grid file, without the path of the file, as a message."""
    if choice := _IN_CHOICE.fullmatch(fault.place):
        wrong = f"unknown key {choice[2]!r}" if fault.kind == "extra_forbidden" else f"{choice[2]} {fault.message}"
        return f"{choice[1]}: {wrong}; give {{label: ..., set: {{field: value}}}}"
    if fault.kind == "extra_forbidden":
        return f"unknown key {fault.place!r}{nearest(fault.place, _File.model_fields)}"
    return f"{fault.place}: {fault.message}, got {fault.value!r}"


def _target(path: Path, axis: str) -> str:
    """Return the dotted field that an axis of plain values sets.

    Raises:
        UsageError: the axis is neither an alias nor a field.
    """
    dotted = ALIASES.get(axis, axis)
    known = [field for section in TrialSpec.model_fields for field in fields_of([section])]
    if dotted not in known:
        raise UsageError(f"{path}: axes: unknown axis {axis!r}{nearest(axis, [*ALIASES, *known])}")
    return dotted


def _fields(path: Path, axis: str, values: list[Any]) -> set[str]:
    """Return the fields of the spec that an axis sets."""
    named = {field for value in values if isinstance(value, _Choice) for field in _dotted(value.set)}
    plain = any(not isinstance(value, _Choice) for value in values)
    return named | ({_target(path, axis)} if plain else set())


def _dotted(fields: Mapping[str, Any]) -> Iterable[str]:
    """Yield the dotted names of fields, of which a whole section may be given as a mapping."""
    for name, value in fields.items():
        if "." not in name and isinstance(value, Mapping):
            yield from (f"{name}.{field}" for field in value)
        else:
            yield name


def _axis_of_fields(path: Path, file: _File) -> dict[str, str]:
    """Return the axis of each field that varies.

    Raises:
        UsageError: two axes set the same field, so that the label of a cell would name a value that is not trained.
    """
    found: dict[str, str] = {}
    for axis, values in file.axes.items():
        for field in sorted(_fields(path, axis, values)):
            if (other := found.setdefault(field, axis)) != axis:
                raise UsageError(f"{path}: axes {other} and {axis} both set {field}; leave it to one")
    return found


def _setting(text: str) -> tuple[str, Any]:
    """Return field and value of a `field=value` text. The value is YAML.

    Raises:
        UsageError: the text is not of that form.
    """
    dotted, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set {text}: expected field=value, e.g. --set train.epochs=8")
    try:
        return dotted.strip(), load_yaml(value)
    except yaml.YAMLError as error:
        why = getattr(error, "problem", None) or error
        raise UsageError(f"--set {text}: the value is not readable as YAML: {' '.join(str(why).split())}") from None


def _name(value: Any) -> str:
    return value.label if isinstance(value, _Choice) else str(value)


def _wanted(only: Sequence[str], file: _File) -> dict[str, set[str]]:
    """Return the names of the values that `--only` keeps, by axis.

    Raises:
        UsageError: there is no such axis or value.
    """
    wanted: dict[str, set[str]] = {}
    for text in only:
        axis, equals, names_ = text.partition("=")
        if not equals or axis not in file.axes:
            meant = f"; known: {', '.join(file.axes)}" if axis in file.axes else nearest(axis, file.axes)
            raise UsageError(f"--only {text}: expected axis=value,value{meant}")
        known = [_name(value) for value in file.axes[axis]]
        for name in names_.split(","):
            if name not in known:
                raise UsageError(f"--only {text}: {axis} has no {name!r}{nearest(name, known)}")
            wanted.setdefault(axis, set()).add(name)
    return wanted


def _combine(file: _File, only: Sequence[str]) -> list[dict[str, Any]]:
    """Return all combinations of the values of the axes that `only` keeps."""
    wanted = _wanted(only, file)
    kept = {a: [v for v in values if a not in wanted or _name(v) in wanted[a]] for a, values in file.axes.items()}
    return [dict(zip(kept, values, strict=True)) for values in itertools.product(*kept.values())]


def _with_decoder(values: dict[str, Any], decoder: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values with a preset's decoder, if they mean DeepLabV3+'s own and say nothing of it themselves."""
    model = values.get("model", {})
    if model.get("architecture", "deeplabv3plus") != "deeplabv3plus" or any(
        field.removeprefix("model.") in model for field in decoder
    ):
        return values
    return _with_fields(values, decoder.items(), "preset")


def _cell(
    path: Path, base: Mapping[str, Any], decoder: Mapping[str, Any], combination: Mapping[str, Any], precision: str,
    own: Collection[str],
) -> Cell:  # fmt: skip
    """Return the validated cell of one combination of values by axis.

    Args:
        decoder: fields that the preset sets in cells with DeepLabV3+'s own decoder.
        own: fields that the command sets with `--set`; a fault of one is no fault of the file.
    """
    values = dict(base)
    for axis, value in combination.items():
        fields = value.set if isinstance(value, _Choice) else {_target(path, axis): value}
        where = "references" if axis == REFERENCE_AXIS else f"axes.{axis}"
        values = _with_fields(values, fields.items(), f"{path}: {where}")
    label = " ".join(_name(value) for value in combination.values())
    values = _with_decoder(values, decoder)
    spec = _precise(parse(values, f"{path}: cell {label!r}", dict.fromkeys(own, "--set")), precision)
    short = {axis.rpartition(".")[2]: _name(v) if isinstance(v, _Choice) else v for axis, v in combination.items()}
    return Cell(label, short, spec)


def _references(
    path: Path, base: Mapping[str, Any], decoder: Mapping[str, Any], choices: Iterable[_Choice], precision: str,
    own: Collection[str],
) -> tuple[list[Cell], tuple[str, ...]]:  # fmt: skip
    """Return the cells outside the combinations, and one note per cell that is left out.

    Args:
        own: fields that the command sets with `--set`. A cell that they make invalid is left out.
    """
    cells, notes = [], []
    for choice in choices:
        try:
            cells.append(_cell(path, base, decoder, {REFERENCE_AXIS: choice}, precision, own))
        except UsageError as error:
            if not own:
                raise
            notes.append(f"Without {choice.label}, which --set rules out ({error})")
    return cells, tuple(notes)


def _validate(path: Path, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Return the cells, which have to be different trials, and to differ in their labels where reports name them.

    Raises:
        UsageError: two are the same trial, or have the same label.
    """
    seen: dict[Any, str] = {}
    hashes: dict[str, str] = {}
    for cell in cells:
        if hashes.setdefault(cell.label, cell.spec.cell) != cell.spec.cell:
            raise UsageError(f"{path}: two cells have the label {cell.label!r}; give each its own")
        # A trial on other devices is another trial, though of the same cell.
        trial = cell.spec.cell, cell.spec.placement
        if trial in seen:
            raise UsageError(f"{path}: cells {seen[trial]!r} and {cell.label!r} are the same trial")
        seen[trial] = cell.label
    return tuple(cells)


def slug(text: str) -> str:
    """Return a text with letters, digits, dots, underscores and dashes only, fit for the name of a folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:_LONGEST] or "cell"
