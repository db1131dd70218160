"""Augmentation: labels exact under every policy, picture and label together, the same bytes from the same seed."""

import math
import os
import platform
import subprocess
import sys

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from bench.core import IGNORE_INDEX
from bench.data import augment, image_ops, pipeline
from bench.data.dataset import Split
from bench.spec import AugmentationPolicy, DataSpec, TrialSpec, at, parse
from bench.spec.augmentation import Clahe, Normal, named

CROP = 48
RNG = np.random.default_rng


def prepared(image, label):
    return augment.Prepared(image, label, pipeline.mean_color(image))


def warped(image, label, affine, crop, fill=0):
    """Image and label through one map."""
    return tuple(
        image_ops.warped(array, affine, crop, value)
        for array, value in ((image, np.full(3, fill)), (label, IGNORE_INDEX))
    )


def coordinates(height=64, width=64):
    """A picture that holds its own coordinates, red = 4 x, green = 4 y, and a label that holds them in cells of 8."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 4, y * 4, 0 * x + 77], -1).astype(np.uint8), (x // 8 * 8 + y // 8).astype(np.uint8)


def photographs(count=5, classes=6):
    """Noise that is smooth enough to be bent, and blocks of labels with void between."""
    rng = RNG(4)
    found = []
    for index in range(count):
        height, width = [(64, 64), (50, 80), (90, 40), (64, 61), (30, 30)][index % 5]
        image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        label = (rng.integers(0, classes, (12, 12)) * 7 + 3).astype(np.uint8)
        label[rng.random((12, 12)) < 0.2] = IGNORE_INDEX
        found.append((image, np.kron(label, np.ones((8, 8), np.uint8))[:height, :width]))
    return found


def split_of(pairs):
    return Split(tuple(map(str, range(len(pairs)))), lambda key: pairs[int(key)])


POLICIES = {
    **named(),
    "everything": AugmentationPolicy.model_validate(
        named()["strong"].model_dump()
        | {"vertical_flip": 0.5, "translate": 0.3, "clahe": {}, "rotate": (-180, 180), "cutmix": 0.5, "classmix": 0.5}
    ),
}


@pytest.fixture(params=POLICIES)
def policy(request):
    return POLICIES[request.param]


@pytest.fixture
def crops(policy):
    return pipeline.Crops(split_of(photographs()), DataSpec(size=64, crop=CROP, augment=policy.model_dump()), 0)


def test_no_label_appears_that_was_not_there(crops):
    known = set(np.unique(np.concatenate([label.ravel() for label in crops.labels()]))) | {IGNORE_INDEX}
    found = set(np.unique([crops[i][1] for i in range(60)]))
    assert found == known


def test_void_stays_void(policy):
    """Whatever happens to a picture without labels, it has none after."""
    image, label = np.zeros((50, 64, 3), np.uint8), np.full((50, 64), IGNORE_INDEX, np.uint8)
    crops = pipeline.Crops(split_of([(image, label)]), DataSpec(size=64, crop=CROP, augment=policy.model_dump()), 0)
    assert all((crops[i][1] == IGNORE_INDEX).all() for i in range(20))


def test_same_seed_same_bytes_other_seed_other_bytes(policy):
    def take(seed):
        crops = pipeline.Crops(split_of(photographs()), DataSpec(size=64, crop=CROP, augment=policy.model_dump()), seed)
        return [crops[i] for i in (7, 0, 3)]

    for first, again in zip(take(0), take(0), strict=True):
        assert first[0].tobytes() == again[0].tobytes()
        assert first[1].tobytes() == again[1].tobytes()
    assert any((a[0] != b[0]).any() for a, b in zip(take(0), take(1), strict=True))


@pytest.mark.parametrize(
    "policy",
    [
        AugmentationPolicy(),
        named()["light"],
        AugmentationPolicy(flip=0.5, vertical_flip=0.5, scale=(0.5, 2), rotate=(-180, 180), translate=0.3),
        AugmentationPolicy(scale=Normal(sigma=0.1), rotate=Normal(sigma=5)),
    ],
    ids=["none", "light", "all warps", "normal"],
)
def test_image_and_label_move_together(policy):
    """The picture is its own coordinates and the label the same in cells of 8 pixels: after any warp the two agree to
    within the cell and half a source pixel, and void lies exactly where there is no picture."""
    source = prepared(*coordinates())
    source = source._replace(mean=np.array([0, 0, 200], np.uint8))  # tells what is revealed from what is there
    for seed in range(30):
        image, label = augment.augmented(source, policy, CROP, augment.draws(RNG(seed)))
        inside = label != IGNORE_INDEX
        column, row = image[..., 0] / 4, image[..., 1] / 4
        pure = inside & (image[..., 2] == 77)  # not blended with what lies beyond the border
        assert (np.abs(column - (label // 8 * 8 + 3.5)) <= 4.1)[pure].all()
        assert (np.abs(row - (label % 8 * 8 + 3.5)) <= 4.1)[pure].all()
        # On a border pixel the nearest source pixel is inside when it has at least half the blend.
        beyond = image[..., 2].astype(int) >= (77 + 200) // 2 + 8
        assert (label[beyond] == IGNORE_INDEX).all()
        assert inside[image[..., 2] <= (77 + 200) // 2 - 8].all()


def test_revealed_area_is_mean_colour_and_void():
    image, label = coordinates(30, 64)
    shown, ids = augment.augmented(prepared(image, label), AugmentationPolicy(), 64, augment.draws(RNG(0)))
    assert (ids != IGNORE_INDEX).sum() == 30 * 64
    np.testing.assert_array_equal(np.unique(shown[ids == IGNORE_INDEX], axis=0), [pipeline.mean_color(image)])


# --- the warp --------------------------------------------------------------------------------------------------------


def bilinear(image, affine, crop):
    """The definition in floating point, and where the picture is."""
    y, x = np.mgrid[: crop[0], : crop[1]] + 0.5
    u, v = affine.xx * x + affine.xy * y + affine.x0 - 0.5, affine.yx * x + affine.yy * y + affine.y0 - 0.5
    left, top = np.floor(u).astype(int), np.floor(v).astype(int)
    inside = (left >= 0) & (top >= 0) & (left < image.shape[1] - 1) & (top < image.shape[0] - 1)
    left, top = np.where(inside, left, 0), np.where(inside, top, 0)
    across, down = (u - left)[..., None], (v - top)[..., None]
    image = image.astype(float)
    upper = image[top, left] * (1 - across) + image[top, left + 1] * across
    lower = image[top + 1, left] * (1 - across) + image[top + 1, left + 1] * across
    return upper * (1 - down) + lower * down, inside, (u, v)


@pytest.mark.parametrize(("scale", "degrees"), [(1.0, 0.0), (0.5, 0.0), (2.0, 30.0), (0.8, -170.0), (1.37, 5.0)])
@pytest.mark.parametrize("mirror", [(False, False), (True, False), (False, True)])
def test_the_warp_is_bilinear_to_a_32nd_of_a_pixel(scale, degrees, mirror):
    image, label = coordinates(60, 50)
    affine = image_ops.window_of((60, 50), (33, 47), scale=scale, place=(0.3, 0.6), degrees=degrees, mirror=mirror)
    shown, ids = warped(image, label, affine, (33, 47))
    wanted, inside, (u, v) = bilinear(image, affine, (33, 47))
    assert inside.any()
    # 4 levels a pixel, places rounded to 32nds, and the rounding of the result.
    assert np.abs(shown - wanted)[inside].max() <= 4 / 64 + 0.51
    safe = inside & (np.abs(u % 1 - 0.5) > 0.04) & (np.abs(v % 1 - 0.5) > 0.04)
    np.testing.assert_array_equal(ids[safe], label[np.rint(v).astype(int)[safe], np.rint(u).astype(int)[safe]])


def test_a_quarter_turn_and_a_mirror_move_every_pixel_whole():
    image, label = photographs(1)[0]

    def moved(**how):
        return warped(image, label, image_ops.window_of((64, 64), (64, 64), **how), (64, 64))

    for how, expected in (
        ({"degrees": 90}, lambda a: np.rot90(a, -1)),  # clockwise
        ({"degrees": 180}, lambda a: a[::-1, ::-1]),
        ({"mirror": (True, False)}, lambda a: a[:, ::-1]),
        ({"mirror": (False, True)}, lambda a: a[::-1]),
    ):
        shown, ids = moved(**how)
        np.testing.assert_array_equal(shown, expected(image))
        np.testing.assert_array_equal(ids, expected(label))


def test_whole_pixels_are_copied_to_the_bytes_that_the_warp_gives():
    """Moved by a millionth of a pixel, the general way rounds to the same places."""
    rng = RNG(5)
    for image, label in photographs():
        for _ in range(8):
            crop, (down, right) = tuple(rng.integers(20, 90, 2).tolist()), rng.integers(-60, 60, 2).tolist()
            mirror = bool(rng.integers(2)), bool(rng.integers(2))
            affine = image_ops.window_of(label.shape, crop, place=(0.5, 0.5), shift=(down, right), mirror=mirror)
            near = affine._replace(x0=affine.x0 + 1e-6, y0=affine.y0 + 1e-6)
            assert (affine.whole, near.whole) == (True, False)
            for one, other in zip(*(warped(image, label, way, crop, 5) for way in (affine, near)), strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_shift_reveals_and_a_region_is_as_good_as_the_whole():
    image, label = photographs(1)[0]
    affine = image_ops.window_of((64, 64), (32, 32), place=(0.5, 0.5), scale=1.7, degrees=20, shift=(-40, 5))
    whole = warped(image, label, affine, (32, 32), 5)
    rows, columns = affine.region(32, 32, (64, 64))
    assert image[rows, columns].size < image.size / 2
    seen = warped(image[rows, columns], label[rows, columns], affine.seen_from(rows, columns), (32, 32), 5)
    for one, other in zip(whole, seen, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (whole[1] == IGNORE_INDEX).any()


@pytest.mark.parametrize("size", [512, 513])
@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_a_picture_of_the_size_of_the_crop_keeps_every_pixel(size, flip):
    image, label = (array[:size, :size] for array in coordinates(520, 520))
    policy = AugmentationPolicy(flip=flip, scale=(1.0, 1.0), rotate=(0.0, 0.0))
    made = augment.augmented(prepared(image, label), policy, size, augment.draws(RNG(0)))
    step = -1 if flip else 1
    np.testing.assert_array_equal(made[0], image[:, ::step])
    np.testing.assert_array_equal(made[1], label[:, ::step])


@pytest.mark.parametrize("policy", POLICIES)
def test_a_part_of_a_sample_is_that_part_of_the_whole(policy):
    """What is pasted is computed alone. It is what the whole sample has there, up to the rounding of places, which are
    multiples of 1/1024 pixel before they are rounded: some lie just between two pixels."""
    for index, (image, label) in enumerate(photographs()):
        smooth = cv2.GaussianBlur(image, (0, 0), 3)
        made = augment.sample(prepared(smooth, label), POLICIES[policy], CROP, augment.draws(RNG(index)))
        window = slice(7, 31), slice(20, 48)
        assert np.mean(made.label(window) != made.label(made.whole)[window]) <= 0.005
        part, whole = made.image(window).astype(int), made.image(made.whole)[window]
        assert np.abs(part - whole).max() <= 1
        assert made.image(window).flags.writeable


def test_a_part_is_blurred_with_the_pixels_around_it():
    source = prepared(RNG(1).integers(0, 256, (64, 64, 3)).astype(np.uint8), np.zeros((64, 64), np.uint8))
    policy = AugmentationPolicy.model_validate({"blur": {"sigma": [3, 3]}})
    made = augment.sample(source, policy, 64, augment.draws(RNG(0)))
    window = slice(20, 40), slice(30, 50)
    np.testing.assert_array_equal(made.image(window), made.image(made.whole)[window])


def test_what_is_kept_is_never_written_to(policy):
    """Samples may be written to, and what they were made of stays as it was."""
    image, label = photographs(1)[0]
    source = prepared(image.copy(), label.copy())
    for array in source:
        array.flags.writeable = False
    for seed in range(20):
        sample = augment.sample(source, policy, 64, augment.draws(RNG(seed)))
        other = augment.sample(source, policy, 64, augment.draws(RNG(99 + seed)))
        for array in augment.mixed(sample, other, AugmentationPolicy(classmix=1.0), augment.draws(RNG(seed))):
            array[:] = 0
    np.testing.assert_array_equal(source.image, image)
    np.testing.assert_array_equal(source.label, label)


def test_a_window_far_outside_is_all_void():
    image, label = photographs(1)[0]
    policy = AugmentationPolicy(translate=1.0)
    draws = augment.draws(RNG(0)) | {"down": 0.9999, "top": 0.999, "across": 0.5}
    shown, ids = augment.augmented(prepared(image, label), policy, 64, draws)
    assert (ids == IGNORE_INDEX).all()
    assert (shown == pipeline.mean_color(image)).all()


@pytest.mark.parametrize("share", [0.0, 0.49, 0.999])
def test_a_window_lies_within_its_room(share):
    assert 0 <= image_ops._start(100, 40, share) <= 60
    assert -60 <= image_ops._start(40, 100, share) <= 0
    assert image_ops._start(40, 40, share) == 0


def test_light_scales_stay_in_their_range():
    """The step of the coordinate picture along x is 2 / scale."""
    x = np.broadcast_to(np.arange(120) * 2, (120, 120))
    source = prepared(np.stack([x] * 3, -1).astype(np.uint8), np.zeros((120, 120), np.uint8))
    made = [augment.augmented(source, named()["light"], CROP, augment.draws(RNG(i)))[0] for i in range(200)]
    scales = 2 / np.array([abs(float(image[24, 40, 0]) - float(image[24, 8, 0])) / 32 for image in made])
    assert 0.73 < scales.min() < 0.80
    assert 1.20 < scales.max() < 1.29


# --- colours ---------------------------------------------------------------------------------------------------------


def test_the_tone_curve_by_hand():
    assert image_ops.tone_curve(2, 0, 1)[51] == pytest.approx(255 * 0.04)
    assert image_ops.tone_curve(1, 0.1, 1)[51] == pytest.approx(255 * 0.3)
    assert image_ops.tone_curve(1, 0, 2)[102] == pytest.approx(255 * 0.3)
    np.testing.assert_array_equal(image_ops.tone_curve(1, 1, 1), np.full(256, 255))


@pytest.mark.parametrize(("hue", "saturation"), [(0.0, 0.0), (0.05, 1.5), (-0.4, 0.7), (0.5, 4.0), (0.0, 1.0)])
def test_colours_by_look_up_are_those_of_the_matrix(hue, saturation):
    image = RNG(1).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    curve = image_ops.tone_curve(0.8, 0.05, 1.2)
    matrix = image_ops.color_matrix(hue, saturation)
    shown = image_ops.recolored(image, curve, matrix)
    wanted = curve[image] if matrix is None else curve[image] @ matrix.T
    # The curve is rounded before the matrix, whose entries are 1024ths at worst, and the result is rounded.
    bound = 0.0 if matrix is None else 0.5 * np.abs(matrix).sum(1) + 3 * 255 / 2048
    assert (np.abs(shown - np.clip(wanted, 0, 255)) <= 0.5 + bound + 1e-3).all()


def test_without_saturation_a_picture_is_its_luma():
    image = RNG(1).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    shown = image_ops.recolored(image, np.arange(256.0), image_ops.color_matrix(0.0, 0.0))
    luma = image @ [0.299, 0.587, 0.114]
    assert np.abs(shown - luma[..., None]).max() <= 1


def test_hue_turns_once_around():
    image = RNG(1).integers(60, 190, (9, 9, 3)).astype(np.uint8)
    np.testing.assert_allclose(
        image_ops.color_matrix(0.3, 1.0) @ image_ops.color_matrix(-0.3, 1.0), np.eye(3), atol=1e-12
    )
    shown = image_ops.recolored(image, np.arange(256.0), image_ops.color_matrix(0.5, 1.0))
    assert np.abs(shown.mean((0, 1)) - image.mean((0, 1))).max() > 1


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5, 8.0])
def test_blur_is_a_gaussian(sigma):
    image = RNG(1).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    shown = image_ops.blurred(image, sigma).astype(float)
    reach = math.ceil(3 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    wanted = image.astype(float)
    for axis in (0, 1):
        pad = [(reach, reach) if a == axis else (0, 0) for a in range(3)]
        padded = np.pad(wanted, pad, mode="edge")
        wanted = sum(w * np.take(padded, np.arange(k, k + wanted.shape[axis]), axis) for k, w in enumerate(weights))
    # Weights are 256ths along each axis, and they sum to 1.
    assert np.abs(shown - wanted).max() <= 1 + 127 * (2 * reach + 1) / 256
    assert np.abs(shown - wanted).mean() <= 1.2


def test_blur_leaves_an_even_picture_as_it_is():
    for value in (0, 1, 254, 255):
        assert (image_ops.blurred(np.full((5, 4, 3), value, np.uint8), 1.3) == value).all()


# --- CLAHE -----------------------------------------------------------------------------------------------------------


def clahe_by_loops(luma, clip, tiles):
    """One tile and one pixel after the other, in floating point. The first pixel lies at 0, as in OpenCV."""
    height, width = luma.shape
    rows, columns = height // tiles, width // tiles
    curves = np.zeros((tiles, tiles, 256))
    for i in range(tiles):
        for j in range(tiles):
            tile = luma[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
            bins = [int((tile == value).sum()) for value in range(256)]
            limit = max(1, int(clip * tile.size / 256))
            excess = sum(max(0, count - limit) for count in bins)
            bins = [min(count, limit) + excess // 256 for count in bins]
            rest = excess % 256
            if rest:
                for value in list(range(0, 256, max(256 // rest, 1)))[:rest]:
                    bins[value] += 1
            curves[i, j] = np.rint(np.cumsum(bins) * 255 / tile.size)
    out = np.zeros(luma.shape)
    for y in range(height):
        for x in range(width):
            at_y, at_x = y / rows - 0.5, x / columns - 0.5
            i, j = math.floor(at_y), math.floor(at_x)
            for a, wy in ((i, 1 - at_y + i), (i + 1, at_y - i)):
                for b, wx in ((j, 1 - at_x + j), (j + 1, at_x - j)):
                    tile = curves[min(max(a, 0), tiles - 1), min(max(b, 0), tiles - 1)]
                    out[y, x] += wy * wx * tile[luma[y, x]]
    return out


@pytest.mark.parametrize(("clip", "tiles"), [(2.0, 4), (40.0, 2), (0.5, 3)])
def test_clahe_is_its_definition(clip, tiles):
    luma = np.clip(RNG(1).normal(120, 20, (48, 36)), 0, 255).astype(np.uint8)
    shown = image_ops.equalized(np.repeat(luma[..., None], 3, -1), clip, tiles)
    assert np.abs(shown - np.clip(clahe_by_loops(luma, clip, tiles), 0, 255)[..., None]).max() <= 1
    assert shown.std() > luma.std() * (1.05 if clip < 40 else 2)


def test_clahe_keeps_the_differences_between_channels():
    image = RNG(2).integers(90, 160, (40, 50, 3)).astype(np.uint8)
    shown = image_ops.equalized(image, 2.0, 8).astype(int)
    within = (shown > 0).all(-1) & (shown < 255).all(-1)
    difference = (shown - image)[within]
    assert (difference == difference[:, :1]).all()
    assert within.mean() > 0.5


def test_clahe_of_evaluation_is_that_of_training():
    image, label = photographs(1)[0]
    spec = DataSpec(size=64, crop=64, augment="classic")
    row = pipeline.Table(split_of([(image, label)]), spec)[0]
    np.testing.assert_array_equal(row["image"], image_ops.equalized(image, 2, 8))
    np.testing.assert_array_equal(pipeline.Table(split_of([(image, label)]), DataSpec(size=64))[0]["image"], image)
    not_then = DataSpec(size=64, augment={"clahe": Clahe(evaluation=False).model_dump()})
    np.testing.assert_array_equal(pipeline.prepared(image, not_then), image)


# --- cutout and mixing -----------------------------------------------------------------------------------------------


def test_cutout_is_a_square_of_mean_colour_and_void():
    image, label = photographs(1)[0]
    label = np.where(label == IGNORE_INDEX, 0, label).astype(np.uint8)
    policy = AugmentationPolicy.model_validate({"cutout": {"side": [0.25, 0.25]}})
    shown, ids = augment.augmented(prepared(image, label), policy, 64, augment.draws(RNG(3)))
    gone = ids == IGNORE_INDEX
    assert gone.sum() == 16 * 16
    assert gone.any(0).sum() == gone.any(1).sum() == 16
    assert (shown[gone] == pipeline.mean_color(image)).all()
    np.testing.assert_array_equal(shown[~gone], image[~gone])


def test_mixing_pastes_image_and_label_through_one_mask():
    one = np.full((40, 40, 3), 10, np.uint8), np.full((40, 40), 1, np.uint8)
    label = np.repeat(np.array([2, 3, 4, IGNORE_INDEX], np.uint8), 10)[None].repeat(40, 0)
    other = np.stack([label] * 3, -1), label
    for policy in (AugmentationPolicy(cutmix=1.0), AugmentationPolicy(classmix=1.0)):
        shares = []
        for seed in range(30):
            u = augment.draws(RNG(seed))
            both = (augment.sample(prepared(*pair), policy, 40, u) for pair in (one, other))
            image, ids = augment.mixed(*both, policy, u)
            pasted = ids != 1
            np.testing.assert_array_equal(image, np.where(pasted, ids, 10)[..., None].repeat(3, -1))
            shares.append(pasted.mean())
            if policy.classmix:
                assert set(np.unique(ids)) <= {1, 2, 3, 4}
                assert shares[-1] == 0.5, "two of three classes, a quarter each"
            else:
                rows, columns = np.flatnonzero(pasted.any(1)), np.flatnonzero(pasted.any(0))
                assert pasted.sum() == len(rows) * len(columns), "a rectangle"
        assert policy.classmix or (min(shares) < 0.2 and max(shares) > 0.5)


def test_what_is_mixed_in_is_augmented_too_and_of_the_same_stream():
    """Every label of a mixed sample comes from one of two pictures."""
    pairs = [(np.full((64, 64, 3), 20 * i, np.uint8), np.full((64, 64), i, np.uint8)) for i in range(8)]
    crops = pipeline.Crops(split_of(pairs), DataSpec(size=64, crop=64, augment={"cutmix": 1.0}), 0)
    both = 0
    for position in range(16):
        image, label = crops[position]
        np.testing.assert_array_equal(image, 20 * label[..., None].repeat(3, -1))
        both += len(np.unique(label)) == 2
    assert both >= 10


# --- policies --------------------------------------------------------------------------------------------------------


def test_spreads():
    assert at((2.0, 4.0), 0.25, 1.0) == 2.5
    assert at(None, 0.9, 1.0) == 1.0
    assert at(Normal(sigma=0.1), 0.5, 1.0) == pytest.approx(1.0)
    assert at(Normal(sigma=0.1), 0.841345, 1.0) == pytest.approx(1.1, abs=1e-4)
    once, inverted = (at(Normal(sigma=0.1, invert=True), share, 1.0) for share in (0.841345 / 2, 0.5 + 0.841345 / 2))
    assert once == pytest.approx(1.1, abs=1e-4)
    assert inverted == pytest.approx(1 / 1.1, abs=1e-4)


def test_policies_by_name_or_in_place_in_a_spec():
    assert set(named()) == {"none", "light", "classic", "strong"}
    assert parse({"data": {"augment": "strong"}}, "x").data.policy == named()["strong"]
    own = parse({"data": {"augment": {"flip": 0.5, "scale": [0.5, 2]}}}, "x")
    assert own.data.policy == AugmentationPolicy(flip=0.5, scale=(0.5, 2))
    assert parse(own.model_dump(mode="json"), "x") == own
    assert len({own.cell, TrialSpec().cell, parse({"data": {"augment": "strong"}}, "x").cell}) == 3
    hash(own.data)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("stron", r"unknown policy 'stron'; did you mean 'strong'"),
        ({"flpi": 0.5}, "data.augment: flpi"),
        ({"flip": 2}, "data.augment: flip"),
        ({"scale": [2, 0.5]}, "lower end must come first"),
        ({"saturation": [0, 9]}, r"0\.\.4"),
        (3, "data.augment"),
    ],
)
def test_faulty_policies(value, expected):
    with pytest.raises(Exception, match=expected) as caught:
        parse({"data": {"augment": value}}, "grid.yaml")
    assert "\n" not in str(caught.value)


def test_a_further_draw_changes_none_of_the_others():
    """A policy that asks for more keeps the crops it had."""
    source = prepared(*coordinates())
    for seed in range(5):
        draws = augment.draws(RNG(seed))
        plain = augment.augmented(source, named()["light"], CROP, draws)
        more = named()["light"].model_copy(update={"gamma": (0.7, 1.4), "blur": named()["strong"].blur})
        np.testing.assert_array_equal(augment.augmented(source, more, CROP, draws)[1], plain[1])


def test_negative_lower_bounds_are_refused():
    with pytest.raises(ValidationError):
        AugmentationPolicy.model_validate({"scale": [-1, 1]})


BYTES = """
import hashlib, sys
import numpy as np
from bench.data import augment, pipeline
from bench.spec.augmentation import named

y, x = np.mgrid[:150, :200]
noise = np.random.default_rng(0).integers(0, 60, (150, 200, 3))
image = (np.stack([x, y, x // 2 + y // 2], -1) + noise).clip(0, 255).astype(np.uint8)
label = (x // 9 * 7 + y // 9).astype(np.uint8)
digest = hashlib.sha256()
for policy in named().values():
    for seed in range(12):
        u = augment.draws(np.random.default_rng(seed))
        one = augment.sample(augment.Prepared(image, label, pipeline.mean_color(image)), policy, 120, u)
        for array in augment.mixed(one, one, policy, u):
            digest.update(array.tobytes())
print(digest.hexdigest())
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="OpenCV's names of instruction sets of x86-64")
def test_a_processor_with_fewer_instructions_makes_the_same_bytes():
    """OpenCV leaves out the instruction sets that OPENCV_CPU_DISABLE names. Version 5.0 fails here: its warp uses AVX2
    with fused products."""

    def without(sets):
        environment = os.environ | {"OPENCV_CPU_DISABLE": sets, "PYTHONPATH": os.getcwd(), "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", BYTES], capture_output=True, text=True, check=True, env=environment
        )
        return done.stdout

    assert without("") == without("AVX2,FMA3,FP16,AVX")
