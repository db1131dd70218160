"""The embedded data set `scenes`: streets and parks painted from a seed. Nothing is downloaded.

Each image is a pure function of (seed, split, index), with the same bytes on every NumPy and processor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.core import UsageError
from bench.data.dataset import Dataset, Pair, Split
from bench.data.scenes import canvas, objects
from bench.data.scenes.canvas import CLOUD, GRAIN, Canvas, Rng, tile, tile_at
from bench.data.scenes.objects import GROUND, SKY, Light, Scene

if TYPE_CHECKING:
    from bench.spec import DataSpec

SIZE = 160
SEED = 2026
COUNTS = {"train": 320, "val": 64, "test": 64}

VERSION = "9c3c0f9360a6"
"""Version of the pixels, a hash that the tests verify. Any change of an image or a label changes it."""

CLASS_NAMES = ("ground", "sky", "building", "vegetation", "vehicle", "pole", "pedestrian", "sign")
COLORS = (
    (86, 85, 102), (160, 205, 240), (216, 166, 138), (40, 125, 80),
    (40, 70, 190), (250, 240, 120), (225, 65, 150), (240, 120, 0),
)  # fmt: skip

LIGHTS = (
    Light((0.30, 0.52, 0.80), (0.78, 0.88, 0.94), (1.02, 1.0, 0.96), 0.25),  # noon
    Light((0.42, 0.58, 0.78), (0.95, 0.87, 0.74), (1.06, 0.97, 0.84), 0.30),  # morning
    Light((0.36, 0.38, 0.62), (0.98, 0.70, 0.48), (1.05, 0.84, 0.68), 0.35),  # evening
    Light((0.62, 0.66, 0.70), (0.82, 0.83, 0.83), (0.84, 0.86, 0.88), 0.30),  # overcast
    Light((0.76, 0.79, 0.81), (0.85, 0.87, 0.88), (0.88, 0.90, 0.92), 0.75),  # fog
    Light((0.09, 0.12, 0.28), (0.44, 0.34, 0.46), (0.42, 0.43, 0.60), 0.25, lamps=True),  # night
)


def load(spec: DataSpec) -> Dataset:
    """Return the data set. Images are painted when they are read (milliseconds each).

    Raises:
        UsageError: `spec.root` is set, but this data set reads no folder.
    """
    if spec.root is not None:
        raise UsageError(f"dataset 'scenes' is embedded and reads no folder; for {spec.root} set data.dataset=folder")
    splits = {
        name: Split(tuple(f"{name}-{i:04d}" for i in range(count)), read, VERSION) for name, count in COUNTS.items()
    }
    return Dataset(spec.name or "scenes", CLASS_NAMES, COLORS, VERSION, splits)


def read(key: str) -> Pair:
    """Return image uint8 (160, 160, 3) and label uint8 (160, 160) for a key such as "val-0007"."""
    split, _, index = key.partition("-")
    return paint(SEED, list(COUNTS).index(split), int(index))


def paint(seed: int, split: int, index: int) -> Pair:
    """Paint one scene: sky, ground, objects from far to near, then the effects of the camera.

    Args:
        split: index of the split in `COUNTS`.
        index: index of the image in the split.

    Returns:
        Image uint8 (160, 160, 3) and label uint8 (160, 160), with edges between objects void.
    """
    rng = Rng(seed, split, index)
    scene = Scene(
        canvas=Canvas(SIZE, SIZE),
        rng=rng,
        light=rng.pick(LIGHTS),
        horizon=rng.between(58, 84),
        camera=rng.between(2.2, 3.0),
        sun=rng.pick((-1, 1)),
    )
    _sky(scene)
    layout = rng.pick((_street, _avenue, _park))
    layout(scene)
    return _camera(scene), scene.canvas.voided()


def _sky(scene: Scene) -> None:
    """Paint a gradient with clouds, as grey or as warm as the walls below it."""
    rng, light = scene.rng, scene.light
    scene.canvas.begin(SKY)
    box = scene.box(0, 0, SIZE, SIZE)
    down = np.clip(box.y / np.float32(scene.horizon), 0, 1)[..., None]
    top, low = np.asarray(light.top, np.float32), np.asarray(light.low, np.float32)
    cloud = tile(CLOUD, rng.whole(0, 255), rng.whole(0, 255), SIZE, SIZE)
    amount = np.clip((cloud - np.float32(rng.between(0.4, 0.62))) * 4, 0, 1)[..., None] * np.float32(0.7)
    white = low * np.float32(0.5) + np.float32(0.45) * np.asarray(light.tint, np.float32)
    color = (top * (1 - down) + low * down) * (1 - amount) + white * amount
    scene.canvas.paint(box, np.ones((SIZE, SIZE), np.float32), color)


class _Floor:
    """The pixels of the ground and their positions.

    Attributes:
        scale: pixels per metre, (h, 1).
        across: metres to the right of the vanishing point, (h, w).
        away: metres from the camera, for a focal length of 60 pixels, (h, w).
        near: 0 at the horizon to 1 close to the camera, (h, 1).
    """

    def __init__(self, scene: Scene, vanishing: float) -> None:
        self.scene, self.box = scene, scene.box(0, scene.horizon, SIZE, SIZE)
        self.scale = np.maximum(self.box.y - np.float32(scene.horizon), np.float32(0.6)) / np.float32(scene.camera)
        self.across = (self.box.x - np.float32(vanishing)) / self.scale
        self.away = np.float32(60) / self.scale + 0 * self.box.x
        self.near = np.clip(self.scale / 6, 0, 1)
        scene.canvas.begin(GROUND)

    def lay(self, cover: np.ndarray, color: canvas.Color, rough: float, name: int, grid: float = 6.0) -> None:
        """Cover a part of the ground with a material whose texture is in perspective.

        Args:
            cover: in 0..1, (h, w) or (h, 1).
            color: RGB in 0..1.
            rough: strength of the texture.
            name: noise of the texture.
            grid: cells of the texture per metre.
        """
        rows, columns = np.floor(self.away * np.float32(grid)), np.floor(self.across * np.float32(grid))
        noise = tile_at(name, rows.astype(np.int32), columns.astype(np.int32)) - np.float32(0.5)
        far = np.clip(self.scale / 14, 0, 1)[..., None]
        haze = np.float32(self.scene.light.haze) * (1 - far)
        plain = np.asarray(color, np.float32) * np.asarray(self.scene.light.tint, np.float32)
        shaded = plain * (1 + np.float32(rough) * (noise * self.near)[..., None])
        shaded = shaded * (1 - haze) + np.asarray(self.scene.light.low, np.float32) * haze
        self.scene.canvas.paint(self.box, cover.astype(np.float32) + 0 * self.across, shaded)

    def band(self, low: np.ndarray | float, high: np.ndarray | float, of: np.ndarray) -> np.ndarray:
        """Return the cover in 0..1 of the part where low <= of <= high, with an edge one pixel soft."""
        middle, half = (np.asarray(low) + high) / 2, (np.asarray(high) - low) / 2
        return np.clip(np.float32(0.5) - (np.abs(of - middle) - half) * self.scale, 0, 1).astype(np.float32)


LAWNS = ((0.40, 0.52, 0.28), (0.46, 0.55, 0.30), (0.36, 0.48, 0.26), (0.58, 0.56, 0.34))
PAVINGS = ((0.66, 0.64, 0.60), (0.60, 0.58, 0.58), (0.72, 0.66, 0.56), (0.68, 0.52, 0.46))
ASPHALTS = ((0.36, 0.36, 0.38), (0.44, 0.44, 0.45), (0.30, 0.31, 0.34))
PAINT = (0.88, 0.87, 0.82)


def _street(scene: Scene) -> None:
    """Compose a street seen from its side: houses, pavement, traffic from the side, pavement."""
    rng, h = scene.rng, scene.horizon
    floor = _Floor(scene, SIZE / 2)
    everywhere = np.ones((floor.box.y.size, SIZE), np.float32)
    kerb, edge = h + rng.between(14, 20), h + rng.between(44, 62)
    floor.lay(everywhere, rng.pick(PAVINGS + LAWNS), 0.5, GRAIN, 4)
    rows = floor.box.y + 0 * floor.box.x
    floor.lay(np.clip(np.minimum(rows - kerb, edge - rows) + 0.5, 0, 1), rng.pick(ASPHALTS), 0.5, GRAIN, 10)
    floor.lay(np.clip(1 - np.abs(rows - edge), 0, 1), PAINT, 0.2, GRAIN)
    dash = (np.mod(floor.across, 3) < 1.4) & (np.abs(rows - (kerb + edge) / 2) < 1)
    floor.lay(dash, PAINT, 0.3, GRAIN)
    if rng.chance(0.4):  # zebra crossing
        middle = rng.between(-6, 6)
        stripes = (np.mod(floor.across, 0.9) < 0.45) & (np.abs(floor.across - middle) < 2.2)
        floor.lay(stripes & (rows > kerb) & (rows < edge), PAINT, 0.3, GRAIN)
    _skyline(scene)
    _houses(scene, -8, SIZE + 8, h + rng.between(7, 12))
    lanes = (kerb + (edge - kerb) * 0.3, kerb + (edge - kerb) * 0.82)
    placed = [
        (y, objects.bus if rng.chance(0.12) else objects.car, x)
        for y in lanes
        for x in _spaced(rng, scene.scale(y) * 7, 0.5)
    ]
    placed += _scatter(scene, objects.tree, rng.whole(0, 3), h + 12, kerb - 1)
    placed += _scatter(scene, objects.lamp, rng.whole(1, 3), h + 12, kerb - 1) + _scatter(
        scene, objects.lamp, rng.whole(0, 2), edge + 2, edge + 8
    )
    placed += _scatter(scene, objects.pedestrian, rng.whole(1, 6), h + 12, kerb) + _scatter(
        scene, objects.pedestrian, rng.whole(0, 3), edge + 2, SIZE - 2
    )
    placed += _scatter(scene, objects.bollards, int(rng.chance(0.3)), edge + 2, edge + 6)
    placed += _hedges(scene, rng.whole(0, 2), edge + 6, SIZE + 8)
    _stand(scene, placed + _signs(scene, kerb - 3, kerb, edge + 1, edge + 10))


def _avenue(scene: Scene) -> None:
    """Compose a road that leads away between houses and trees, with traffic from behind and ahead."""
    rng, h = scene.rng, scene.horizon
    vanishing = rng.between(50, 110)
    floor = _Floor(scene, vanishing)
    half = rng.between(3.2, 4.6)
    walk = half + rng.between(1.5, 2.6)
    everywhere = np.ones((floor.box.y.size, SIZE), np.float32)
    floor.lay(everywhere, rng.pick(LAWNS + PAVINGS[:2]), 0.6, GRAIN, 4)
    floor.lay(floor.band(-walk, walk, floor.across), rng.pick(PAVINGS), 0.4, GRAIN, 4)
    floor.lay(floor.band(-half, half, floor.across), rng.pick(ASPHALTS), 0.5, GRAIN, 8)
    floor.lay(floor.band(-0.12, 0.12, floor.across) * (np.mod(floor.away, 6) < 3), PAINT, 0.2, GRAIN)
    for side in (-half, half):
        floor.lay(floor.band(side - 0.08, side + 0.08, floor.across), PAINT, 0.2, GRAIN)
    _skyline(scene)
    for foot in (h + 3, h + 7, h + rng.between(11, 16)):
        reach = (walk + rng.between(0.5, 2)) * scene.scale(foot)
        _houses(scene, vanishing - reach - rng.between(20, 45), vanishing - reach, foot)
        _houses(scene, vanishing + reach, vanishing + reach + rng.between(20, 45), foot)
    placed = []
    for y in (h + rng.between(6, 9), h + rng.between(12, 18), h + rng.between(24, 34), h + rng.between(40, 52)):
        for side in (-1, 1):
            if rng.chance(0.45):
                placed.append((y, objects.car_behind, vanishing + side * half * 0.5 * scene.scale(y)))
            if rng.chance(0.5):
                thing = rng.pick((objects.tree, objects.tree, objects.lamp))
                placed.append((y, thing, vanishing + side * (walk + 0.4) * scene.scale(y)))
            if rng.chance(0.5):
                across = rng.between(half + 0.3, walk)
                placed.append((y + 1, objects.pedestrian, vanishing + side * across * scene.scale(y + 1)))
    placed += _scatter(scene, objects.pedestrian, rng.whole(0, 2), h + 10, h + 50)
    for y, plant, _ in _hedges(scene, rng.whole(0, 3), h + 8, h + 60):
        placed.append((y, plant, vanishing + rng.pick((-1, 1)) * (walk + rng.between(2, 5)) * scene.scale(y)))
    y = h + rng.between(12, 30)
    placed += (
        [(y, objects.sign, vanishing + rng.pick((-1, 1)) * (half + 0.4) * scene.scale(y))] if rng.chance(0.4) else []
    )
    _stand(scene, placed)


def _park(scene: Scene) -> None:
    """Compose a lawn with, by chance, a winding path and a pond that mirrors the sky. Houses are far away."""
    rng, h = scene.rng, scene.horizon
    floor = _Floor(scene, rng.between(40, 120))
    everywhere = np.ones((floor.box.y.size, SIZE), np.float32)
    floor.lay(everywhere, rng.pick(LAWNS), 0.9, GRAIN, 5)
    if rng.chance(0.5):
        bend = np.float32(rng.between(-0.05, 0.05)) * (floor.away - 10) * (floor.away - 10) / 10
        floor.lay(floor.band(bend - 1.4, bend + 1.4, floor.across), rng.pick(PAVINGS), 0.5, GRAIN, 6)
    if rng.chance(0.45):
        x, y, rx = rng.between(20, 140), h + rng.between(12, 35), rng.between(25, 60)
        pond = np.clip(0.5 - objects.oval(floor.box, x, y, rx, rx * 0.16), 0, 1)
        mirror = np.asarray(scene.light.low, np.float32) * np.float32(0.5) + np.asarray(
            scene.light.top, np.float32
        ) * np.float32(0.4)
        floor.lay(pond, mirror, 0.3, CLOUD, 3)
    _skyline(scene)
    _houses(scene, rng.between(-60, 60), rng.between(60, 200), h + rng.between(3, 6))
    placed = _scatter(scene, objects.tree, rng.whole(3, 7), h + 5, h + 32)
    placed += _hedges(scene, rng.whole(1, 4), h + 6, h + 50)
    placed += _scatter(scene, objects.lamp, rng.whole(1, 3), h + 8, h + 40)
    placed += _scatter(scene, objects.pedestrian, rng.whole(3, 8), h + 7, h + 65)
    placed += _scatter(scene, objects.car, rng.whole(0, 2), h + 6, h + 14)
    placed += _scatter(scene, objects.bollards, int(rng.chance(0.25)), h + 15, h + 40)
    _stand(scene, placed + _signs(scene, h + 10, h + 30, h + 12, h + 40))


def _skyline(scene: Scene) -> None:
    """Draw far trees and houses in the haze."""
    rng, h = scene.rng, scene.horizon
    for _ in range(rng.whole(2, 5)):
        x, width = rng.between(0, SIZE), rng.between(14, 50)
        if rng.chance(0.5):
            objects.building(scene, x - width / 4, x + width / 4, h + 2.2, h - rng.between(8, 26))
        else:
            objects.hedge(scene, x, h + rng.between(3, 5), width, tall=7)


def _houses(scene: Scene, start: float, end: float, foot: float) -> None:
    """Draw a row of fronts with gaps."""
    rng, scale, x = scene.rng, scene.scale(foot), start
    while x < end:
        width = max(10.0, rng.between(5, 11) * scale)
        if rng.chance(0.82):
            objects.building(scene, x, min(x + width, end + 6), foot, foot - rng.between(5.5, 17) * scale)
        x += width + rng.pick((0, 0, 2, 6))


def _scatter(scene: Scene, thing, count: int, low: float, high: float) -> list:  # type: ignore[no-untyped-def, type-arg]
    """Return `count` random places (y, thing, x) with y in [low, high)."""
    return [(scene.rng.between(low, high), thing, scene.rng.between(-2, SIZE + 2)) for _ in range(count)]


def _hedges(scene: Scene, count: int, low: float, high: float) -> list:  # type: ignore[type-arg]
    """Return `count` random places of hedges of random width, as `_scatter` does."""
    found = []
    for y, _, x in _scatter(scene, objects.hedge, count, low, high):
        width = scene.rng.between(1.5, 5) * scene.scale(y)
        found.append((y, lambda s, a, b, width=width: objects.hedge(s, a, b, width), x))
    return found


def _signs(scene: Scene, *rows: float) -> list:  # type: ignore[type-arg]
    """Return the place of a sign with probability 0.4, else none. About a third of the images show a sign."""
    low, high = rows[:2] if scene.rng.chance(0.6) else rows[2:]
    return _scatter(scene, objects.sign, int(scene.rng.chance(0.4)), low, high)


def _spaced(rng: Rng, gap: float, share: float) -> list[float]:
    """Return columns along a lane, about `gap` pixels apart, each taken with probability `share`."""
    start = rng.between(-gap / 2, gap / 2)
    return [start + i * gap + rng.between(0, gap * 0.3) for i in range(int(SIZE / gap) + 2) if rng.chance(share)]


def _stand(scene: Scene, placed: list) -> None:  # type: ignore[type-arg]
    """Draw the placed objects from far to near."""
    for y, thing, x in sorted(placed, key=lambda entry: entry[0]):
        thing(scene, x, y)


def _camera(scene: Scene) -> np.ndarray:
    """Apply blur, colour cast, vignette, exposure, contrast and noise, and return the image uint8 (160, 160, 3)."""
    rng, rgb = scene.rng, scene.canvas.rgb
    if rng.chance(0.4):
        soft = np.float32(rng.between(0.1, 0.3))
        rgb[:, 1:-1] += soft * ((rgb[:, :-2] + rgb[:, 2:]) * np.float32(0.5) - rgb[:, 1:-1])
        rgb[1:-1] += soft * ((rgb[:-2] + rgb[2:]) * np.float32(0.5) - rgb[1:-1])
    cast = 1 + (rng.array(3) - np.float32(0.5)) * np.float32(0.16)
    place = (np.arange(SIZE, dtype=np.float32) + np.float32(0.5)) / SIZE * 2 - 1
    vignette = 1 - np.float32(rng.between(0.0, 0.12)) * (place[:, None] ** 2 + place[None] ** 2)
    rgb = np.clip(rgb * vignette[..., None] * cast * np.float32(rng.between(0.78, 1.16)), 0, 1)
    bend = np.float32(rng.between(-0.3, 0.3))  # similar to a gamma: x + b x (1 - x) keeps 0 and 1
    rgb = rgb + bend * rgb * (1 - rgb)
    noise = rng.array(SIZE, SIZE, 3) + rng.array(SIZE, SIZE, 1) - np.float32(1)
    return np.rint(np.clip(rgb + noise * np.float32(rng.between(0.015, 0.06)), 0, 1) * 255).astype(np.uint8)
