"""Train a trial by TFX's Trainer, which names `run_fn` by its path; print its folder and the model's outputs."""

import json
import sys
from pathlib import Path

import tensorflow as tf
from tfx import v1 as tfx

home, python = Path(sys.argv[1]), sys.argv[2]
root = home / "trainer"
splits = [tfx.proto.Input.Split(name=name, pattern=f"{name}-*.tfrecord") for name in ("train", "val")]
examples = tfx.components.ImportExampleGen(input_base=str(home / "shards"), input_config=tfx.proto.Input(splits=splits))
settings = ["loss.name=dice", "data.size=64", "data.crop=64", "model.aspp_channels=16", "model.decoder_channels=16"]
trainer = tfx.components.Trainer(
    run_fn="bench.tfx.trainer.run_fn",
    examples=examples.outputs["examples"],
    train_args=tfx.proto.TrainArgs(splits=["train"], num_steps=4),
    eval_args=tfx.proto.EvalArgs(splits=["val"]),
    custom_config={"settings": settings, "preset": "smoke", "python": python},
)
tfx.orchestration.LocalDagRunner().run(
    tfx.dsl.Pipeline(
        pipeline_name="trainer",
        pipeline_root=str(root / "artifacts"),
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(root / "metadata.sqlite")
        ),
        components=[examples, trainer],
    )
)
(model,) = (root / "artifacts/Trainer/model").glob("*/Format-Serving")
(trial,) = (root / "artifacts/Trainer/model_run").glob("*/trial")
serve = tf.saved_model.load(str(model)).signatures["serving_examples"]
print(json.dumps({"trial": str(trial), "outputs": sorted(serve.structured_outputs)}))
