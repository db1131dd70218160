"""Print what Evaluator found over all examples: {metric: value}, and {class: IoU}."""

import json
import sys

import tensorflow_model_analysis as tfma

(outputs,) = [found for key, found in tfma.load_eval_result(sys.argv[1]).slicing_metrics if key == ()]
(by_class,) = outputs.values()
values = {name: {metric: value["doubleValue"] for metric, value in of.items()} for name, of in by_class.items()}
overall = values.pop("")
iou = {int(name.removeprefix("classId:")): of["class_iou"] for name, of in values.items()}
print(json.dumps({**overall, "iou": [iou[one] for one in sorted(iou)]}))
