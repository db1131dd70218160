"""`python thin.py BACKBONE TRIAL [TRIAL ...]`: trials in one process, by the command `bench.trial`.

BACKBONE is what `resnet18` is in them, "thin" or "tiny". Each TRIAL is a JSON list of the command's arguments. Behind
each, a line "status N" goes to standard error.
"""

import json
import sys


def make_thin() -> None:
    """Let `resnet18` have one narrow block per stage from here on: building and tracing it takes a test's time."""
    from models import BACKBONES

    row = BACKBONES["resnet18"]
    thin = {"stackwise_filters": (64, 24, 32, 40), "stackwise_blocks": (1, 1, 1, 1)}
    object.__setattr__(row, "arguments", {**row.arguments, **thin})


def make_tiny(name: str = "resnet18") -> None:
    """Let a backbone of the table be `tiny` from here on: it has few layers and spares the import of KerasCV."""
    from models import BACKBONES

    object.__setattr__(BACKBONES[name], "constructor", f"{__name__}:tiny")


def tiny(behind_stride_4=None):
    """Build five strided convolutions, each with batch normalisation: images (B, H, W, 3) to maps at 4, 8, 16, 32.

    A layer may follow on the second.
    """
    import keras

    image = values = keras.Input((None, None, 3))
    maps = []
    for stage, channels in enumerate((16, 16, 24, 32, 40)):
        values = keras.layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False, name=f"stage{stage}_conv")(
            values
        )
        values = keras.layers.BatchNormalization(name=f"stage{stage}_bn")(values)
        values = keras.layers.ReLU(name=f"stage{stage}_relu")(values)
        values = behind_stride_4(values) if behind_stride_4 and stage == 1 else values
        maps.append(values)
    return keras.Model(image, maps[1:], name="tiny")


if __name__ == "__main__":
    from bench.core import start
    from bench.trial.__main__ import main

    {"thin": make_thin, "tiny": make_tiny}[sys.argv[1]]()
    for arguments in map(json.loads, sys.argv[2:]):
        sys.argv = ["bench.trial", *arguments]
        try:
            start(main)
        except SystemExit as end:
            print("status", end.code, file=sys.stderr, flush=True)
