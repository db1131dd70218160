"""Print what Evaluator found over all examples: {metric: value}, {class: IoU}, and mIoU by slice."""

import json
import sys

import tensorflow_model_analysis as tfma

found = dict(tfma.load_eval_result(sys.argv[1]).slicing_metrics)
outputs = found.pop(())
(by_class,) = outputs.values()
values = {name: {metric: value["doubleValue"] for metric, value in of.items()} for name, of in by_class.items()}
overall = values.pop("")
iou = {int(name.removeprefix("classId:")): of["class_iou"] for name, of in values.items()}
slices = {key[0][1]: outputs[""][""]["mean_iou"]["doubleValue"] for key, outputs in found.items()}
print(json.dumps({**overall, "iou": [iou[one] for one in sorted(iou)], "slices": slices}))
