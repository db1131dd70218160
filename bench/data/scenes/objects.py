"""The objects of the embedded scenes. Each is drawn at its foot point (x, y), in the scale of the ground there.

All objects take their colours from one small set of surfaces. So a wall, a car, a coat and a sign may have the same
colour, and only shape, texture and position tell them apart.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from bench.data.scenes.canvas import CLOUD, GRAIN, LEAF, Box, Canvas, Color, Rng, block, convex, oval, soft

GROUND, SKY, BUILDING, VEGETATION, VEHICLE, POLE, PEDESTRIAN, SIGN = range(8)

SURFACES = (
    (0.74, 0.34, 0.27), (0.86, 0.62, 0.36), (0.90, 0.80, 0.58), (0.46, 0.58, 0.38), (0.36, 0.55, 0.62),
    (0.52, 0.66, 0.80), (0.36, 0.40, 0.56), (0.62, 0.60, 0.58), (0.44, 0.44, 0.46), (0.88, 0.87, 0.84),
    (0.66, 0.48, 0.44), (0.26, 0.28, 0.32),
)  # fmt: skip
LEAVES = (
    (0.33, 0.47, 0.24),
    (0.42, 0.55, 0.28),
    (0.25, 0.40, 0.28),
    (0.55, 0.56, 0.30),
    (0.76, 0.52, 0.27),
    (0.70, 0.36, 0.24),
)
BLOSSOM = (0.84, 0.62, 0.66)
BARK = (0.38, 0.30, 0.25)
METALS = ((0.30, 0.31, 0.33), (0.50, 0.51, 0.52), (0.24, 0.32, 0.30), (0.66, 0.66, 0.65))
SKINS = ((0.86, 0.66, 0.54), (0.68, 0.48, 0.36), (0.44, 0.30, 0.23))
GLASS = (0.30, 0.38, 0.46)
LAMPLIGHT = (1.0, 0.84, 0.52)


@dataclasses.dataclass(frozen=True)
class Light:
    """A time of day.

    Attributes:
        top, low: sky colours at the top and at the horizon.
        tint: colour of the light.
        haze: strength of the haze, 0..1.
        lamps: whether lamps are lit.
    """

    top: Color
    low: Color
    tint: Color
    haze: float
    lamps: bool = False


@dataclasses.dataclass
class Scene:
    """The scene that objects are drawn in.

    Attributes:
        horizon: row of the horizon in pixels.
        camera: height of the camera in metres.
        sun: side of the sun, -1 (left) or 1 (right).
    """

    canvas: Canvas
    rng: Rng
    light: Light
    horizon: float
    camera: float
    sun: int

    def scale(self, y: float) -> float:
        """Return the pixels per metre of objects that stand at row y."""
        return max(y - self.horizon, 1.0) / self.camera

    def box(self, left: float, top: float, right: float, bottom: float) -> Box:
        """Return a box of the canvas, in pixels."""
        return Box(self.canvas, left, top, right, bottom)

    def lit(self, color: Color, scale: float, shade: float = 1.0) -> np.ndarray:
        """Return a surface colour in this light, paler with distance."""
        haze = np.float32(self.light.haze * max(0.0, 1 - scale / 14))
        color = np.asarray(color, np.float32) * np.asarray(self.light.tint, np.float32) * np.float32(shade)
        return color * (1 - haze) + np.asarray(self.light.low, np.float32) * haze

    def surface(self) -> np.ndarray:
        """Return a random colour near one of `SURFACES`."""
        base = np.asarray(self.rng.pick(SURFACES), np.float32)
        return np.clip(base + (self.rng.array(3) - 0.5) * np.float32(0.12), 0.05, 0.98)

    def shadow(self, x: float, y: float, width: float, scale: float) -> None:
        """Draw a soft shadow on the ground, away from the sun. It changes no label."""
        reach = width * (0.5 if self.light.haze > 0.3 else 1.1)
        x -= self.sun * reach * 0.5
        rx, ry = width / 2 + reach / 2, max(1.0, 0.16 * scale)
        box = self.box(x - rx - 2, y - ry - 2, x + rx + 2, y + ry + 2)
        cover = np.clip(-oval(box, x, y, rx, ry) / max(ry, 1.5) * 2, 0, 1)
        self.canvas.shade(box, cover, 0.62)

    def glow(self, x: float, y: float, radius: float, strength: float = 0.55) -> None:
        """Draw the light around a lamp. It changes no label."""
        box = self.box(x - radius, y - radius, x + radius, y + radius)
        cover = np.clip(-oval(box, x, y, radius, radius) / radius, 0, 1)
        self.canvas.paint(box, cover * cover * np.float32(strength), LAMPLIGHT, solid=False)


def building(scene: Scene, left: float, right: float, foot: float, top: float) -> None:
    """Draw a front with rows of windows, and by chance a roof, a billboard and a climbing plant (vegetation)."""
    canvas, rng, scale = scene.canvas, scene.rng, scene.scale(foot)
    wall = scene.surface()
    canvas.begin(BUILDING)
    if rng.chance(0.45):
        _roof(scene, left, right, top, scale)
    box = scene.box(left, top, right, foot)
    if box.empty:
        return
    grain = box.texture(rng.pick((CLOUD, GRAIN, GRAIN)), rng)[..., None]
    face = scene.lit(wall, scale) * (1 - np.float32(0.26) * grain)
    face = face * _courses(box, foot, rng)[..., None]
    canvas.paint(box, soft(block(box, left, top, right, foot)), face)
    side = left if scene.sun > 0 else right  # the wall away from the sun
    width = (right - left) * rng.between(0.1, 0.28)
    canvas.shade(box, soft(np.abs(box.x - side) - width + 0 * box.y), 0.74)
    _windows(scene, box, left, right, foot, top, scale)
    if rng.chance(0.35) and scale > 3.5:
        _billboard(scene, left, right, foot, scale)
    if rng.chance(0.2):
        ivy(scene, left, right, foot, (foot - top) * rng.between(0.3, 0.8))


def _courses(box: Box, foot: float, rng: Rng) -> np.ndarray:
    """Return brick courses, panels or plain plaster as a factor per pixel, (h, w)."""
    kind = rng.whole(0, 2)
    if kind == 0:
        return np.where(np.mod(foot - box.y, 3) < 1, np.float32(0.86), np.float32(1)) + 0 * box.x
    if kind == 1:
        return np.where(np.mod(box.x, rng.whole(4, 7)) < 1, np.float32(0.88), np.float32(1)) + 0 * box.y
    return np.ones((box.y.size, box.x.size), np.float32)


def _roof(scene: Scene, left: float, right: float, top: float, scale: float) -> None:
    rise = (right - left) * scene.rng.between(0.18, 0.4)
    shift = (right - left) * scene.rng.between(0.2, 0.5)
    box = scene.box(left - 2, top - rise, right + 2, top + 1)
    if box.empty:
        return
    tiles = np.where(np.mod(box.y, 2) < 1, np.float32(0.9), np.float32(1.04))[..., None]
    cover = soft(
        convex(
            box,
            [
                (left - 1.5, top + 1),
                (left + shift, top - rise),
                (right - shift * 0.6, top - rise),
                (right + 1.5, top + 1),
            ],
        )
    )
    scene.canvas.paint(box, cover, scene.lit(scene.rng.pick(SURFACES[:4] + SURFACES[6:9]), scale, 0.8) * tiles)


def _windows(scene: Scene, box: Box, left: float, right: float, foot: float, top: float, scale: float) -> None:
    """Draw a grid of windows: glass mirrors the sky, and some rooms are lit. Wide windows make a glass front."""
    rng = scene.rng
    pitch_x, pitch_y = rng.between(4.5, 9.0), rng.between(5.5, 10.0)
    open_x, open_y = rng.between(0.35, 0.8), rng.between(0.4, 0.75)
    column, row = (box.x - left) / pitch_x, (foot - box.y) / pitch_y
    inside = soft((np.abs(column - np.floor(column) - 0.5) - open_x / 2) * pitch_x)
    inside = inside * soft((np.abs(row - np.floor(row) - 0.5) - open_y / 2) * pitch_y)
    inside = inside * (
        (box.y > top + 2) & (box.y < foot - 0.35 * pitch_y) & (box.x > left + 1.5) & (box.x < right - 1.5)
    )
    rooms = rng.array(64)[(np.floor(column).astype(int) * 7 + np.floor(row).astype(int) * 13) & 63][..., None]
    sky = np.asarray(scene.light.low, np.float32) * np.float32(0.55) + np.asarray(
        scene.light.top, np.float32
    ) * np.float32(0.2)
    glass = scene.lit(GLASS, scale) * (np.float32(0.6) + np.float32(0.5) * rooms) + sky * np.float32(0.35) * rooms
    lit_share = 0.45 if scene.light.lamps else 0.06
    glow = np.asarray(LAMPLIGHT, np.float32) * np.float32(0.95)
    scene.canvas.paint(box, inside * np.float32(0.92), np.where(rooms < lit_share, glow, glass))


def _billboard(scene: Scene, left: float, right: float, foot: float, scale: float) -> None:
    """Draw a poster on the wall. It looks like a sign but its class is building."""
    rng = scene.rng
    width, height = rng.between(1.0, 2.4) * scale, rng.between(0.7, 1.4) * scale
    x, y = (
        rng.between(left + width / 2, max(right - width / 2, left + width / 2 + 1)),
        foot - rng.between(2.6, 3.6) * scale,
    )
    box = scene.box(x - width, y - height, x + width, y + height)
    cover = soft(block(box, x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    scene.canvas.paint(box, cover, scene.lit(scene.surface(), scale, 1.1), solid=False)
    scene.canvas.paint(
        box, soft(oval(box, x, y, width * 0.3, height * 0.3)), scene.lit(scene.surface(), scale, 1.1), solid=False
    )


def _leafy(
    scene: Scene, box: Box, distance: np.ndarray, color: Color, scale: float, x: float, y: float, radius: float
) -> None:
    """Draw foliage: an edge frayed by noise, clumps of leaves, brighter towards the sun and the top."""
    leaf = box.texture(LEAF, scene.rng)
    clump = box.texture(CLOUD, scene.rng, step=2)
    fray = np.float32(min(5.0, 0.5 * radius))
    cover = soft(distance + fray * (leaf - np.float32(0.45)))
    toward = ((box.x - x) * np.float32(0.6 * scene.sun) - (box.y - y)) / np.float32(2 * radius)
    shade = (
        np.float32(0.5)
        + np.float32(0.55) * leaf
        + np.float32(0.3) * (clump - np.float32(0.5))
        + np.clip(toward, -0.5, 0.5) * np.float32(0.7)
    )
    scene.canvas.paint(box, cover, scene.lit(color, scale) * np.maximum(shade, np.float32(0.2))[..., None])


def tree(scene: Scene, x: float, y: float) -> None:
    """Draw a broadleaf tree or a conifer."""
    rng, scale = scene.rng, scene.scale(y)
    height = rng.between(4.5, 8.0) * scale
    if rng.chance(0.28):
        conifer(scene, x, y, height)
    else:
        _broadleaf(scene, x, y, height)


def _broadleaf(scene: Scene, x: float, y: float, height: float) -> None:
    rng, scale = scene.rng, scene.scale(y)
    color = BLOSSOM if rng.chance(0.1) else rng.pick(LEAVES)
    radius, trunk = height * rng.between(0.24, 0.34), max(1.2, 0.26 * scale)
    scene.shadow(x, y, 1.4 * radius, scale)
    scene.canvas.begin(VEGETATION)
    box = scene.box(x - trunk, y - height, x + trunk, y)
    bark = scene.lit(BARK, scale) * (np.float32(0.75) + np.float32(0.5) * box.texture(GRAIN, rng)[..., None])
    scene.canvas.paint(box, soft(block(box, x - trunk / 2, y - height * 0.6, x + trunk / 2, y)), bark)
    top = y - height + radius
    box = scene.box(x - 2 * radius, top - 1.4 * radius, x + 2 * radius, top + 1.5 * radius)
    distance = oval(box, x, top, radius, radius)
    for _ in range(4):
        dx, dy, part = rng.between(-0.7, 0.7), rng.between(-0.35, 0.5), rng.between(0.5, 0.75)
        distance = np.minimum(distance, oval(box, x + dx * radius, top + dy * radius, part * radius, part * radius))
    _leafy(scene, box, distance, color, scale, x, top, radius)


def conifer(scene: Scene, x: float, y: float, height: float) -> None:
    """Draw a conifer, `height` pixels high."""
    scale, radius = scene.scale(y), height * 0.22
    scene.shadow(x, y, 1.5 * radius, scale)
    scene.canvas.begin(VEGETATION)
    box = scene.box(x - radius - 3, y - height - 3, x + radius + 3, y)
    down = (box.y - (y - height)) / np.float32(height)
    tier = down * 4 - np.floor(down * 4)
    half = np.float32(radius) * down * (np.float32(0.65) + np.float32(0.4) * tier)
    distance = np.maximum(np.abs(box.x - x) - half, box.y - (y - 0.08 * height))
    stem = block(box, x - max(0.7, 0.12 * scale), y - 0.2 * height, x + max(0.7, 0.12 * scale), y)
    _leafy(scene, box, np.minimum(distance, stem), (0.22, 0.38, 0.30), scale, x, y - height * 0.5, height * 0.5)


def hedge(scene: Scene, x: float, y: float, width: float, tall: float = 1.1) -> None:
    """Draw a hedge or bush, about `tall` metres high and at least `width` pixels wide, in the colours of the lawn."""
    scale = scene.scale(y)
    height = scene.rng.between(0.65, 1.35) * tall * scale
    width = max(width, height)
    scene.shadow(x, y, width, scale)
    scene.canvas.begin(VEGETATION)
    box = scene.box(x - width / 2 - 3, y - height - 3, x + width / 2 + 3, y + 1)
    distance = block(box, x - width / 2, y - height, x + width / 2, y, min(height, width) * 0.45)
    _leafy(scene, box, distance, scene.rng.pick(LEAVES[:4]), scale, x, y - height / 2, height)


def ivy(scene: Scene, left: float, right: float, foot: float, height: float) -> None:
    """Draw a climbing plant on a wall, `height` pixels high."""
    width = (right - left) * scene.rng.between(0.25, 0.6)
    x = scene.rng.between(left + width / 2, right - width / 2)
    scene.canvas.begin(VEGETATION)
    box = scene.box(x - width / 2, foot - height, x + width / 2, foot)
    if not box.empty:
        distance = oval(box, x, foot, width / 2, height)
        _leafy(
            scene,
            box,
            distance,
            scene.rng.pick(LEAVES),
            scene.scale(foot),
            x,
            foot - height / 2,
            max(height, width) / 2,
        )


def car(scene: Scene, x: float, y: float) -> None:
    """Draw a car or a van from the side."""
    canvas, rng, scale = scene.canvas, scene.rng, scene.scale(y)
    van = rng.chance(0.25)
    length, height = (5.4 if van else 4.3) * scale, (2.3 if van else 1.5) * scale
    facing = 1 if rng.chance(0.5) else -1
    paint = scene.surface()
    scene.shadow(x, y, length, scale)
    canvas.begin(VEHICLE)
    box = scene.box(x - length * 0.55, y - height - 2, x + length * 0.55, y + 2)
    if box.empty:
        return
    lower, left, right = y - 0.2 * scale, x - length / 2, x + length / 2
    belt = y - height * (0.55 if van else 0.58)
    front, rear = (0.30, 0.02) if van else (0.24, 0.16)
    if facing < 0:
        front, rear = rear, front
    roof = [
        (left + length * rear + 0.12 * length * (not van), y - height),
        (right - length * front - 0.1 * length, y - height),
    ]
    cabin = convex(box, [(left + length * rear * 0.6, belt + 1), *roof, (right - length * front * 0.6, belt + 1)])
    shine = (
        scene.lit(paint, scale)
        * (np.float32(1.12) - np.float32(0.4) * np.clip((box.y - belt) / (lower - belt), -1, 1))[..., None]
    )
    canvas.paint(box, soft(cabin), shine)
    canvas.paint(box, soft(block(box, left, belt, right, lower, 0.28 * scale)), shine)
    panes = np.maximum(cabin + max(0.7, 0.13 * scale), box.y - belt)
    panes = np.maximum(panes, np.float32(max(0.5, 0.06 * scale)) - np.abs(box.x - (left + length * 0.5)))
    sheen = (
        scene.lit(GLASS, scale)
        * (np.float32(0.8) + np.float32(0.5) * np.clip((belt - box.y) / height, 0, 1))[..., None]
    )
    canvas.paint(box, soft(panes), sheen)
    for share in (0.2, 0.8):
        wheel = left + length * share, y - 0.32 * scale
        canvas.paint(box, soft(oval(box, *wheel, 0.36 * scale, 0.36 * scale)), scene.lit((0.12, 0.12, 0.13), scale))
        canvas.paint(box, soft(oval(box, *wheel, 0.17 * scale, 0.17 * scale)), scene.lit((0.55, 0.55, 0.56), scale))
    nose = right if facing > 0 else left
    canvas.paint(
        box, soft(oval(box, nose - facing * 0.15 * scale, belt + 0.3 * scale, 0.16 * scale, 0.13 * scale)), LAMPLIGHT
    )
    if scene.light.lamps:
        scene.glow(nose, belt + 0.3 * scale, 1.6 * scale)


def bus(scene: Scene, x: float, y: float) -> None:
    """Draw a bus from the side. It is as large as a house, with as many windows, but on wheels."""
    canvas, rng, scale = scene.canvas, scene.rng, scene.scale(y)
    length, height = rng.between(8.5, 11) * scale, 3.1 * scale
    left, right, lower = x - length / 2, x + length / 2, y - 0.3 * scale
    scene.shadow(x, y, length, scale)
    canvas.begin(VEHICLE)
    box = scene.box(left - 1, y - height - 1, right + 1, y + 1)
    if box.empty:
        return
    paint, band = scene.surface(), scene.surface()
    canvas.paint(box, soft(block(box, left, y - height, right, lower, 0.35 * scale)), scene.lit(paint, scale))
    canvas.paint(box, soft(block(box, left, y - 1.15 * scale, right, y - 0.85 * scale)), scene.lit(band, scale))
    pitch = 1.25 * scale
    column = (box.x - left) / pitch
    pane = np.maximum(
        (np.abs(column - np.floor(column) - 0.5) - 0.43) * pitch,
        block(box, left + 0.3 * scale, y - 2.7 * scale, right - 0.3 * scale, y - 1.4 * scale),
    )
    inside = LAMPLIGHT if scene.light.lamps else scene.lit(GLASS, scale)
    canvas.paint(box, soft(pane), inside)
    for share in (0.17, 0.78):
        canvas.paint(
            box,
            soft(oval(box, left + length * share, y - 0.42 * scale, 0.48 * scale, 0.48 * scale)),
            scene.lit((0.12, 0.12, 0.13), scale),
        )


def car_behind(scene: Scene, x: float, y: float) -> None:
    """Draw a car from behind or from the front."""
    canvas, scale = scene.canvas, scene.scale(y)
    width, height = 1.85 * scale, 1.5 * scale
    paint, away = scene.surface(), scene.rng.chance(0.5)
    scene.shadow(x, y, width, scale)
    canvas.begin(VEHICLE)
    box = scene.box(x - width, y - height - 2, x + width, y + 2)
    left, right, belt = x - width / 2, x + width / 2, y - height * 0.58
    for share in (0.18, 0.82):
        wheel = left + width * share
        canvas.paint(
            box,
            soft(block(box, wheel - 0.13 * scale, y - 0.5 * scale, wheel + 0.13 * scale, y)),
            scene.lit((0.1, 0.1, 0.11), scale),
        )
    cabin = convex(
        box,
        [
            (left + 0.06 * width, belt + 1),
            (left + 0.18 * width, y - height),
            (right - 0.18 * width, y - height),
            (right - 0.06 * width, belt + 1),
        ],
    )
    canvas.paint(box, soft(cabin), scene.lit(paint, scale, 1.1))
    canvas.paint(box, soft(block(box, left, belt, right, y - 0.22 * scale, 0.2 * scale)), scene.lit(paint, scale, 0.92))
    canvas.paint(box, soft(np.maximum(cabin + max(0.6, 0.12 * scale), box.y - belt)), scene.lit(GLASS, scale))
    lamp = (0.80, 0.18, 0.14) if away else LAMPLIGHT
    for share in (0.14, 0.86):
        canvas.paint(box, soft(oval(box, left + width * share, belt + 0.28 * scale, 0.17 * scale, 0.12 * scale)), lamp)
        if scene.light.lamps and not away:
            scene.glow(left + width * share, belt + 0.28 * scale, 1.2 * scale)


def pedestrian(scene: Scene, x: float, y: float) -> None:
    """Draw a walking person."""
    canvas, rng, scale = scene.canvas, scene.rng, scene.scale(y)
    height = rng.between(1.55, 1.9) * scale
    width, stride = 0.58 * scale, rng.between(0.05, 0.22) * scale
    coat, trousers = scene.lit(scene.surface(), scale), scene.lit(scene.surface(), scale, 0.75)
    hip, neck, head = y - 0.48 * height, y - 0.83 * height, y - 0.9 * height
    scene.shadow(x, y, width, scale)
    canvas.begin(PEDESTRIAN)
    box = scene.box(x - width - 2, y - height - 2, x + width + 2, y + 2)
    leg = max(0.7, 0.1 * scale)
    for foot in (-stride, stride):
        canvas.paint(
            box, soft(convex(box, [(x - leg, hip), (x + leg, hip), (x + foot + leg, y), (x + foot - leg, y)])), trousers
        )
    long_coat = rng.chance(0.3)
    canvas.paint(
        box,
        soft(
            block(
                box,
                x - max(0.9, width / 2),
                neck,
                x + max(0.9, width / 2),
                hip + (0.22 * height if long_coat else 0.04 * height),
                0.13 * scale,
            )
        ),
        coat,
    )
    canvas.paint(
        box,
        soft(oval(box, x, head, max(0.75, 0.125 * scale), max(0.85, 0.15 * scale))),
        scene.lit(rng.pick(SKINS), scale),
    )
    canvas.paint(
        box,
        soft(
            np.maximum(oval(box, x, head, max(0.8, 0.14 * scale), max(0.9, 0.165 * scale)), box.y - head + 0.03 * scale)
        ),
        scene.lit(rng.pick((BARK, SURFACES[11], SURFACES[0], LAMPLIGHT)), scale, 0.7),
    )


def _post(scene: Scene, x: float, y: float, height: float, metal: Color, thick: float = 0.11) -> None:
    half = max(0.85, thick * scene.scale(y) / 2)
    box = scene.box(x - half - 1, y - height, x + half + 1, y)
    scene.canvas.paint(box, soft(block(box, x - half, y - height, x + half, y)), scene.lit(metal, scene.scale(y)))


def lamp(scene: Scene, x: float, y: float) -> None:
    """Draw a street lamp with an arm, one or two pixels thick."""
    scale, metal = scene.scale(y), scene.rng.pick(METALS)
    height, arm = scene.rng.between(4.5, 6.5) * scale, scene.rng.between(0.7, 1.4) * scale
    side = 1 if scene.rng.chance(0.5) else -1
    scene.shadow(x, y, 0.3 * scale, scale)
    scene.canvas.begin(POLE)
    _post(scene, x, y, height, metal)
    tip = x + side * arm
    half = max(0.7, 0.05 * scale)
    box = scene.box(min(x, tip) - 3, y - height - 3, max(x, tip) + 3, y - height + 4)
    scene.canvas.paint(
        box, soft(block(box, min(x, tip), y - height - half, max(x, tip), y - height + half)), scene.lit(metal, scale)
    )
    head = oval(box, tip, y - height + half, max(1.3, 0.3 * scale), max(0.9, 0.12 * scale))
    scene.canvas.paint(box, soft(head), LAMPLIGHT if scene.light.lamps else scene.lit(METALS[3], scale, 1.2))
    if scene.light.lamps:
        scene.glow(tip, y - height + 1, 2.2 * scale, 0.75)


def bollards(scene: Scene, x: float, y: float) -> None:
    """Draw a row of three to five bollards."""
    scale, metal = scene.scale(y), scene.rng.pick(METALS)
    scene.canvas.begin(POLE)
    for step in range(scene.rng.whole(3, 5)):
        _post(scene, x + step * 1.5 * scale, y, 1.0 * scale, metal, 0.16)


def sign(scene: Scene, x: float, y: float) -> None:
    """Draw a sign, the rare class: a round, triangular or square board on a post."""
    canvas, rng, scale = scene.canvas, scene.rng, scene.scale(y)
    height, radius = rng.between(2.3, 3.0) * scale, max(3.0, 0.55 * scale)
    canvas.begin(POLE)
    _post(scene, x, y, height, METALS[1])
    canvas.begin(SIGN)
    top = y - height
    box = scene.box(x - radius - 2, top - radius - 2, x + radius + 2, top + radius + 2)
    shapes = (
        lambda r: oval(box, x, top, r, r),
        lambda r: convex(box, [(x - r, top + r * 0.8), (x, top - r), (x + r, top + r * 0.8)]),
        lambda r: block(box, x - r * 0.85, top - r * 0.85, x + r * 0.85, top + r * 0.85),
    )
    shape = rng.pick(shapes)
    rim, field = (
        scene.lit(scene.surface(), scale, 1.1),
        scene.lit(rng.pick((SURFACES[9], SURFACES[2], SURFACES[5])), scale, 1.1),
    )
    canvas.paint(box, soft(shape(radius)), rim)
    canvas.paint(box, soft(shape(radius * 0.68)), field)
    canvas.paint(
        box, soft(block(box, x - radius * 0.12, top - radius * 0.35, x + radius * 0.12, top + radius * 0.4)), rim
    )
