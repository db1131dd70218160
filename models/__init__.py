"""DeepLabV3+ on backbones of KerasCV and keras.applications, and the models of other libraries beside it.

`build(spec, num_classes)` builds a Keras model from a `ModelSpec`: RGB in 0..255 in, float32 logits out.
`probabilities`, `label_map` and `sliding` predict with it, `export` writes it as a SavedModel.

A name is loaded when it is first used, so importing the package imports no TensorFlow.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.builder import build, build_training
    from models.crf.layer import DenseCRF
    from models.decoder.heads import ICNR, SubpixelUpsampling
    from models.encoder.backbones import BACKBONES, row_of
    from models.encoder.output_stride import with_output_stride
    from models.encoder.weights import check_weights, in_a_line
    from models.inference import predict
    from models.inference.cost import Cost, cost_of, forward_cost, model_cost
    from models.inference.export import export, export_litert, export_onnx
    from models.inference.predict import label_map, labels, probabilities, scores, segmented, sliding
    from models.layers.atrous import AtrousConv2D, AtrousDepthwiseConv2D
    from models.layers.blocks import CropLike, PadToMultiple
    from models.layers.dropout import dropouts
    from models.spec import ARCHITECTURES, BACKBONE, HEADS, OUTPUT_STRIDES, REFERENCES, ModelSpec
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
