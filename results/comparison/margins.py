"""Margins of a comparison, that is, the losses that matter: from YAML, per metric and per cell pattern."""

import math
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from bench.core.faults import first_fault, refuse_truth
from bench.core.suggestions import nearest
from bench.core.yaml_text import load_yaml
from results.table import METRICS

DEFAULT = Path(__file__).with_name("margins.yaml")
Share = Annotated[float, Field(gt=0, lt=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        refuse_truth(value, cls.model_fields[str(info.field_name)].annotation)
        return value


class Metric(_Part):
    """How a metric is judged; `margin` and `floor` give the loss that matters, see results/comparison/margins.yaml."""

    scale: Literal["difference", "ratio"]
    better: Literal["higher", "lower"]
    margin: Annotated[float, Field(gt=0)]
    floor: Annotated[float, Field(ge=0)] = 0.0
    gate: bool = True

    @property
    def sign(self) -> int:
        """Return 1 or -1: the factor that makes a change for the better positive."""
        return 1 if self.better == "higher" else -1

    def on_scale(self, value: float) -> float:
        """Return a value on the scale of the tests, where more is better; for a ratio, `value` is above 0."""
        return self.sign * (value if self.scale == "difference" else math.log(value))

    def limit(self, margin: float, base: float) -> float:
        """Return a margin on the scale of the tests.

        Args:
            margin: the loss that matters, as in a margins file.
            base: value of the base, in the metric's own unit; above 0 for a ratio. `floor` is a share of it.
        """
        if self.scale == "difference":
            return margin
        share = max(margin, self.floor / base)
        return -math.log1p(-min(share, 1 - 1e-9)) if self.better == "higher" else math.log1p(share)

    @model_validator(mode="after")
    def _sensible(self) -> "Metric":
        if self.scale == "ratio" and self.better == "higher" and self.margin >= 1:
            raise ValueError(f"margin {self.margin}: a ratio cannot fall by all of it")
        return self


class CellMargins(_Part):
    """Margins of the cells whose label matches `match` (as in `fnmatch`)."""

    match: str
    margins: dict[str, Annotated[float, Field(gt=0)]]


class Margins(_Part):
    """The rules of one comparison."""

    alpha: Share = 0.05
    suspects: Share = 0.10
    power: Share = 0.80
    metrics: dict[str, Metric]
    cells: tuple[CellMargins, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> "Margins":
        for name in self.metrics:
            if name not in METRICS:
                raise ValueError(f"unknown metric {name!r}{nearest(name, METRICS)}")
        for cell in self.cells:
            if unknown := sorted(set(cell.margins) - set(self.metrics)):
                raise ValueError(f"cells matching {cell.match!r}: metric {unknown[0]!r} is not under `metrics`")
        return self

    def of(self, metric: str, label: str) -> float:
        """Return the margin of a metric in the cell of this label."""
        for cell in self.cells:
            if metric in cell.margins and fnmatchcase(label, cell.match):
                return cell.margins[metric]
        return self.metrics[metric].margin


def read(path: str) -> Margins:
    """Read a margins file.

    Raises:
        ValueError: one line that names the file, the place and the fault.
    """
    try:
        return Margins.model_validate(load_yaml(Path(path).read_bytes()))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        fault = first_fault(error)
        where = f"{fault.place}: " if fault.path else ""
        raise ValueError(f"{path}: {where}{fault.message}") from None
