"""Drawn pictures of bicycles, motorcycles and other things, from a seed, with Pillow alone.

They let the demo run without a download and are trained on beside the real pictures.
"""

import colorsys
import math
import random
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Point = tuple[float, float]

LABELS = ("bicycle", "motorcycle", "other", "ambiguous")
MAX_SIZE = 4096
_SMALLEST_CANVAS = 448


class Pen:
    """Draws in a scene's own units (y up) on a canvas whose pixels it alone knows."""

    def __init__(self, image: Image.Image, origin: Point, scale: float, angle: float, mirrored: bool) -> None:
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

    def arc(self, centre: Point, radius: float, degrees: tuple[float, float], width: float, colour: Colour) -> None:
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
            self.line([hub, (hub[0] + radius * math.cos(turn), hub[1] + radius * math.sin(turn))], width, colour)


def draw(label: str, seed: int, size: int = 256) -> Image.Image:
    """Draw one picture.

    Args:
        label: one of LABELS; "ambiguous" is half bicycle, half motorcycle.
        seed: the same label, seed and size give the same pixels (for one release of Pillow).
        size: width and height in pixels, 8 to MAX_SIZE.

    Raises:
        ValueError: unknown label or size out of range.
    """
    if label not in LABELS:
        raise ValueError(f"unknown label {label!r}: choose one of {', '.join(LABELS)}")
    if not 8 <= size <= MAX_SIZE:
        raise ValueError(f"size is {size} pixels: choose 8 to {MAX_SIZE}")
    rng = random.Random(f"{label}-{seed}")
    factor = max(1, math.ceil(_SMALLEST_CANVAS / size))
    image = _background(rng, size * factor)
    if label == "other":
        thing = rng.choice(sorted(THINGS))
        THINGS[thing](_thing_pen(rng, image), rng)
    else:
        vehicles = {"bicycle": _bicycle, "motorcycle": _motorcycle, "ambiguous": _moped}
        vehicles[label](_vehicle_pen(rng, image), rng)
    if rng.random() < 0.15:
        image = image.filter(ImageFilter.GaussianBlur(image.width * rng.uniform(0.002, 0.006)))
    return image.resize((size, size), Image.Resampling.LANCZOS) if factor > 1 else image


def _colour(
    rng: random.Random, value: tuple[float, float] = (0.2, 1.0), saturation: tuple[float, float] = (0.1, 1.0)
) -> Colour:
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    return round(255 * rgb[0]), round(255 * rgb[1]), round(255 * rgb[2])


def _grey(rng: random.Random, low: int, high: int) -> Colour:
    level = rng.randint(low, high)
    return level, level, min(255, level + rng.randint(0, 8))


def _mixed(a: Colour, b: Colour, share: float) -> Colour:
    r, g, b_ = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return r, g, b_


def _vehicle_pen(rng: random.Random, image: Image.Image) -> Pen:
    side = image.width
    scale = side * rng.uniform(0.40, 0.56)
    origin = side * rng.uniform(0.46, 0.54), side * rng.uniform(0.72, 0.88)
    return Pen(image, origin, scale, math.radians(rng.gauss(0, 4)), rng.random() < 0.5)


def _thing_pen(rng: random.Random, image: Image.Image) -> Pen:
    side = image.width
    origin = side * rng.uniform(0.42, 0.58), side * rng.uniform(0.80, 0.92)
    return Pen(
        image, origin, side * rng.uniform(0.55, 0.85), math.radians(rng.gauss(0, 4)), rng.random() < 0.5
    )


def _background(rng: random.Random, side: int) -> Image.Image:
    kind = rng.choice(("plain", "plain", "fade", "fade", "outdoors", "outdoors", "street", "wall", "blobs"))
    pale = _grey(rng, 200, 255) if rng.random() < 0.5 else _colour(rng, (0.55, 1.0), (0.05, 0.5))
    image = Image.new("RGB", (side, side), pale)
    pen = Pen(image, (0.0, float(side)), float(side), 0.0, False)
    if kind == "fade":
        other = _colour(rng, (0.4, 1.0), (0.05, 0.6))
        for i in range(48):
            pen.rectangle((0, i / 48), (1, (i + 1) / 48), _mixed(other, pale, i / 47))
    elif kind == "outdoors":
        _outdoors(pen, rng)
    elif kind == "street":
        _street(pen, rng)
    elif kind == "wall":
        _wall(pen, rng, pale)
    elif kind == "blobs":
        for _ in range(rng.randint(5, 14)):
            shade = _mixed(pale, _colour(rng), rng.uniform(0.1, 0.5))
            pen.oval((rng.random(), rng.random()), rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.3), shade)
        image.paste(image.filter(ImageFilter.GaussianBlur(side * 0.02)))
    return image


def _outdoors(pen: Pen, rng: random.Random) -> None:
    sky, horizon = _mixed((120, 180, 235), (250, 235, 215), rng.random()), rng.uniform(0.2, 0.5)
    pen.rectangle((0, 0), (1, 1), sky)
    for _ in range(rng.randint(0, 4)):
        hill = _mixed((70, 120, 70), sky, rng.uniform(0.1, 0.6))
        pen.oval((rng.random(), horizon), rng.uniform(0.2, 0.5), rng.uniform(0.05, 0.2), hill)
    pen.rectangle((0, 0), (1, horizon), _mixed((80, 150, 60), (190, 170, 120), rng.random()))
    for _ in range(rng.randint(0, 3)):
        x, height = rng.random(), rng.uniform(0.15, 0.4)
        pen.rectangle((x - 0.012, horizon - 0.05), (x + 0.012, horizon + height), (100, 75, 50))
        pen.disc(
            (x, horizon + height),
            rng.uniform(0.07, 0.15),
            _mixed((40, 110, 50), (120, 160, 60), rng.random()),
        )


def _street(pen: Pen, rng: random.Random) -> None:
    kerb, x = rng.uniform(0.22, 0.4), -0.1
    pen.rectangle((0, 0), (1, 1), _mixed((140, 190, 235), (225, 225, 225), rng.random()))
    while x < 1:
        width, front = rng.uniform(0.15, 0.35), _colour(rng, (0.4, 0.95), (0.05, 0.4))
        top = rng.uniform(0.6, 1.0)
        pen.rectangle((x, kerb), (x + width, top), front)
        for column in (0.2, 0.6):
            for row in range(3):
                left, low = x + width * column, kerb + 0.1 + row * 0.16
                pen.rectangle(
                    (left, low), (left + width * 0.2, low + 0.09), _mixed(front, (50, 70, 100), 0.6)
                )
        x += width
    pen.rectangle((0, 0), (1, kerb), _grey(rng, 90, 190))


def _wall(pen: Pen, rng: random.Random, colour: Colour) -> None:
    rows, joint = rng.randint(7, 14), _mixed(colour, _grey(rng, 60, 250), 0.45)
    for row in range(rows + 1):
        pen.line([(0, row / rows), (1, row / rows)], 0.006, joint)
        for column in range(6):
            x = (column + 0.5 * (row % 2)) / 5
            pen.line([(x, row / rows), (x, (row + 1) / rows)], 0.006, joint)
    pen.rectangle((0, 0), (1, rng.uniform(0.1, 0.25)), _grey(rng, 90, 210))


def _rider(pen: Pen, rng: random.Random, seat: Point, hands: Point, foot: Point, helmet: bool) -> None:
    shirt, trousers, skin = (
        _colour(rng),
        _colour(rng, (0.1, 0.6)),
        _mixed((245, 210, 180), (95, 60, 40), rng.random()),
    )
    hip = seat[0], seat[1] + 0.06
    lean = rng.uniform(0.35, 0.7)
    shoulder = hip[0] + 0.42 * (hands[0] - hip[0]) * lean + 0.08, hip[1] + 0.42
    knee = (hip[0] + foot[0]) / 2 + 0.2, (hip[1] + foot[1]) / 2 + 0.1
    pen.line([hip, knee, foot], 0.11, trousers)
    pen.line([foot, (foot[0] + 0.1, foot[1] - 0.01)], 0.06, _grey(rng, 10, 90))
    pen.line([hip, shoulder], 0.2, shirt)
    elbow = (shoulder[0] + hands[0]) / 2, (shoulder[1] + hands[1]) / 2 - 0.06
    pen.line([shoulder, elbow, hands], 0.075, _mixed(shirt, skin, rng.choice((0.0, 1.0))))
    head = shoulder[0] + 0.08, shoulder[1] + 0.19
    pen.disc(head, 0.105, skin)
    if helmet:
        pen.disc((head[0] - 0.01, head[1] + 0.02), 0.125, _colour(rng))
        pen.oval((head[0] + 0.07, head[1]), 0.06, 0.045, _grey(rng, 20, 90))
    else:
        pen.arc((head[0], head[1] + 0.01), 0.09, (20, 200), 0.06, _colour(rng, (0.1, 0.5)))


def _bicycle(pen: Pen, rng: random.Random) -> None:
    wheel, base = rng.uniform(0.31, 0.38), rng.uniform(0.98, 1.14)
    rear, front = (-base / 2, wheel), (base / 2, wheel)
    tube, paint, dark = rng.uniform(0.028, 0.05), _colour(rng), _grey(rng, 5, 70)
    metal, tyre = _grey(rng, 110, 220), rng.uniform(0.022, 0.05)
    for hub in (rear, front):
        pen.spokes(hub, wheel, rng.choice((12, 16, 20, 24)), 0.006, metal)
        pen.ring(hub, wheel, tyre, dark)
        if rng.random() < 0.5:
            pen.ring(hub, wheel - tyre, 0.012, metal)
        pen.disc(hub, 0.03, metal)
    crank = -base * 0.08, wheel - 0.05
    saddle = crank[0] - 0.13, crank[1] + rng.uniform(0.5, 0.6)
    head = base * 0.36, crank[1] + rng.uniform(0.5, 0.6)
    low_head = head[0] + 0.045, head[1] - 0.14
    seat_joint = crank[0] - 0.1, crank[1] + 0.42
    pen.line([low_head, front], tube * 0.9, _mixed(paint, metal, rng.choice((0.0, 0.8))))
    pen.line([rear, crank, seat_joint, rear], tube * 0.8, paint)
    step_through = rng.random() < 0.25
    pen.line([low_head, crank], tube, paint)
    pen.line([head, (crank[0] - 0.03, crank[1] + 0.12) if step_through else seat_joint], tube, paint)
    pen.line([head, low_head], tube * 1.2, paint)
    pen.line([seat_joint, saddle], tube * 0.7, metal)
    pen.line([(saddle[0] - 0.11, saddle[1] + 0.01), (saddle[0] + 0.1, saddle[1])], 0.05, dark)
    hands = _handlebar(pen, rng, head, dark)
    pen.ring(crank, 0.075, 0.02, metal)
    pen.line([(crank[0], crank[1] + 0.07), (rear[0], rear[1] + 0.035)], 0.008, dark)
    pedal = crank[0] + 0.1, crank[1] - 0.13
    pen.line([(crank[0] - 0.1, crank[1] + 0.13), crank, pedal], 0.022, metal)
    pen.line([(pedal[0] - 0.05, pedal[1]), (pedal[0] + 0.05, pedal[1])], 0.03, dark)
    if rng.random() < 0.3:
        for hub in (rear, front):
            pen.arc(hub, wheel + 0.025, (20, 165), 0.02, paint)
    if rng.random() < 0.15:
        basket = _colour(rng, (0.4, 0.8), (0.3, 0.6))
        pen.polygon([(head[0] + 0.06, head[1] + 0.1), (head[0] + 0.36, head[1] + 0.1),
                     (head[0] + 0.32, head[1] - 0.1), (head[0] + 0.1, head[1] - 0.1)], basket)  # fmt: skip
    if rng.random() < 0.22:
        _rider(pen, rng, saddle, hands, pedal, rng.random() < 0.4)


def _handlebar(pen: Pen, rng: random.Random, head: Point, dark: Colour) -> Point:
    grip = head[0] + rng.uniform(0.0, 0.1), head[1] + rng.uniform(0.08, 0.16)
    pen.line([head, (head[0] - 0.02, grip[1]), grip], 0.025, dark)
    if rng.random() < 0.4:
        pen.arc((grip[0], grip[1] - 0.07), 0.07, (90, -90), 0.028, dark)
    else:
        pen.line([grip, (grip[0] - rng.uniform(0.05, 0.2), grip[1] + 0.03)], 0.032, dark)
    return grip


def _motorcycle(pen: Pen, rng: random.Random) -> None:
    wheel, base = rng.uniform(0.27, 0.33), rng.uniform(1.15, 1.32)
    rear, front = (-base / 2, wheel), (base / 2, wheel)
    paint, dark, metal = _colour(rng), _grey(rng, 5, 55), _grey(rng, 120, 225)
    for hub, tyre in ((rear, rng.uniform(0.1, 0.14)), (front, rng.uniform(0.08, 0.12))):
        pen.disc(hub, wheel, dark)
        pen.disc(hub, wheel - tyre, _grey(rng, 90, 200) if rng.random() < 0.6 else _grey(rng, 40, 110))
        pen.spokes(hub, wheel - tyre, rng.choice((5, 6, 10)), 0.03, metal if rng.random() < 0.5 else dark)
        pen.disc(hub, 0.07, metal)
    head = base * 0.27, wheel + 0.5
    pen.line([(head[0] - 0.02, head[1] + 0.08), front], rng.uniform(0.05, 0.075), metal)
    pen.line([rear, (-0.05, wheel + 0.02)], 0.07, dark)
    pen.polygon(
        [(-0.28, wheel - 0.1), (0.22, wheel - 0.12), (0.3, wheel + 0.26), (-0.25, wheel + 0.28)], dark
    )
    _engine(pen, rng, wheel, metal)
    pen.line([(0.2, wheel), (0.1, wheel - 0.16), (-0.45, wheel - 0.14)], 0.05, metal)
    pen.line([(-0.35, wheel - 0.13), (-base / 2 - 0.12, wheel - rng.uniform(0.0, 0.1))], 0.1, metal)
    style = rng.choice(("road", "sport", "cruiser"))
    seat = _motorcycle_body(pen, rng, style, base, wheel, head, (paint, dark, metal))
    grip = head[0] - rng.uniform(0.05, 0.16), head[1] + rng.uniform(0.18, 0.3)
    pen.line([head, (head[0] + 0.0, head[1] + 0.12), grip], 0.045, dark)
    pen.disc((head[0] + 0.13, head[1] + 0.04), 0.085, metal)
    pen.disc((head[0] + 0.16, head[1] + 0.04), 0.06, (250, 245, 200))
    pen.arc(front, wheel + 0.04, (35, 145), 0.06, paint)
    if rng.random() < 0.3:
        _rider(pen, rng, seat, grip, (0.0, wheel - 0.1), True)


def _engine(pen: Pen, rng: random.Random, wheel: float, metal: Colour) -> None:
    pen.disc((-0.1, wheel - 0.02), 0.14, metal)
    pen.disc((-0.1, wheel - 0.02), 0.08, _mixed(metal, (30, 30, 30), 0.4))
    tilt = rng.uniform(-0.05, 0.12)
    for i in range(5):
        y = wheel + 0.06 + i * 0.045
        pen.line([(0.02 + tilt * i * 0.3, y), (0.2 + tilt * i * 0.3, y)], 0.028, metal)


def _motorcycle_body(
    pen: Pen,
    rng: random.Random,
    style: str,
    base: float,
    wheel: float,
    head: Point,
    colours: tuple[Colour, Colour, Colour],
) -> Point:
    paint, dark, metal = colours
    tail = -base / 2 - (0.05 if style == "cruiser" else 0.15)
    rise = {"road": 0.02, "sport": 0.16, "cruiser": -0.06}[style]
    seat_y = wheel + (0.28 if style == "cruiser" else 0.38)
    pen.polygon([(0.0, seat_y - 0.1), (-0.1, seat_y + 0.06), (-0.35, seat_y + 0.06), (tail, seat_y + rise + 0.1),
                 (tail - 0.02, seat_y + rise), (-0.3, seat_y - 0.1)], dark)  # fmt: skip
    pen.line([(tail, seat_y + rise), (-base / 2 + 0.25, seat_y - 0.04)], 0.07, paint)
    pen.oval((0.13, wheel + 0.42), 0.27, 0.135, paint, tilt=0.22)
    pen.oval((0.1, wheel + 0.47), 0.14, 0.04, _mixed(paint, (255, 255, 255), 0.4), tilt=0.22)
    if style == "sport":
        pen.polygon([(head[0] + 0.24, head[1] - 0.02), (head[0] + 0.06, head[1] + 0.26), (head[0] - 0.06, head[1] + 0.1),
                     (0.0, wheel + 0.2), (0.1, wheel - 0.08), (head[0] + 0.04, wheel + 0.18)], paint)  # fmt: skip
    if style == "cruiser":
        pen.arc((-base / 2, wheel), wheel + 0.05, (20, 165), 0.07, paint)
        pen.line([(-0.02, wheel - 0.02), (-base / 2 - 0.2, wheel - 0.02)], 0.07, metal)
    return -0.2, seat_y + 0.06


def _moped(pen: Pen, rng: random.Random) -> None:
    """A bicycle's wheels, frame and pedals with a motorcycle's tank, motor and exhaust."""
    wheel, base = rng.uniform(0.3, 0.34), rng.uniform(1.06, 1.18)
    rear, front = (-base / 2, wheel), (base / 2, wheel)
    paint, dark, metal = _colour(rng), _grey(rng, 5, 60), _grey(rng, 110, 220)
    for hub in (rear, front):
        pen.spokes(hub, wheel, rng.choice((12, 16)), 0.012, metal)
        pen.ring(hub, wheel, rng.uniform(0.06, 0.075), dark)
        pen.disc(hub, 0.05, metal)
    crank = -0.08, wheel - 0.05
    head, saddle = (base * 0.33, crank[1] + 0.55), (-0.28, crank[1] + 0.52)
    pen.line([head, front], 0.05, metal)
    pen.line([rear, crank, (-0.22, crank[1] + 0.38), rear], 0.042, paint)
    pen.line([head, crank], 0.055, paint)
    pen.line([head, (-0.2, crank[1] + 0.38), saddle], 0.05, paint)
    pen.oval((0.08, crank[1] + 0.44), 0.2, 0.08, paint, tilt=0.2)
    pen.polygon(
        [(-0.18, crank[1] - 0.02), (0.1, crank[1] - 0.04), (0.15, crank[1] + 0.2), (-0.15, crank[1] + 0.2)],
        dark,
    )
    pen.disc((-0.05, crank[1] + 0.04), 0.09, metal)
    pen.line([(0.08, crank[1]), (-0.1, crank[1] - 0.1), (-base / 2 - 0.05, wheel - 0.1)], 0.045, metal)
    pen.line([(saddle[0] - 0.18, saddle[1] + 0.02), (saddle[0] + 0.14, saddle[1])], 0.08, dark)
    grip = head[0] - 0.05, head[1] + 0.18
    pen.line([head, (head[0] + 0.02, head[1] + 0.1), grip], 0.035, dark)
    pen.disc((head[0] + 0.09, head[1] + 0.05), 0.06, metal)
    pen.line([(crank[0] - 0.09, crank[1] + 0.1), crank, (crank[0] + 0.1, crank[1] - 0.12)], 0.022, metal)


def _car(pen: Pen, rng: random.Random) -> None:
    paint, glass, tall = (
        _colour(rng),
        _mixed((170, 210, 235), (50, 60, 80), rng.random()),
        rng.uniform(0.2, 0.32),
    )
    pen.polygon([(-0.3, 0.3), (-0.18, 0.3 + tall), (0.14, 0.3 + tall), (0.32, 0.3)], paint)
    pen.polygon([(-0.24, 0.31), (-0.15, 0.27 + tall), (-0.03, 0.27 + tall), (-0.03, 0.31)], glass)
    pen.polygon([(0.0, 0.31), (0.0, 0.27 + tall), (0.12, 0.27 + tall), (0.25, 0.31)], glass)
    pen.rectangle((-0.5, 0.1), (0.5, 0.32), paint)
    for x in (-0.3, 0.3):
        pen.disc((x, 0.1), 0.11, _grey(rng, 5, 50))
        pen.disc((x, 0.1), 0.055, _grey(rng, 120, 220))


def _bus(pen: Pen, rng: random.Random) -> None:
    paint, glass = _colour(rng), _mixed((170, 210, 235), (50, 60, 80), rng.random())
    pen.rectangle((-0.5, 0.1), (0.5, 0.65), paint)
    for i in range(5):
        pen.rectangle((-0.46 + i * 0.19, 0.38), (-0.32 + i * 0.19, 0.58), glass)
    for x in (-0.3, 0.3):
        pen.disc((x, 0.1), 0.1, _grey(rng, 5, 50))


def _house(pen: Pen, rng: random.Random) -> None:
    wall, roof = _colour(rng, (0.6, 1.0), (0.1, 0.5)), _colour(rng, (0.3, 0.7))
    pen.rectangle((-0.4, 0), (0.4, 0.5), wall)
    pen.polygon([(-0.47, 0.5), (0, rng.uniform(0.75, 0.95)), (0.47, 0.5)], roof)
    pen.rectangle((-0.07, 0), (0.09, 0.28), _colour(rng, (0.2, 0.6)))
    for x in (-0.26, 0.26):
        pen.rectangle((x - 0.08, 0.22), (x + 0.08, 0.38), (180, 215, 240))


def _tree(pen: Pen, rng: random.Random) -> None:
    green = _mixed((30, 110, 40), (150, 170, 50), rng.random())
    pen.rectangle((-0.06, 0), (0.06, 0.45), (110, 78, 50))
    if rng.random() < 0.4:
        for i in range(3):
            pen.polygon(
                [(-0.34 + i * 0.07, 0.2 + i * 0.2), (0, 0.55 + i * 0.2), (0.34 - i * 0.07, 0.2 + i * 0.2)],
                green,
            )
        return
    for _ in range(7):
        spot = rng.uniform(-0.22, 0.22), rng.uniform(0.45, 0.75)
        pen.disc(spot, rng.uniform(0.12, 0.22), _mixed(green, (20, 60, 20), rng.uniform(0, 0.4)))


def _face(pen: Pen, rng: random.Random) -> None:
    skin = _mixed((245, 210, 180), (95, 60, 40), rng.random())
    pen.oval((0, 0.5), 0.3, 0.4, _colour(rng, (0.1, 0.6)))
    pen.oval((0, 0.45), 0.27, 0.36, skin)
    for x in (-0.11, 0.11):
        pen.oval((x, 0.53), 0.05, 0.035, (250, 250, 250))
        pen.disc((x, 0.53), 0.025, _colour(rng, (0.2, 0.5)))
        if rng.random() < 0.3:
            pen.ring((x, 0.53), 0.09, 0.015, (30, 30, 30))
    pen.line([(0, 0.5), (0.03, 0.4), (0, 0.39)], 0.015, _mixed(skin, (60, 30, 20), 0.4))
    pen.arc((0, 0.33), 0.1, (200, 340), 0.025, (170, 50, 60))


def _flower(pen: Pen, rng: random.Random) -> None:
    petal, count = _colour(rng, (0.6, 1.0), (0.3, 1.0)), rng.randint(5, 9)
    pen.line([(0, 0), (rng.uniform(-0.1, 0.1), 0.3), (0, 0.6)], 0.035, (50, 130, 50))
    pen.oval((0.12, 0.25), 0.14, 0.05, (60, 145, 60), tilt=0.5)
    for i in range(count):
        turn = math.tau * i / count
        pen.oval((0.17 * math.cos(turn), 0.65 + 0.17 * math.sin(turn)), 0.15, 0.08, petal, tilt=turn)
    pen.disc((0, 0.65), 0.09, (240, 200, 50))


def _boat(pen: Pen, rng: random.Random) -> None:
    pen.rectangle((-2, -1), (2, 0.12), _mixed((40, 100, 170), (110, 190, 210), rng.random()))
    pen.polygon([(-0.45, 0.24), (0.48, 0.24), (0.32, 0.06), (-0.34, 0.06)], _colour(rng))
    pen.line([(0, 0.24), (0, 0.85)], 0.025, (90, 65, 45))
    pen.polygon([(0.03, 0.3), (0.03, 0.83), (0.38, 0.32)], _colour(rng, (0.8, 1.0), (0.0, 0.5)))
    pen.polygon([(-0.03, 0.32), (-0.03, 0.75), (-0.28, 0.34)], _colour(rng, (0.8, 1.0), (0.0, 0.5)))


def _fish(pen: Pen, rng: random.Random) -> None:
    body = _colour(rng, (0.4, 1.0), (0.3, 1.0))
    pen.polygon([(-0.28, 0.42), (-0.5, 0.6), (-0.47, 0.42), (-0.5, 0.24)], _mixed(body, (20, 20, 60), 0.3))
    pen.oval((0, 0.42), 0.36, rng.uniform(0.14, 0.24), body)
    for x in (-0.1, 0.02, 0.12):
        pen.line([(x, 0.34), (x + 0.03, 0.42), (x, 0.5)], 0.025, _mixed(body, (255, 255, 255), 0.4))
    pen.disc((0.24, 0.47), 0.04, (250, 250, 250))
    pen.disc((0.25, 0.47), 0.02, (20, 20, 20))


def _cat(pen: Pen, rng: random.Random) -> None:
    fur = _mixed(_grey(rng, 30, 230), (200, 130, 60), rng.random() * 0.7)
    pen.arc((0.3, 0.2), 0.2, (-60, 120), 0.06, fur)
    pen.oval((0, 0.25), 0.26, 0.28, fur)
    pen.disc((0, 0.62), 0.2, fur)
    for x in (-1, 1):
        pen.polygon([(x * 0.19, 0.66), (x * 0.17, 0.9), (x * 0.04, 0.78)], fur)
        pen.disc((x * 0.08, 0.65), 0.035, (200, 220, 90))
        pen.disc((x * 0.08, 0.65), 0.015, (20, 20, 20))
        pen.line([(x * 0.04, 0.56), (x * 0.27, 0.54 + rng.uniform(-0.02, 0.04))], 0.008, (240, 240, 240))
    pen.polygon([(-0.03, 0.59), (0.03, 0.59), (0, 0.55)], (220, 120, 130))


def _chair(pen: Pen, rng: random.Random) -> None:
    wood = _colour(rng, (0.3, 0.8), (0.2, 0.7))
    for x in (-0.25, 0.22):
        pen.line([(x, 0), (x, 0.4)], 0.045, wood)
    pen.line([(-0.25, 0.4), (-0.3, 0.9)], 0.045, wood)
    pen.line([(-0.14, 0.1), (-0.12, 0.4)], 0.035, _mixed(wood, (0, 0, 0), 0.3))
    pen.line([(-0.28, 0.4), (0.28, 0.4)], 0.07, wood)
    for y in (0.6, 0.72, 0.84):
        pen.line([(-0.29, y), (-0.12, y + 0.02)], 0.035, wood)


def _clock(pen: Pen, rng: random.Random) -> None:
    pen.disc((0, 0.45), 0.4, _colour(rng))
    pen.disc((0, 0.45), 0.34, (245, 245, 240))
    for i in range(12):
        turn = math.tau * i / 12
        pen.line([(0.28 * math.cos(turn), 0.45 + 0.28 * math.sin(turn)),
                  (0.32 * math.cos(turn), 0.45 + 0.32 * math.sin(turn))], 0.02, (30, 30, 30))  # fmt: skip
    for length in (0.16, 0.25):
        turn = rng.uniform(0, math.tau)
        pen.line([(0, 0.45), (length * math.cos(turn), 0.45 + length * math.sin(turn))], 0.03, (20, 20, 20))


def _racket(pen: Pen, rng: random.Random) -> None:
    string, frame = _grey(rng, 120, 240), _colour(rng)
    for i in range(-4, 5):
        half = math.sqrt(1 - (i / 5) ** 2)
        pen.line([(i * 0.045, 0.65 - 0.3 * half), (i * 0.045, 0.65 + 0.3 * half)], 0.006, string)
        pen.line([(-0.23 * half, 0.65 + i * 0.06), (0.23 * half, 0.65 + i * 0.06)], 0.006, string)
    turns = [math.tau * i / 40 for i in range(41)]
    pen.line([(0.23 * math.cos(t), 0.65 + 0.31 * math.sin(t)) for t in turns], 0.03, frame)
    pen.line([(0, 0.34), (0, 0.0)], 0.045, frame)


def _glasses(pen: Pen, rng: random.Random) -> None:
    frame, radius = _grey(rng, 10, 120) if rng.random() < 0.6 else _colour(rng), rng.uniform(0.15, 0.2)
    for x in (-0.24, 0.24):
        pen.disc((x, 0.45), radius - 0.02, _mixed((200, 220, 235), (60, 60, 70), rng.random()))
        pen.ring((x, 0.45), radius, 0.03, frame)
        pen.line([(x * 1.75, 0.5), (x * 2.1, 0.58)], 0.03, frame)
    pen.arc((0, 0.44), 0.09, (20, 160), 0.03, frame)


def _stick_figure(pen: Pen, rng: random.Random) -> None:
    colour, arm = _colour(rng, (0.1, 0.6)), rng.uniform(-0.1, 0.25)
    pen.ring((0, 0.85), 0.1, 0.035, colour)
    pen.line([(0, 0.75), (0, 0.38)], 0.04, colour)
    pen.line([(-0.2, 0.0), (0, 0.38), (0.2, 0.0)], 0.04, colour)
    pen.line([(-0.25, 0.55 + arm), (0, 0.65), (0.25, 0.55 - arm)], 0.04, colour)


def _shapes(pen: Pen, rng: random.Random) -> None:
    for _ in range(rng.randint(3, 8)):
        spot, reach, colour = (
            (rng.uniform(-0.4, 0.4), rng.uniform(0, 0.9)),
            rng.uniform(0.05, 0.25),
            _colour(rng),
        )
        kind = rng.randrange(4)
        if kind == 0:
            pen.disc(spot, reach, colour)
        elif kind == 1:
            pen.rectangle(spot, (spot[0] + reach, spot[1] + reach * rng.uniform(0.3, 1.5)), colour)
        elif kind == 2:
            pen.polygon(
                [(spot[0] + rng.uniform(-reach, reach), spot[1] + rng.uniform(-reach, reach)) for _ in "abc"],
                colour,
            )
        else:
            pen.ring(spot, reach, rng.uniform(0.02, 0.06), colour)


def _scribble(pen: Pen, rng: random.Random) -> None:
    for _ in range(rng.randint(2, 5)):
        path = [(rng.uniform(-0.45, 0.45), rng.uniform(0.0, 0.9)) for _ in range(rng.randint(3, 8))]
        pen.line(path, rng.uniform(0.008, 0.05), _colour(rng))


def _nothing(pen: Pen, rng: random.Random) -> None:
    """The background alone."""


THINGS: dict[str, Callable[[Pen, random.Random], None]] = {
    "boat": _boat,
    "bus": _bus,
    "car": _car,
    "cat": _cat,
    "chair": _chair,
    "clock": _clock,
    "face": _face,
    "fish": _fish,
    "flower": _flower,
    "glasses": _glasses,
    "house": _house,
    "nothing": _nothing,
    "racket": _racket,
    "scribble": _scribble,
    "shapes": _shapes,
    "stick_figure": _stick_figure,
    "tree": _tree,
}
