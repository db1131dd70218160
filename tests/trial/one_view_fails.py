"""`python one_view_fails.py HOSTS ARGUMENTS`: `bench.trial`, and on these hosts there is no memory for a CRF."""

import json
import os
import sys

if __name__ == "__main__":
    import tensorflow as tf

    from bench.core import start
    from bench.trial import hosts, views
    from bench.trial.__main__ import main
    from tests.faults import thin

    thin.make_tiny()
    usual = views.predictor

    def fails(images, training=False, **more):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    def predictor(view, *arguments):
        made = usual(view, *arguments)  # on all hosts, since they make its variables together
        return fails if view.crf and here in lacking else made

    views.predictor, hosts.ALONE_SECONDS = predictor, 20.0
    lacking, here = sys.argv.pop(1), str(json.loads(os.environ["TF_CONFIG"])["task"]["index"])
    sys.argv[0] = "bench.trial"
    start(main)
