"""The file of a study: its parts, each a run of a grid on a data set, and the claims about them."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.core import UsageError, first_fault, load_yaml, nearest
from reports import Claim

DEFAULT = Path(__file__).with_name("study.yaml")


class _Strict(BaseModel):
    """A part of the file of a study. It is frozen and refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(_Strict):
    """A data set of the study. `folder` is relative to the data root."""

    dataset: str
    folder: str
    settings: list[str] = []
    rare: list[str] = Field([], description="the classes that the page calls rare")


class Part(_Strict):
    """One run: a grid on a data set. With `classes` the page has a table of every class."""

    data: str
    grid: str
    seeds: int = Field(ge=3, description="the least for a claim")
    only: str | None = None
    settings: list[str] = []
    classes: bool = False
    published: str | None = Field(None, description="its published records: RELEASE/RUN below results/releases")
    trials_at_once: int = Field(
        1,
        ge=1,
        validation_alias=AliasChoices("trials_at_once", "abreast"),  # the old name
        description="number of trials that run at the same time without GPUs; several have no comparable speed",
    )


class Study(_Strict):
    """The study: its parts, in the order in which they are run, and its claims."""

    preset: str
    data: dict[str, Data]
    parts: dict[str, Part]
    claims: list[Claim]

    @model_validator(mode="after")
    def _known(self) -> Study:
        for name, part in self.parts.items():
            if part.data not in self.data:
                raise ValueError(f"part {name}: unknown data {part.data!r}{nearest(part.data, self.data)}")
        for claim in self.claims:
            if claim.part not in self.parts:
                raise ValueError(f"claim {claim.ask!r}: unknown part {claim.part!r}{nearest(claim.part, self.parts)}")
            if claim.metric == "rare_iou" and not self.rare[claim.part]:
                raise ValueError(f"claim {claim.ask!r}: the data of {claim.part} names no rare classes")
        return self

    @property
    def rare(self) -> dict[str, list[str]]:
        """The rare classes of each part's data set, by part."""
        return {name: self.data[part.data].rare for name, part in self.parts.items()}


def read(path: Path) -> Study:
    """Read a study from a YAML file.

    Raises:
        UsageError: the file cannot be read, or is no valid study.
    """
    try:
        return Study.model_validate(load_yaml(path.read_bytes()))
    except ValidationError as error:
        raise UsageError(f"{path}: {first_fault(error).told}") from None
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
