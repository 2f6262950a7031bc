"""The pen that the generator of pictures draws with, and its colours."""

import colorsys
import math
import random
from collections.abc import Sequence

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]


class Pen:
    """Draws in a scene's own units (y up) on a canvas whose pixels it alone knows."""

    def __init__(
        self, image: Image.Image, origin: Point, scale: float, angle: float = 0.0, *, mirrored: bool = False
    ) -> None:
        self._draw = ImageDraw.Draw(image)
        self._origin, self._scale, self._mirrored = origin, scale, mirrored
        self._cos, self._sin = math.cos(angle), math.sin(angle)

    def _pixel(self, point: Point) -> Point:
        x, y = (-point[0] if self._mirrored else point[0]), point[1]
        along, up = x * self._cos - y * self._sin, x * self._sin + y * self._cos
        return self._origin[0] + along * self._scale, self._origin[1] - up * self._scale

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """Draw a polyline with round joints and ends."""
        pixels = [self._pixel(p) for p in points]
        thickness = max(1.0, width * self._scale)
        self._draw.line(pixels, fill=colour, width=round(thickness), joint="curve")
        for x, y in pixels if thickness > 3 else ():
            half = thickness / 2
            self._draw.ellipse((x - half, y - half, x + half, y + half), fill=colour)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        self._draw.polygon([self._pixel(p) for p in points], fill=colour)

    def rectangle(self, low: Point, high: Point, colour: Colour) -> None:
        self.polygon([low, (high[0], low[1]), high, (low[0], high[1])], colour)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        self.oval(centre, radius, radius, colour)

    def ring(self, centre: Point, radius: float, width: float, colour: Colour) -> None:
        """Draw a circle's line; `radius` is its outer edge."""
        x, y = self._pixel(centre)
        r = radius * self._scale
        self._draw.ellipse(
            (x - r, y - r, x + r, y + r), outline=colour, width=max(1, round(width * self._scale))
        )

    def oval(self, centre: Point, across: float, up: float, colour: Colour, tilt: float = 0.0) -> None:
        steps = [i * math.tau / 40 for i in range(40)]
        c, s = math.cos(tilt), math.sin(tilt)
        shape = [(across * math.cos(t), up * math.sin(t)) for t in steps]
        self.polygon([(centre[0] + x * c - y * s, centre[1] + x * s + y * c) for x, y in shape], colour)

    def arc(
        self, centre: Point, radius: float, degrees: tuple[float, float], width: float, colour: Colour
    ) -> None:
        """Draw part of a circle between two angles, counter-clockwise from the right."""
        start, end = degrees
        turns = [math.radians(start + (end - start) * i / 14) for i in range(15)]
        self.line(
            [(centre[0] + radius * math.cos(t), centre[1] + radius * math.sin(t)) for t in turns],
            width,
            colour,
        )

    def spokes(self, hub: Point, radius: float, count: int, width: float, colour: Colour) -> None:
        for i in range(count):
            turn = math.tau * i / count + 0.2
            self.line(
                [hub, (hub[0] + radius * math.cos(turn), hub[1] + radius * math.sin(turn))], width, colour
            )


def colour(
    rng: random.Random, value: tuple[float, float] = (0.2, 1.0), saturation: tuple[float, float] = (0.1, 1.0)
) -> Colour:
    """A random colour; value and saturation are ranges within 0..1."""
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    return round(255 * rgb[0]), round(255 * rgb[1]), round(255 * rgb[2])


def grey(rng: random.Random, low: int, high: int) -> Colour:
    """A random, slightly bluish grey."""
    level = rng.randint(low, high)
    return level, level, min(255, level + rng.randint(0, 8))


def mixed(a: Colour, b: Colour, share: float) -> Colour:
    """`share` of the way from a to b."""
    r, g, b_ = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return r, g, b_
