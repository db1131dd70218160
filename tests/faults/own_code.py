"""A package of a user's own for tests of real runs: a loss, a backbone of five convolutions, a head and a metric."""

from pathlib import Path

CODE = '''
import keras
import tensorflow as tf


class Mine:
    """Cross-entropy per pixel, times a factor."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def __call__(self, labels, logits):
        return self.factor * tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def small():
    x = image = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(x)
    maps = []
    for stage in range(5):
        x = keras.layers.Conv2D(16, 3, 2, "same", activation="relu", name=f"stage{stage}")(x)
        maps.append(x)
    return keras.Model(image, maps[1:])


def recall(confusion):
    """The share of the pixels of class 1 that are found."""
    return confusion[1, 1] / confusion[1].sum()


def head(classes):
    return keras.layers.Conv2D(classes, 1, name="own_head")
'''


def write(folder: Path) -> Path:
    """Write the package `ownpkg` into a folder, and beside it a `models` of the user's, which nothing may import."""
    for package in ("ownpkg", "models"):
        (folder / package).mkdir()
    (folder / "ownpkg" / "__init__.py").write_text("")
    (folder / "ownpkg" / "parts.py").write_text(CODE)
    (folder / "models" / "__init__.py").write_text("raise SystemExit('their models were imported')")
    return folder / "ownpkg" / "parts.py"


GRID = """
base:
  model.backbone: ownpkg.parts:small
  model.head: ownpkg.parts:head
  model.aspp_channels: 8
  model.decoder_channels: 8
  data.size: 64
  data.crop: 64
  data.train_limit: 8
  data.val_limit: 4
  data.test_limit: 4
  train.epochs: 1
  train.steps_per_epoch: 2
  train.batch_size: 4
  eval.metrics: [ownpkg.parts:recall]
axes:
  loss:
    - {label: mine, set: {loss.name: 'ownpkg.parts:Mine', loss.params.factor: 2.0}}
    - cross_entropy
"""
