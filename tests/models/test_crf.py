"""Dense CRF: the lattice against exact Gaussians, mean field against its definition, the layer and its gradients."""

import itertools
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import models
from models.crf import lattice, vertices
from models.crf.meanfield import mean_field

RNG = np.random.default_rng(0)
REFERENCE = Path(__file__).with_name("crf_reference.npz")
KEPT = {"scene": (60, 80, 3, 1.0, False), "blobs": (64, 50, 5, 1.0, True)}
SMALL = {"gaussian_sxy": 1.5, "bilateral_sxy": 6.0, "bilateral_srgb": 40.0}


def _scene(height: int, width: int, classes: int, batch: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images of two flat regions under noise, and logits that know them under more noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    inside = (rows + 2 * columns < height)[None] ^ (np.arange(batch) % 2 == 1)[:, None, None]
    image = np.where(inside[..., None], [200.0, 120, 40], [60.0, 90, 150]) + rng.normal(0, 15, (*inside.shape, 3))
    logits = 1.5 * np.eye(classes)[inside.astype(int)] + rng.normal(size=(*inside.shape, classes))
    return np.clip(image, 0, 255).astype("uint8"), logits.astype("float32")


def _gaussian(features: np.ndarray) -> np.ndarray:
    """The exact kernel (N, N) of features (N, d), normalised symmetrically."""
    kernel = np.exp(-0.5 * np.square(features[:, None] - features[None]).sum(-1))
    return kernel / np.sqrt(kernel.sum(0)[:, None] * kernel.sum(1)[None])


def _features(image: np.ndarray, sxy: float, srgb: float | None = None) -> np.ndarray:
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    place = np.stack([columns, rows], -1).reshape(-1, 2) / sxy
    return place if srgb is None else np.concatenate([place, image.reshape(-1, 3) / srgb], 1)


def _matrix(*built: lattice.Lattice, normalise: bool = False, weights: tuple[float, ...] = (1.0,)) -> np.ndarray:
    """The filter of lattices as a matrix (N, N)."""
    kernel = lattice.filter_of(built, normalise)
    return lattice.filtered(kernel, tf.eye(built[0].shares.shape[1]), tf.constant(weights)).numpy()


def _built(features: np.ndarray) -> lattice.Lattice:
    return lattice.build(tf.constant(features, tf.float32))


def test_one_dimension_by_hand() -> None:
    """In one dimension the vertices are the integers of x = 2 f / sqrt(3), and the lattice interpolates linearly.

    The step: the elevation is sqrt(2/3) (d + 1) / sqrt(1 * 2) = 2 / sqrt(3) for d = 1. Both axes run along the line, so
    values are blurred twice with (1/2, 1, 1/2) and scaled by 1 / (1 + 2**-1) = 2/3.
    """
    places = np.sort(RNG.uniform(0, 9, 60))
    assert set(np.floor(places)) == set(range(9))  # no vertex is missing in between
    low = np.floor(places).astype(int)
    splat = np.zeros((60, 10))
    splat[np.arange(60), low], splat[np.arange(60), low + 1] = 1 - (places - low), places - low
    blur = np.eye(10) + 0.5 * (np.eye(10, k=1) + np.eye(10, k=-1))
    expected = splat @ blur @ blur @ splat.T * 2 / 3
    built = _built(places[:, None] * np.sqrt(3) / 2)
    assert (built.vertices.shape, built.neighbours.shape) == ((2, 60), (2, 2, 10 + 1))
    np.testing.assert_allclose(_matrix(built), expected, atol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_shares_are_barycentric(dimensions: int) -> None:
    """d + 1 shares that are positive and sum to 1, in at most as many vertices."""
    built = _built(RNG.normal(0, 3, (200, dimensions)))
    shares = built.shares.numpy().T * np.sqrt(1 + 2.0**-dimensions)
    assert shares.min() > -1e-5
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-5)
    columns = np.sort(built.vertices.numpy().T, 1)
    assert (np.diff(columns, axis=1) > 0).all()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_vertices_and_neighbours_by_enumeration(dimensions: int) -> None:
    """A vertex x has sum 0 and coordinates equal modulo d + 1, and holds the points y with y - x spanning under d + 1.

    Two vertices are neighbours along axis j where they differ by 1 everywhere and by -d at j.
    """
    order = dimensions + 1
    features = RNG.normal(0, 1, (36, dimensions)).astype("float32")
    scaled = features * np.sqrt(2 / 3) * order / np.sqrt([k * (k + 1) for k in range(1, order)])
    places = [scaled[..., j:].sum(-1) - (j * scaled[..., j - 1] if j else 0) for j in range(order)]
    free = np.stack(np.meshgrid(*[np.arange(-16, 17)] * dimensions), -1).reshape(-1, dimensions)
    grid = np.concatenate([free, -free.sum(1, keepdims=True)], 1)
    grid = grid[(grid % order == grid[:, :1] % order).all(1)]
    offsets = np.stack(places, -1)[:, None] - grid
    expected = set(map(tuple, grid[(np.ptp(offsets, axis=-1) < order).any(0)]))
    built = lattice.build(tf.constant(features))
    count = len(expected)
    assert built.neighbours.shape == (order, 2, count + 1)
    for axis, beside in enumerate(built.neighbours.numpy()):
        step = np.where(np.arange(order) == axis, -dimensions, 1)
        pairs = sum(tuple(np.add(vertex, step)) in expected for vertex in expected)
        assert np.count_nonzero(beside < count) == 2 * pairs > 0


@pytest.mark.parametrize(
    ("sxy", "srgb", "error"), [(3.0, None, 0.02), (10.0, 60.0, 0.035), (10.0, 13.0, 0.07), (80.0, 13.0, 0.05)]
)
def test_filter_is_nearly_gaussian(sxy: float, srgb: float | None, error: float) -> None:
    """The lattice approximates: a few per cent (RMS), most where noise of the colours leaves it full of holes."""
    image, _ = _scene(20, 24, 2)
    features = _features(image[0], sxy, srgb)
    values = RNG.uniform(size=(480, 1)).round().astype("float32")
    found = _matrix(_built(features), normalise=True) @ values
    exact = _gaussian(features) @ values
    assert np.sqrt(np.square(found - exact).mean() / np.square(exact).mean()) < error
    assert np.corrcoef(found.T, exact.T)[0, 1] > 0.93


def test_symmetric_normalisation() -> None:
    """D K D with D = diag(K 1) ** -1/2, against the same with numpy."""
    features = _features(_scene(6, 7, 2)[0][0], 3.0, 40.0)
    kernel = _matrix(_built(features))
    scale = 1 / np.sqrt(kernel.sum(1))
    np.testing.assert_allclose(_matrix(_built(features), normalise=True), kernel * scale[:, None] * scale, atol=1e-5)


def test_gradient_is_the_transposed_filter() -> None:
    built = _built(RNG.normal(0, 2, (50, 5)))
    kernel = _matrix(built)
    assert np.abs(kernel - kernel.T).max() > 1e-2  # axes do not commute where vertices are missing
    values, upstream = tf.constant(RNG.normal(size=(2, 50, 3)), tf.float32)
    kernel_of, weight = lattice.filter_of([built], normalise=False), tf.constant([1.7])
    with tf.GradientTape() as tape:
        tape.watch([values, weight])
        result = tf.reduce_sum(upstream * lattice.filtered(kernel_of, values, weight))
    by_values, by_weight = tape.gradient(result, [values, weight])
    np.testing.assert_allclose(by_values, 1.7 * kernel.T @ upstream.numpy(), atol=1e-4)
    assert float(by_weight[0]) == pytest.approx((upstream.numpy() * (kernel @ values.numpy())).sum(), rel=1e-4)


@pytest.mark.parametrize("inside", [False, True], ids=["whole", "padded"])
def test_a_table_of_codes_and_hashing_number_the_same_vertices(inside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    features = RNG.normal(0, 1, (40, 3)).astype("float32")
    within = tf.constant([True] * 25 + [False] * 15) if inside else None
    found = []
    for room in (0, 10**6):
        monkeypatch.setattr(vertices, "ROOM", room)
        found.append(lattice.build(features, within))
    hashed, tabled = found
    pairs = set(zip(hashed.vertices.numpy().ravel().tolist(), tabled.vertices.numpy().ravel().tolist(), strict=True))
    assert len(pairs) == hashed.neighbours.shape[2] - 1 == tabled.neighbours.shape[2] - 1
    assert len(dict(pairs)) == len(pairs), "one number for one vertex"
    np.testing.assert_allclose(_matrix(hashed), _matrix(tabled), atol=1e-6)


def test_the_sum_of_two_filters() -> None:
    """Each with its own normalisation and weight; the axes that the first one lacks leave it as it is."""
    features = RNG.normal(0, 1, (40, 5)).astype("float32")
    one, other = lattice.build(features[..., :2]), lattice.build(features)
    together = _matrix(one, other, normalise=True, weights=(0.5, 2.0))
    apart = 0.5 * _matrix(one, normalise=True) + 2 * _matrix(other, normalise=True)
    np.testing.assert_allclose(together, apart, atol=1e-5)


def test_far_features_are_refused_before_codes_overflow() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="standard deviations too small"):
        lattice.build(tf.constant(RNG.normal(0, 1e5, (20, 5)), tf.float32))


def _by_definition(unary: np.ndarray, kernels: list, weights: list, penalty: np.ndarray, iterations: int) -> np.ndarray:
    """Algorithm 1 of the paper: message passing, compatibility transform, local update, normalisation."""
    marginals = np.exp(-unary) / np.exp(-unary).sum(1, keepdims=True)
    for _ in range(iterations):
        messages = sum(weight * kernel @ marginals for kernel, weight in zip(kernels, weights, strict=True))
        pairwise = np.zeros_like(unary)
        for label, other in itertools.product(range(unary.shape[1]), repeat=2):
            pairwise[:, label] += penalty[label, other] * messages[:, other]
        marginals = np.exp(-unary - pairwise)
        marginals /= marginals.sum(1, keepdims=True)
    return marginals


@pytest.mark.parametrize("learned", [False, True], ids=["potts", "matrix"])
def test_mean_field_with_an_exact_filter_is_its_definition(learned: bool) -> None:
    image, logits = _scene(7, 9, 4)
    kernels = [_gaussian(_features(image[0], 1.5)), _gaussian(_features(image[0], 6.0, 40.0))]
    scores = logits.reshape(-1, 4)
    penalty = RNG.uniform(0, 1, (4, 4)) if learned else 1 - np.eye(4)
    expected = _by_definition(-scores.astype("float64"), kernels, [3, 10], penalty, 5)
    both = tf.constant(3 * kernels[0] + 10 * kernels[1], tf.float32)
    matrix = tf.constant(penalty, tf.float32) if learned else None
    found = mean_field(tf.constant(scores), lambda q: both @ q, 5, matrix)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(expected - np.exp(scores) / np.exp(scores).sum(1, keepdims=True)).max() > 0.1


def test_layer_is_mean_field_with_its_lattices() -> None:
    """The marginals lie near those of the exact kernels: how far is the error of the lattice."""
    image, logits = _scene(20, 24, 3)
    found = np.asarray(models.DenseCRF(gaussian_compat=0.5, bilateral_compat=1.5, **SMALL)([image, logits]))
    found = found[0].reshape(-1, 3)
    kernels = [_gaussian(_features(image[0], 1.5)), _gaussian(_features(image[0], 6.0, 40.0))]
    unary = -np.log(np.maximum(tf.nn.softmax(logits[0]).numpy(), 1e-5)).reshape(-1, 3)
    exact = _by_definition(unary, kernels, [0.5, 1.5], 1 - np.eye(3), 5)
    assert exact.max(1).mean() < 0.9  # not saturated
    assert np.mean(exact.argmax(1) != unary.argmin(1)) > 0.1  # there was something to refine
    assert np.mean(found.argmax(1) == exact.argmax(1)) > 0.98
    assert np.abs(found - exact).mean() < 0.02


def _pydensecrf(image: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    reason = "pydensecrf2 is not installed (a source package; it needs a C++ compiler)"
    densecrf = pytest.importorskip("pydensecrf.densecrf", reason=reason)
    height, width, classes = probabilities.shape
    crf = densecrf.DenseCRF2D(width, height, classes)
    crf.setUnaryEnergy(np.ascontiguousarray(-np.log(np.clip(probabilities, 1e-5, 1)).reshape(-1, classes).T))
    crf.addPairwiseGaussian(sxy=3, compat=3)
    crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=np.ascontiguousarray(image), compat=10)
    return np.array(crf.inference(5)).T.reshape(height, width, classes)


def _blobs(height: int, width: int) -> np.ndarray:
    """Smooth colours under a little noise: a lattice full of holes, where a vertex more or less can be seen."""
    rng = np.random.default_rng(0)
    coarse = tf.image.resize(rng.uniform(0, 255, (1, 9, 9, 3)), (height, width), "bicubic")
    return np.clip(coarse + rng.normal(0, 4, (1, height, width, 3)), 0, 255).astype("uint8")


def _inputs(height: int, width: int, classes: int, certainty: float, blobs: bool) -> tuple[np.ndarray, np.ndarray]:
    image, logits = _scene(height, width, classes)
    return _blobs(height, width) if blobs else image, tf.nn.softmax(certainty * logits).numpy()


def _assert_agrees(image: np.ndarray, probabilities: np.ndarray, expected: np.ndarray) -> None:
    assert np.mean(expected.argmax(-1) != probabilities[0].argmax(-1)) > 0.01
    layer = models.DenseCRF(from_logits=False)
    for call in (layer, tf.function(layer, autograph=False)):  # graph optimisation must not change a rounding
        found = np.asarray(call([image, probabilities]))[0]
        assert np.mean(found.argmax(-1) == expected.argmax(-1)) >= 0.999
        assert np.abs(found - expected).max() < 1e-3


@pytest.mark.parametrize(
    ("height", "width", "classes", "certainty", "blobs"),
    [(60, 80, 3, 1.0, False), (131, 97, 21, 0.3, False), (64, 50, 5, 1.0, True), (256, 256, 5, 0.5, True)],
)
def test_agrees_with_pydensecrf(height: int, width: int, classes: int, certainty: float, blobs: bool) -> None:
    image, probabilities = _inputs(height, width, classes, certainty, blobs)
    _assert_agrees(image, probabilities, _pydensecrf(image[0], probabilities[0]))


@pytest.mark.parametrize("name", ["scene", "blobs"])
def test_agrees_with_what_pydensecrf_gave(name: str) -> None:
    """The same where pydensecrf2 is not installed, with the marginals that its version 1.1 gave, in 16 bits each.

    Made by `python tests/models/test_crf.py`.
    """
    kept = np.load(REFERENCE)
    image, _ = _inputs(*KEPT[name])
    np.testing.assert_allclose(image.astype(int), kept[f"{name}_image"].astype(int), atol=1)
    probabilities = kept[f"{name}_probabilities"].astype("float32")
    _assert_agrees(kept[f"{name}_image"], probabilities, kept[f"{name}_marginals"] / 65535)


def _keep_reference() -> None:
    kept = {}
    for name, case in KEPT.items():
        image, probabilities = _inputs(*case)
        probabilities = probabilities.astype("float16")
        marginals = _pydensecrf(image[0], probabilities[0].astype("float32"))
        kept |= {f"{name}_image": image, f"{name}_probabilities": probabilities}
        kept[f"{name}_marginals"] = np.round(65535 * marginals).astype("uint16")
    np.savez_compressed(REFERENCE, **kept)


def test_each_picture_of_a_padded_batch_is_refined_as_if_it_were_alone() -> None:
    sizes = [(11, 13), (16, 9), (16, 20)]
    pictures = [_scene(height, width, 3) for height, width in sizes]
    rng = np.random.default_rng(9)
    image = rng.integers(0, 256, (3, 16, 20, 3)).astype("uint8")
    logits = rng.normal(0, 9, (3, 16, 20, 3)).astype("float32")
    for row, ((height, width), (own, scores)) in enumerate(zip(sizes, pictures, strict=True)):
        image[row, :height, :width], logits[row, :height, :width] = own[0], scores[0]
    layer = models.DenseCRF()
    for call in (layer, tf.function(layer)):
        found = np.asarray(call([image, logits, np.array(sizes, "int32")]))
        for row, ((height, width), (own, scores)) in enumerate(zip(sizes, pictures, strict=True)):
            alone = np.asarray(layer([own, scores]))[0]
            np.testing.assert_allclose(found[row, :height, :width], alone, atol=1e-5)
    whole = np.array([[16, 20]] * 3, "int32")
    np.testing.assert_allclose(layer([image, logits, whole]), layer([image, logits]), atol=1e-6)
    assert np.abs(np.asarray(layer([image, logits]))[0, :11, :13] - found[0, :11, :13]).max() > 0.01


def test_what_a_gpu_multiplies_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a GPU, numbers have 64 bits and matrices are not compressed. Gradients go the same way."""
    image, logits = _scene(14, 11, 3, batch=2)
    layer = models.DenseCRF(iterations=2, **SMALL)

    @tf.function
    def refined(scores: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(scores)
            result = layer([image, scores])
            loss = tf.reduce_sum(result[..., 0])
        return result, tape.gradient(loss, scores)

    expected = refined(tf.constant(logits))
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["a GPU"])
    for call in (refined.python_function, tf.function(refined.python_function)):
        for found, one in zip(call(tf.constant(logits)), expected, strict=True):
            np.testing.assert_allclose(found, one, atol=1e-5)


def test_the_same_bits_again() -> None:
    """However many threads there are, each sum has one order, or is of whole numbers."""
    image, logits = _inputs(131, 97, 5, 1.0, True)
    layer = tf.function(models.DenseCRF(from_logits=False), autograph=False)
    first = np.asarray(layer([image, logits]))
    for _ in range(3):
        np.testing.assert_array_equal(layer([image, logits]), first)


@pytest.mark.parametrize("learned", [False, True], ids=["potts", "matrix"])
def test_classes_added_for_whole_registers_change_nothing(learned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    image, logits = _scene(12, 10, 6)
    layer = models.DenseCRF(iterations=2, learn_compatibility=learned, **SMALL)
    found = []
    for extra in (0, 2, 5):
        monkeypatch.setattr("models.crf.layer.missing_columns", lambda classes, extra=extra: extra)
        with tf.GradientTape() as tape:
            marginals = layer([image, logits])
            loss = tf.reduce_sum(marginals[..., 1])
        found.append([marginals, *tape.gradient(loss, layer.trainable_variables)])
    for other in found[1:]:
        for one, expected in zip(other, found[0], strict=True):
            np.testing.assert_allclose(one, expected, atol=1e-4)


def test_logits_and_probabilities_give_the_same() -> None:
    image, logits = _scene(11, 13, 3)
    logits *= 8  # down to probabilities below the clip
    probabilities = tf.nn.softmax(logits).numpy()
    assert probabilities.min() < 1e-6
    found = models.DenseCRF()([image, logits])
    np.testing.assert_allclose(found, models.DenseCRF(from_logits=False)([image, probabilities]), atol=1e-5)
    np.testing.assert_allclose(found, models.DenseCRF()([image.astype("float32"), logits + 5]), atol=1e-5)


def test_constant_image_and_scores_keep_their_label() -> None:
    scores = np.broadcast_to(np.array([0.1, 0.5, 0.3], "float32"), (1, 9, 8, 3))
    found = np.asarray(models.DenseCRF()([np.full((1, 9, 8, 3), 77, "uint8"), scores]))
    assert (found.argmax(-1) == 1).all()
    assert found[..., 1].min() > 0.45  # softmax of the scores alone: exp(.5) / (exp(.1) + exp(.5) + exp(.3)) = 0.40


def test_uniform_scores_stay_uniform() -> None:
    image, _ = _scene(9, 8, 2)
    np.testing.assert_allclose(models.DenseCRF()([image, np.zeros((1, 9, 8, 4), "float32")]), 0.25, atol=1e-6)


@pytest.mark.parametrize("learned", [False, True], ids=["potts", "matrix"])
def test_labels_can_be_permuted(learned: bool) -> None:
    image, logits = _scene(10, 12, 4)
    layer, order = models.DenseCRF(learn_compatibility=learned), [2, 0, 3, 1]
    np.testing.assert_allclose(
        np.asarray(layer([image, logits]))[..., order], layer([image, logits[..., order]]), atol=1e-5
    )


def test_potts_matrix_equals_potts() -> None:
    image, logits = _scene(10, 12, 4)
    np.testing.assert_allclose(
        models.DenseCRF(learn_compatibility=True)([image, logits]), models.DenseCRF()([image, logits]), atol=1e-5
    )


def test_a_batch_is_its_images() -> None:
    image, logits = _scene(14, 11, 3, batch=3)
    layer = models.DenseCRF(**SMALL)
    alone = np.concatenate([layer([image[i : i + 1], logits[i : i + 1]]) for i in range(3)])
    np.testing.assert_allclose(layer([image, logits]), alone, atol=1e-5)
    assert np.abs(alone[0] - alone[1]).max() > 0.5


def test_gradients_by_finite_differences() -> None:
    image, logits = _scene(8, 9, 3)
    target = np.random.default_rng(0).normal(size=logits.shape).astype("float32")
    layer = models.DenseCRF(learn_compatibility=True, iterations=2, **SMALL)
    layer([image, logits])
    layer.set_weights([np.array([0.6, 0.8], "float32"), 1 - np.eye(3, dtype="float32")])
    scores = tf.constant(logits)

    def value(*arrays: np.ndarray) -> float:
        *weights, given = arrays
        layer.set_weights(weights)
        return float(np.sum(np.asarray(layer([image, given]), "float64") * target))

    with tf.GradientTape() as tape:
        tape.watch(scores)
        result = tf.reduce_sum(layer([image, scores]) * target)
    gradients = tape.gradient(result, [*layer.trainable_variables, scores])
    start = [*layer.get_weights(), logits]
    places = [(0, (0,)), (0, (1,)), (1, (0, 2)), (1, (1, 1)), (2, (0, 3, 4, 1)), (2, (0, 7, 0, 2))]
    for which, place in places:
        values = []
        for step in (-0.02, 0.02):
            moved = [array.copy() for array in start]
            moved[which][place] += step
            values.append(value(*moved))
        slope = (values[1] - values[0]) / 0.04
        assert np.asarray(gradients[which])[place] == pytest.approx(slope, rel=0.02, abs=0.005)
        assert abs(slope) > 0.02


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (33, 20)])
def test_any_size(size: tuple[int, int]) -> None:
    layer = models.DenseCRF()
    image, logits = _scene(*size, 3)
    found = np.asarray(layer([image, logits]))
    assert found.shape == logits.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)


def test_unknown_sizes_saved_and_loaded(tmp_path: Path) -> None:
    """One graph, and the SavedModel of a Keras model, for images and batches of any size."""
    few = {"iterations": 2, **SMALL}
    image, scores = keras.Input((None, None, 3), dtype="uint8"), keras.Input((None, None, 3))
    model = keras.Model([image, scores], models.DenseCRF(**few)([image, scores]))
    assert tuple(model.output_shape) == (None, None, None, 3)
    specs = [tf.TensorSpec((None, None, None, 3), dtype) for dtype in (tf.uint8, tf.float32)]

    class Served(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.weights = [tf.Variable(0.0)]

        @tf.function(input_signature=specs)
        def serve(self, image: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
            return self.model([image, scores])

    tf.saved_model.save(Served(), str(tmp_path / "saved"))
    model.save(tmp_path / "crf.keras")
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    again = keras.models.load_model(tmp_path / "crf.keras")
    for height, width, batch in ((12, 9, 1), (20, 31, 2)):
        image, logits = _scene(height, width, 3, batch)
        expected = np.asarray(models.DenseCRF(**few)([image, logits]))
        np.testing.assert_allclose(loaded.serve(image, logits), expected, atol=1e-5)
        np.testing.assert_allclose(again([image, logits]), expected, atol=1e-5)


def test_trains_inside_a_model_under_half_precision() -> None:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        image = keras.Input((None, None, 3))
        logits = keras.layers.Conv2D(2, 1, name="logits")(keras.layers.Rescaling(1 / 255)(image))
        model = keras.Model(
            image, models.DenseCRF(gaussian_compat=0.5, bilateral_compat=0.5, name="crf", **SMALL)([image, logits])
        )
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert model.output.dtype in (tf.float32, "float32")
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    images, _ = _scene(16, 16, 2, batch=2)
    labels = (images[..., 0] > 130).astype("int32")
    losses = [float(model.train_on_batch(images.astype("float32"), labels)) for _ in range(8)]
    assert losses[-1] < 0.7 * losses[0]
    assert np.abs(model.get_layer("crf").get_weights()[0] - [3, 10]).min() > 1e-3


def test_bad_input() -> None:
    image, logits = _scene(8, 9, 3)
    for arguments, message in (
        ({"iterations": 0}, "iterations must be a positive integer"),
        ({"bilateral_srgb": 0.0}, "bilateral_srgb is a standard deviation"),
        ({"clip": 0.0}, "clip is the least probability"),
    ):
        with pytest.raises(ValueError, match=message):
            models.DenseCRF(**arguments)
    with pytest.raises(ValueError, match="must agree in batch, height and width"):
        models.DenseCRF()([image, logits[:, :4]])
    with pytest.raises(ValueError, match=r"takes \[image, scores\]"):
        models.DenseCRF()([image[..., :1], logits])
    with pytest.raises(ValueError, match="give two channels"):
        models.DenseCRF()([image, logits[..., :1]])
    layer = models.DenseCRF()
    specs = [tf.TensorSpec((None, None, None, 3), dtype) for dtype in (tf.uint8, tf.float32)]
    dynamic = tf.function(lambda image, scores: layer([image, scores]), input_signature=specs)
    with pytest.raises(tf.errors.InvalidArgumentError, match="image and scores differ in size"):
        dynamic(image, logits.transpose(0, 2, 1, 3))


def test_config_is_the_constructor() -> None:
    layer = models.DenseCRF(iterations=2, bilateral_srgb=20.0, learn_compatibility=True, from_logits=False, clip=1e-3)
    again = models.DenseCRF.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.iterations, again.bilateral_srgb, again.clip) == (2, 20.0, 1e-3)


if __name__ == "__main__":
    _keep_reference()
