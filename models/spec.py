"""The specification of a model: frozen, hashable, and validated before TensorFlow is imported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from bench.core.faults import refuse_truth
from bench.core.suggestions import did_you_mean
from models.encoder import backbones

REFERENCES = ("keras_cv", "keras_hub", "keras_hub_segformer")
"""Models of other libraries, with which ours are compared."""
ARCHITECTURES = ("deeplabv3plus", "deeplabv3", *REFERENCES)
HEADS = ("bilinear", "subpixel")
BACKBONE = "backbone"  # name of the nested model that `get_layer` finds, e.g. to freeze it
OUTPUT_STRIDES = (8, 16, 32)


def _choice(field: str, value: Any, known: Iterable[Any]) -> Any:
    options = list(known)
    if value in options:
        return value
    hint = did_you_mean(value, {option: repr(option) for option in options if isinstance(option, str)})
    raise ValueError(f"{field} {value!r} is not known{hint or ';'} known: {', '.join(map(str, options))}")


# Settings that the models of other libraries do not have.
_OURS_ALONE = ("aspp_channels", "decoder_channels", "separable", "dropout", "sync_batch_norm")
_IDLE = dict.fromkeys(REFERENCES, _OURS_ALONE) | {"keras_hub_segformer": (*_OURS_ALONE, "low_level_channels")}


class ModelSpec(BaseModel):
    """A segmentation model: RGB 0..255 of any size in, logits of the same size out.

    The text below a field is its description. DeepLabV3+: Chen et al. (2018, arXiv 1802.02611). DeepLabV3: Chen et al.
    (2017, arXiv 1706.05587); a 3x3 convolution at the output stride replaces the decoder. The others are models of
    KerasCV and KerasHub on the same backbone, each with its own head: DeepLabV3+ with stride 32 and rates 6, 12, 18,
    and SegFormer (Xie et al. 2021, arXiv 2105.15203). They take multiples of 32 only, so other sizes are padded to the
    next multiple and cropped again.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), use_attribute_docstrings=True, allow_inf_nan=False
    )

    architecture: str = "deeplabv3plus"
    """DeepLabV3+, the same without a decoder (DeepLabV3), or as a reference the DeepLabV3+ of KerasCV (`keras_cv`) or
    of KerasHub (`keras_hub`), or KerasHub's SegFormer. KerasHub needs Keras 3."""
    backbone: str = "efficientnetlite_b0"
    """A backbone: a row of `models.encoder.backbones`, or `package.module:Class` of your own."""
    weights: str = Field("none", min_length=1)
    """Weights of the backbone: `none` (random), `imagenet` (from an installed package), the path of a weights file,
    or the name of the row's preset, which is downloaded."""
    output_stride: int = 16
    """Size of the input divided by that of the map that the ASPP reads."""
    head: str = "bilinear"
    """How logits get from a quarter to the full size: `bilinear`, `subpixel` (Shi et al. 2016, arXiv
    1609.05158), or `package.module:Class` of your own."""
    blur: bool = Field(False, json_schema_extra={"neutral": False})
    """Average 2x2 windows after a subpixel head."""
    aspp_channels: int = Field(256, ge=8, le=2048)
    """Channels of each branch of the ASPP."""
    decoder_channels: int = Field(256, ge=8, le=2048)
    """Channels of the decoder."""
    low_level_channels: int = Field(48, ge=8, le=2048)
    """Channels to which the map at a quarter of the size is reduced, and each of those at `skip_strides`."""
    skip_strides: tuple[Literal[8, 16], ...] = Field((), json_schema_extra={"neutral": cast("Any", ())})
    """Strides, of 8 and 16, at which the decoder reads further maps of the backbone beside the one at a quarter of the
    size, such as `[8, 16]`. Panoptic-DeepLab reads the one at 8 (Cheng et al. 2020, arXiv 1911.10194)."""
    separable: bool = True
    """3x3 convolutions of ASPP and decoder are depthwise separable, as in the paper's fast variant."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Rate of dropout after the ASPP."""
    auxiliary_weight: float = Field(0.0, ge=0, le=1, json_schema_extra={"neutral": 0.0})
    """Weight of the loss of a second, fully convolutional head at the backbone's stride 16 (Zhao et al. 2017, arXiv
    1612.01105, with 0.4). The model has it in training only; 0: there is none."""
    batch_norm_momentum: Annotated[float, Field(ge=0, lt=1)] | Literal["auto"] = 0.9
    """Share of the running statistics that a step keeps, in backbone, ASPP and decoder. Keras's 0.99 takes hundreds
    of steps to forget the initial values, and evaluation uses these statistics. `auto`: 1 - 1 / n, where n is a
    twentieth of the steps of the training, at least 5 and at most 100; the cell has the number."""
    sync_batch_norm: bool = Field(False, json_schema_extra={"neutral": False})
    """Batch normalisation takes its statistics over the images of all replicas (Peng et al. 2018, arXiv
    1711.07240)."""

    @field_validator("architecture", "backbone", "output_stride", "head")
    @classmethod
    def _known(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name in ("backbone", "head") and isinstance(value, str) and ":" in value:
            return value  # code of the user's own, which is not imported here
        known: dict[str | None, Iterable[Any]] = {
            "architecture": ARCHITECTURES,
            "backbone": backbones.names(),
            "output_stride": OUTPUT_STRIDES,
            "head": HEADS,
        }
        return _choice(str(info.field_name), value, known[info.field_name])

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        refuse_truth(value, cls.model_fields[str(info.field_name)].annotation)
        return value

    @field_validator("batch_norm_momentum", mode="before")
    @classmethod
    def _share_or_auto(cls, value: Any) -> Any:
        try:
            if value == "auto" or 0 <= float(value) < 1:
                return value
        except (TypeError, ValueError):
            pass
        raise ValueError(f"must be at least 0 and below 1, or auto, got {value!r}")

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        row = backbones.row_of(self.backbone)
        if self.weights == "imagenet" and row.package is None:
            raise ValueError(_no_imagenet(self.backbone, row))
        if self.output_stride not in row.strides:
            raise ValueError(
                f"backbone {self.backbone!r} supports output_stride {', '.join(map(str, row.strides))} only; "
                f"received {self.output_stride}"
            )
        if self.blur and self.head != "subpixel":
            raise ValueError(f"blur is an option of head 'subpixel', received head {self.head!r}")
        if len({*self.skip_strides}) < len(self.skip_strides):
            raise ValueError(f"skip_strides names a stride twice: {list(self.skip_strides)}")
        if self.skip_strides and self.architecture != "deeplabv3plus":
            raise ValueError(
                f"skip_strides belong to the decoder of 'deeplabv3plus', received architecture {self.architecture!r}"
            )
        if self.architecture in REFERENCES:
            self._check_reference(row)
        return self

    def _check_reference(self, row: backbones.Backbone) -> None:
        """Refuse settings that the model of another library does not have.

        Raises:
            ValueError: names the setting.
        """
        named = f"architecture {self.architecture!r}"
        if (self.output_stride, self.head) != (32, "bilinear"):
            raise ValueError(
                f"{named} has output_stride 32 and head 'bilinear' only; "
                f"received output_stride {self.output_stride} and head {self.head!r}"
            )
        if self.architecture == "keras_cv" and row.own:
            raise ValueError(f"{named} takes backbones of KerasCV only, not one of your own")
        if self.architecture == "keras_cv" and not row.feature_pyramid:
            raise ValueError(f"{named} needs levels P2 to P5, which backbone {self.backbone!r} lacks")
        if self.auxiliary_weight:
            raise ValueError(f"{named} has no auxiliary head; leave auxiliary_weight at 0")
        if idle := [name for name in _IDLE[self.architecture] if self._set(name)]:
            raise ValueError(f"{named} has no {', '.join(idle)}; leave them at their defaults")

    def _set(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)

    @property
    def momentum(self) -> float:
        """The momentum of batch normalisation as a number.

        Raises:
            ValueError: it is `auto`, which only the spec of a trial, with its number of steps, makes a number.
        """
        if isinstance(self.batch_norm_momentum, str):
            raise ValueError("batch_norm_momentum 'auto' needs a number of steps, which a model alone has not")
        return self.batch_norm_momentum

    @property
    def rates(self) -> tuple[int, int, int]:
        """Return the atrous rates of the ASPP: (6, 12, 18) at stride 16, scaled at others to span the same pixels.

        >>> ModelSpec(output_stride=8).rates
        (12, 24, 36)
        """
        first, second, third = (rate * 16 // self.output_stride for rate in (6, 12, 18))
        return first, second, third

    @property
    def packages(self) -> tuple[str, ...]:
        """Return the packages besides Keras that build the model.

        >>> ModelSpec().packages, ModelSpec(backbone="vgg16").packages
        (('keras_cv',), ())
        """
        stock = backbones.row_of(self.backbone).constructor.startswith("keras_cv.")
        hub = self.architecture.startswith("keras_hub")
        return ("keras_cv",) * (stock or self.architecture == "keras_cv") + ("keras_hub",) * hub


def _no_imagenet(name: str, row: backbones.Backbone) -> str:
    source = f"{row.preset!r} is downloaded only if it is named" if row.preset else "no preset exists"
    return f"weights 'imagenet' are not installed for backbone {name!r} ({source}); {backbones.offline_ways()}"
