"""Push the first model of a pipeline by a blessing that is a folder with the file BLESSED; print what was pushed."""

import json
import sys
from pathlib import Path

from ml_metadata import MetadataStore
from tfx import v1 as tfx
from tfx.types.standard_artifacts import Model, ModelBlessing

home = Path(sys.argv[1])
root, serving = home / "other", home / "other/serving"
(root / "blessing").mkdir(parents=True)
(root / "blessing/BLESSED").write_text("")
model = sorted((home / "root/artifacts/BenchmarkTrials/model").iterdir(), key=lambda path: int(path.name))[0]
models = tfx.dsl.Importer(source_uri=str(model), artifact_type=Model).with_id("models")
blessings = tfx.dsl.Importer(source_uri=str(root / "blessing"), artifact_type=ModelBlessing).with_id("blessings")
push = tfx.components.Pusher(
    model=models.outputs["result"],
    model_blessing=blessings.outputs["result"],
    push_destination=tfx.proto.PushDestination(
        filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(serving))
    ),
)
metadata = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(root / "metadata.sqlite"))
tfx.orchestration.LocalDagRunner().run(
    tfx.dsl.Pipeline(
        pipeline_name="push",
        pipeline_root=str(root / "artifacts"),
        metadata_connection_config=metadata,
        components=[models, blessings, push],
    )
)
(pushed,) = MetadataStore(metadata).get_artifacts_by_type("PushedModel")
found = sorted(path.name for path in serving.iterdir()) if serving.is_dir() else []
print(json.dumps({"pushed": pushed.custom_properties["pushed"].int_value, "versions": found}))
