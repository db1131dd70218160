"""Further ways to evaluate the trained weights: output stride, flips, scales, dense CRF."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from bench.spec.base import Spec
from models import OUTPUT_STRIDES


class CRF(Spec):
    """Parameters of the dense CRF (`models.DenseCRF`). One left out is as published, for images of 500 pixels."""

    iterations: int | None = Field(None, ge=1)
    """Number of updates."""
    gaussian_sxy: float | None = Field(None, gt=0)
    """Width of the smoothness kernel, in pixels."""
    gaussian_compat: float | None = Field(None, ge=0)
    """Weight of the smoothness kernel."""
    bilateral_sxy: float | None = Field(None, gt=0)
    """Width of the appearance kernel in space, in pixels."""
    bilateral_srgb: float | None = Field(None, gt=0)
    """Width of the appearance kernel in colour, in grey levels."""
    bilateral_compat: float | None = Field(None, ge=0)
    """Weight of the appearance kernel."""

    @property
    def chosen(self) -> dict[str, Any]:
        """The parameters that are given, by name."""
        return self.model_dump(exclude_none=True)

    @property
    def name(self) -> str:
        """The name of the CRF in a record, such as `crf(bilateral_sxy=26)`."""
        values = ",".join(f"{name}={value:g}" for name, value in self.chosen.items())
        return f"crf({values})" if values else "crf"


class ViewSpec(Spec):
    """A way to evaluate the trained weights. What is left out is as in training."""

    output_stride: int | None = None
    """Output stride of the evaluated model; none: that of training."""
    flip: bool = False
    """Average with the mirrored image."""
    scales: tuple[Annotated[float, Field(gt=0, le=4)], ...] = Field((1.0,), min_length=1)
    """Scales of the image whose scores are averaged."""
    crf: CRF | None = Field(None)
    """Refine by a dense CRF; `true`: as published."""

    @field_validator("crf", mode="before")
    @classmethod
    def _as_published(cls, value: Any) -> Any:
        return {True: {}, False: None}[value] if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _known(self) -> ViewSpec:
        if self.output_stride not in (None, *OUTPUT_STRIDES):
            raise ValueError(f"output_stride {self.output_stride}: known are {', '.join(map(str, OUTPUT_STRIDES))}")
        return self

    @property
    def plain(self) -> bool:
        """Whether the view is one pass of the model, without flip, scales or CRF."""
        return not self.flip and self.crf is None and self.scales == (1.0,)

    @property
    def name(self) -> str:
        """The name of the view in a record, such as `os16+flip+x0.5,1,1.5+crf`; `default` if nothing is chosen."""
        parts = [f"os{self.output_stride}"] if self.output_stride else []
        parts += ["flip"] if self.flip else []
        parts += [f"x{','.join(f'{scale:g}' for scale in self.scales)}"] if self.scales != (1.0,) else []
        return "+".join(parts + ([self.crf.name] if self.crf else [])) or "default"
