"""Let TensorFlow Model Analysis evaluate a SavedModel whose label maps are features, and print what it found."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
from google.protobuf import text_format
from PIL import Image
from tensorflow_model_analysis.proto import config_pb2

from bench.tfx import eval_config

HERE = Path(sys.argv[1])
VOID = 255
PICTURES = [
    ("day", [[0, 0, 0], [0, 1, VOID]], [[0, 0, 0], [1, 1, 0]]),
    ("day", [[1, 1, 2], [2, 2, VOID]], [[1, 2, 2], [2, 0, 1]]),
    ("night", [[0, 0, 1, 1]], [[0, 1, 1, 1]]),
]


def png(ids):
    data = io.BytesIO()
    Image.fromarray(np.array(ids, np.uint8)).save(data, "png")
    return data.getvalue()


def example(number, time, truth, found):
    values = {
        "image/encoded": b"not read", "image/filename": str(number).encode(), "image/time": time.encode(),
        "image/segmentation/class/encoded": png(truth), "found": png(found), "perfect": png(truth),
    }  # fmt: skip
    features = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[data])) for name, data in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write_model(feature, path):
    """A model that answers with a feature of its examples, as strings (B, 1) in two outputs."""
    module = tf.Module()
    kinds = {name: tf.io.FixedLenFeature([], tf.string) for name in (feature, "image/filename")}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "examples")])
    def serve(examples):
        read = tf.io.parse_example(examples, kinds)
        return {"labels": read[feature][:, None], "image/filename": read["image/filename"][:, None]}

    module.serve = serve
    tf.saved_model.save(module, str(path), signatures={"serving_default": serve, "serving_examples": serve})


def analyse(name, config, baseline=False):
    """Evaluate; return the results and whether the model is valid."""
    config = tfma.utils.update_eval_config_with_defaults(config, has_baseline=baseline)
    models = [
        tfma.default_eval_shared_model(
            str(HERE / ("perfect" if spec.is_baseline else "found")), model_name=spec.name, eval_config=config
        )
        for spec in config.model_specs
    ]
    found = tfma.run_model_analysis(
        eval_shared_model=models if len(models) > 1 else models[0],
        eval_config=config,
        data_location=str(HERE / "data"),
        output_path=str(HERE / name),
    )
    return found, tfma.load_validation_result(str(HERE / name))


def plain(result):
    """Return {slice: {metric: value, or {class: value}}}."""
    told = {}
    for key, outputs in result.slicing_metrics:
        where = ", ".join(f"{name}={value}" for name, value in key) or "all"
        for sub_keys in outputs.values():
            for sub_key, metrics in sub_keys.items():
                for metric, value in metrics.items():
                    number = value.get("doubleValue")
                    if sub_key:
                        told.setdefault(where, {}).setdefault(metric, {})[sub_key.partition(":")[2]] = number
                    else:
                        told.setdefault(where, {})[metric] = number
    return told


with tf.io.TFRecordWriter(str(HERE / "data")) as writer:
    for number, (time, truth, found) in enumerate(PICTURES):
        writer.write(example(number, time, truth, found))
for feature in ("found", "perfect"):
    write_model(feature, HERE / feature)
result, validation = analyse("plain", eval_config(0.5, slices=["image/time"], classes=3))
valid = {"floor 0.5": validation.validation_ok}
valid["floor 0.6"] = analyse("floor", eval_config(0.6))[1].validation_ok
for drop in (0, 0.5):
    valid[f"drop {drop}"] = analyse(f"drop{drop}", eval_config(0.0, drop), baseline=True)[1].validation_ok
config = eval_config()
config.options.CopyFrom(text_format.Parse("compute_confidence_intervals { value: true }", config_pb2.Options()))
bounds = analyse("bootstrap", config)[0].slicing_metrics[0][1][""][""]["mean_iou"]["boundedValue"]
print(json.dumps({
    "metrics": plain(result), "valid": valid, "interval": [bounds["lowerBound"], bounds["upperBound"]],
}))  # fmt: skip
