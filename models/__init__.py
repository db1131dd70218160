"""DeepLabV3+ on KerasCV backbones. Importing the package imports no TensorFlow; names are resolved at first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.builder import build, build_training
    from models.crf.layer import DenseCRF
    from models.decoder.heads import ICNR, SubpixelUpsampling
    from models.encoder.backbones import BACKBONES
    from models.encoder.output_stride import with_output_stride
    from models.encoder.weights import check_weights, in_a_line
    from models.inference import predict
    from models.inference.cost import Cost, cost_of, model_cost
    from models.inference.export import export
    from models.inference.predict import label_map, labels, probabilities, scores, sliding
    from models.layers.atrous import AtrousConv2D, AtrousDepthwiseConv2D
    from models.layers.blocks import CropLike, PadToMultiple
    from models.layers.dropout import dropouts
    from models.spec import BACKBONE, OUTPUT_STRIDES, ModelSpec

_HOMES = {
    "AtrousConv2D": "models.layers.atrous",
    "AtrousDepthwiseConv2D": "models.layers.atrous",
    "BACKBONE": "models.spec",
    "BACKBONES": "models.encoder.backbones",
    "Cost": "models.inference.cost",
    "CropLike": "models.layers.blocks",
    "DenseCRF": "models.crf.layer",
    "ICNR": "models.decoder.heads",
    "ModelSpec": "models.spec",
    "OUTPUT_STRIDES": "models.spec",
    "PadToMultiple": "models.layers.blocks",
    "SubpixelUpsampling": "models.decoder.heads",
    "build": "models.builder",
    "build_training": "models.builder",
    "check_weights": "models.encoder.weights",
    "cost_of": "models.inference.cost",
    "dropouts": "models.layers.dropout",
    "export": "models.inference.export",
    "in_a_line": "models.encoder.weights",
    "label_map": "models.inference.predict",
    "labels": "models.inference.predict",
    "model_cost": "models.inference.cost",
    "probabilities": "models.inference.predict",
    "scores": "models.inference.predict",
    "sliding": "models.inference.predict",
    "with_output_stride": "models.encoder.output_stride",
}
_MODULES = {"predict": "models.inference.predict"}
__all__ = sorted((*_HOMES, *_MODULES))


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
