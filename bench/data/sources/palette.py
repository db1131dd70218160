"""Class colours that colour-blind readers can tell apart, too."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

# Found by greedy search over RGB: each colour maximises its smallest OKLab distance to the earlier ones, under normal
# vision and under simulated protanopia and deuteranopia (Machado, Oliveira and Fernandes 2009).
_DISTINCT: tuple[tuple[int, int, int], ...] = (
    (75, 75, 105), (255, 150, 0), (180, 135, 255), (195, 240, 255), (0, 0, 240),
    (150, 105, 0), (255, 75, 150), (240, 240, 105), (45, 60, 0), (60, 0, 150),
    (165, 195, 240), (180, 210, 165), (90, 90, 180), (45, 105, 255), (60, 90, 45),
    (60, 45, 90), (45, 150, 120), (225, 120, 30), (90, 150, 195), (210, 240, 180),
)  # fmt: skip


def colors(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return RGB 0..255 of the first `count` classes. After the 20 listed, hues advance by the golden angle."""
    return tuple(_DISTINCT[i] if i < len(_DISTINCT) else _generated(i) for i in range(count))


def told_apart(shown: Sequence[tuple[int, int, int]]) -> tuple[tuple[int, int, int], ...]:
    """Return the colors with repeated ones replaced: the first class keeps its color, later ones get new colors.

    Mapillary Vistas 2.0, for example, has nine labels in white.
    """
    spare = iter(dict.fromkeys(color for color in colors(4 * len(shown)) if color not in shown))
    found: list[tuple[int, int, int]] = []
    for color in shown:
        found.append(color if color not in found else next(spare))
    return tuple(found)


def voc(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return RGB 0..255 of the first `count` indices of PASCAL VOC, as its development kit defines them.

    The bits of the index go to red, green and blue in turn, from the highest bit of a channel down.
    """

    def part(index: int, channel: int) -> int:
        return sum((index >> 3 * step + channel & 1) << 7 - step for step in range(3))

    return tuple((part(index, 0), part(index, 1), part(index, 2)) for index in range(count))


def _generated(index: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hls_to_rgb(index * 0.618034 % 1, (0.4, 0.6, 0.75)[index % 3], 0.65)
    return round(red * 255), round(green * 255), round(blue * 255)
