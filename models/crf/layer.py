"""The dense CRF as a Keras layer, with the conventions and defaults of the public C++ code."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import tensorflow as tf

from models.compat import register
from models.crf import lattice
from models.crf.meanfield import mean_field
from models.crf.sparse import missing_columns

NEVER = -1e9
"""The score of a class that no pixel has."""


@register
class DenseCRF(keras.layers.Layer):
    """Refine a segmentation by mean field in a fully connected CRF (Krähenbühl and Koltun 2011, arXiv 1210.5644).

    The layer takes `[image, scores]`: the RGB image (B, H, W, 3), any integer or float type, 0..255, and logits or
    probabilities (B, H, W, C). It returns probabilities (B, H, W, C), float32 under every dtype policy. Any sizes work,
    dynamic ones too, and in a SavedModel. XLA does not work, because the size of the lattice depends on the image.

    Images of several sizes, padded below and to the right, need `[image, scores, sizes]` with their own heights and
    widths, integers (B, 2). Each is then refined as if it were alone. The result in the padding has no meaning.

    Two kernels connect every pair of pixels: a Gaussian of their distance, and a bilateral one of distance and colour.
    Both are normalised symmetrically and filtered on the permutohedral lattice. Their weights are the trainable
    `kernel_weights` (2,). Gradients flow to them, to the scores and to the compatibility, but not to the image.

    Args:
        iterations: mean field updates.
        gaussian_sxy: standard deviation of the Gaussian kernel, pixels.
        gaussian_compat: weight at which the Gaussian kernel starts.
        bilateral_sxy: standard deviation of the bilateral kernel in space, pixels.
        bilateral_srgb: standard deviation of the bilateral kernel in colour, grey levels.
        bilateral_compat: weight at which the bilateral kernel starts.
        learn_compatibility: train the (C, C) penalty of label l beside label l', which starts as the Potts model: 1
            where they differ. Otherwise it stays that of Potts.
        from_logits: the scores are logits; otherwise probabilities.
        clip: probabilities are raised to at least this value before the logarithm that makes them unaries.

    Raises:
        ValueError: parameters out of range, or inputs that are not an image and scores of the same size.
    """

    def __init__(
        self,
        iterations: int = 5,
        gaussian_sxy: float = 3.0,
        gaussian_compat: float = 3.0,
        bilateral_sxy: float = 80.0,
        bilateral_srgb: float = 13.0,
        bilateral_compat: float = 10.0,
        learn_compatibility: bool = False,
        from_logits: bool = True,
        clip: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        deviations = {"gaussian_sxy": gaussian_sxy, "bilateral_sxy": bilateral_sxy, "bilateral_srgb": bilateral_srgb}
        for name, value in deviations.items():
            if not value > 0:
                raise ValueError(f"DenseCRF: {name} is a standard deviation and must be positive, got {value!r}")
        if not (isinstance(iterations, int) and iterations > 0):
            raise ValueError(f"DenseCRF: iterations must be a positive integer, got {iterations!r}")
        if not 0 < clip < 1:
            raise ValueError(f"DenseCRF: clip is the least probability, above 0 and below 1, got {clip!r}")
        self.iterations = iterations
        self.gaussian_sxy, self.gaussian_compat = gaussian_sxy, gaussian_compat
        self.bilateral_sxy, self.bilateral_srgb, self.bilateral_compat = bilateral_sxy, bilateral_srgb, bilateral_compat
        self.learn_compatibility, self.from_logits, self.clip = learn_compatibility, from_logits, clip
        self.compatibility = None
        # No size is needed for them, so that a first call in a traced step creates nothing.
        self.kernel_weights = self.add_weight(
            name="kernel_weights",
            shape=(2,),
            initializer=lambda *_, **__: tf.constant([self.gaussian_compat, self.bilateral_compat], tf.float32),
        )
        self.supports_jit = False  # Keras 3 compiles a model that holds this layer without XLA

    def build(self, input_shape: Any) -> None:
        classes = _scores_shape(input_shape)[3]
        if self.learn_compatibility:
            if classes is None:
                raise ValueError("DenseCRF with learn_compatibility needs scores with a known number of classes")
            self.compatibility = self.add_weight(
                name="compatibility", shape=(classes, classes), initializer=lambda *_, **__: 1 - tf.eye(classes)
            )
        self.built = True

    def call(self, inputs: Any) -> tf.Tensor:
        image, scores = (tf.cast(value, tf.float32) for value in inputs[:2])
        shape = tf.shape(scores)
        with tf.control_dependencies(
            [tf.debugging.assert_equal(tf.shape(image)[:3], shape[:3], "DenseCRF: image and scores differ in size")]
        ):
            image = tf.stop_gradient(image)
        everywhere = lattice.build(tf.cast(_grid(shape[1], shape[2]) / self.gaussian_sxy, tf.float32))
        weights = tf.convert_to_tensor(self.kernel_weights)
        extra = missing_columns(scores.shape[3])
        compatibility = None if self.compatibility is None else tf.convert_to_tensor(self.compatibility)
        if compatibility is not None:
            compatibility = tf.pad(compatibility, [[0, extra], [0, extra]])

        @tf.autograph.experimental.do_not_convert  # there is nothing to convert, and much to read
        def refined(one: tuple[tf.Tensor, ...]) -> tf.Tensor:
            image, scores, *size = one
            place, both = self.features(image)
            inside = _inside(shape, *size) if size else None
            kernel = _kernel(everywhere, place, both, inside)
            unaries = tf.nn.log_softmax(scores) if self.from_logits else tf.math.log(tf.maximum(scores, self.clip))
            unaries = tf.reshape(tf.maximum(unaries, tf.math.log(self.clip)), [-1, shape[3]])
            unaries = tf.pad(unaries, [[0, 0], [0, extra]], constant_values=NEVER)
            message = partial(lattice.filtered, kernel, weights=weights)
            marginals = mean_field(unaries, message, self.iterations, compatibility)
            return tf.reshape(marginals[:, : shape[3]], shape[1:])

        # One after another: what belongs to one image stays in the caches, and needs memory once.
        result = tf.TensorSpec(scores.shape[1:], tf.float32)
        return tf.map_fn(refined, (image, scores, *inputs[2:]), fn_output_signature=result, parallel_iterations=1)

    def features(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return features of an image (H, W, 3): place (H * W, 2), and place with colour (H * W, 5).

        Both are float32, in standard deviations of their kernel.
        """
        # Graph optimisation turns division by a constant into a product. In float64 that leaves the rounded quotient.
        place = _grid(*tf.unstack(tf.shape(image)[:2]))
        colour = tf.reshape(tf.cast(image, tf.float64), [-1, 3]) / self.bilateral_srgb
        both = tf.concat([place / self.bilateral_sxy, colour], -1)
        return tf.cast(place / self.gaussian_sxy, tf.float32), tf.cast(both, tf.float32)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        return tuple(_scores_shape(input_shape))

    def get_config(self) -> dict[str, Any]:
        names = (
            "iterations",
            "gaussian_sxy",
            "gaussian_compat",
            "bilateral_sxy",
            "bilateral_srgb",
            "bilateral_compat",
            "learn_compatibility",
            "from_logits",
            "clip",
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _grid(height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Return column and row of each pixel: float64 (H * W, 2)."""
    columns, rows = tf.meshgrid(tf.range(width), tf.range(height))
    return tf.cast(tf.reshape(tf.stack([columns, rows], -1), [-1, 2]), tf.float64)


def _inside(shape: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Return which pixels of a padded image lie inside its own height and width: bool (H * W,)."""
    height, width = tf.unstack(tf.cast(size, tf.int32), num=2)
    return tf.reshape((tf.range(shape[1]) < height)[:, None] & (tf.range(shape[2]) < width), [-1])


def _kernel(everywhere: lattice.Lattice, place: tf.Tensor, both: tf.Tensor, inside: tf.Tensor | None) -> lattice.Filter:
    """Return the filter of place, and of place with colour, of one image; `everywhere` is the lattice of all places."""
    if inside is None:
        return lattice.filter_of([everywhere, lattice.build(both)])
    gaussian = tf.cond(tf.reduce_all(inside), lambda: everywhere, lambda: lattice.build(place, inside))
    return lattice.filter_of([gaussian, lattice.build(both, inside)])


def _scores_shape(shapes: Any) -> Any:
    """Return the shape of the scores.

    Raises:
        ValueError: the inputs' shapes do not fit together.
    """
    image, scores = (tuple(shape) for shape in (shapes[:2] if len(shapes) in (2, 3) else ((), ())))
    if len(image) != 4 or len(scores) != 4 or image[3] != 3:
        raise ValueError(f"DenseCRF takes [image, scores] of shapes (B, H, W, 3) and (B, H, W, C), got {shapes}")
    if scores[3] == 1:
        raise ValueError("DenseCRF takes a score per class: give two channels, (1 - p, p), in place of one")
    if any(a != b for a, b in zip(image[:3], scores[:3], strict=True) if None not in (a, b)):
        raise ValueError(
            f"DenseCRF: image {tuple(image)} and scores {tuple(scores)} must agree in batch, height and width; "
            "resize the scores to the image first"
        )
    return scores
