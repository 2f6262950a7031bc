"""Drawn pictures of bicycles, motorcycles and other things, from a seed, with Pillow alone.

They let the demo run without a download and are trained on beside the real pictures.
"""

import math
import random

from PIL import Image, ImageFilter

from functions.common.shown import shown
from training_scripts.synthetic.canvas import Colour, Pen, colour, grey, mixed
from training_scripts.synthetic.distractors import THINGS
from training_scripts.synthetic.vehicles import bicycle, moped, motorcycle

LABELS = ("bicycle", "motorcycle", "other", "ambiguous")
MAX_SIZE = 4096
_SMALLEST_CANVAS = 448


def draw(label: str, seed: int, size: int = 256) -> Image.Image:
    """Draw one picture.

    Args:
        label: one of LABELS; "ambiguous" is a moped, between bicycle and motorcycle.
        seed: the same label, seed and size give the same pixels (for one release of Pillow).
        size: width and height in pixels, 8 to MAX_SIZE.

    Raises:
        ValueError: unknown label or size out of range.
    """
    if label not in LABELS:
        raise ValueError(f"unknown label {shown(label)}: choose one of {', '.join(LABELS)}")
    if not 8 <= size <= MAX_SIZE:
        raise ValueError(f"size is {size} pixels: choose 8 to {MAX_SIZE}")
    rng = random.Random(f"{label}-{seed}")  # noqa: S311 - reproducible on purpose
    factor = max(1, math.ceil(_SMALLEST_CANVAS / size))
    image = _background(rng, size * factor)
    if label == "other":
        thing = rng.choice(sorted(THINGS))
        THINGS[thing](_thing_pen(rng, image), rng)
    else:
        vehicles = {"bicycle": bicycle, "motorcycle": motorcycle, "ambiguous": moped}
        vehicles[label](_vehicle_pen(rng, image), rng)
    if rng.random() < 0.15:
        image = image.filter(ImageFilter.GaussianBlur(image.width * rng.uniform(0.002, 0.006)))
    return image.resize((size, size), Image.Resampling.LANCZOS) if factor > 1 else image


def _vehicle_pen(rng: random.Random, image: Image.Image) -> Pen:
    side = image.width
    scale = side * rng.uniform(0.40, 0.56)
    origin = side * rng.uniform(0.46, 0.54), side * rng.uniform(0.72, 0.88)
    return Pen(image, origin, scale, math.radians(rng.gauss(0, 4)), mirrored=rng.random() < 0.5)


def _thing_pen(rng: random.Random, image: Image.Image) -> Pen:
    side = image.width
    origin = side * rng.uniform(0.42, 0.58), side * rng.uniform(0.80, 0.92)
    return Pen(
        image,
        origin,
        side * rng.uniform(0.55, 0.85),
        math.radians(rng.gauss(0, 4)),
        mirrored=rng.random() < 0.5,
    )


def _background(rng: random.Random, side: int) -> Image.Image:
    kind = rng.choice(("plain", "plain", "fade", "fade", "outdoors", "outdoors", "street", "wall", "blobs"))
    pale = grey(rng, 200, 255) if rng.random() < 0.5 else colour(rng, (0.55, 1.0), (0.05, 0.5))
    image = Image.new("RGB", (side, side), pale)
    pen = Pen(image, (0.0, float(side)), float(side))
    if kind == "fade":
        other = colour(rng, (0.4, 1.0), (0.05, 0.6))
        for i in range(48):
            pen.rectangle((0, i / 48), (1, (i + 1) / 48), mixed(other, pale, i / 47))
    elif kind == "outdoors":
        _outdoors(pen, rng)
    elif kind == "street":
        _street(pen, rng)
    elif kind == "wall":
        _wall(pen, rng, pale)
    elif kind == "blobs":
        for _ in range(rng.randint(5, 14)):
            shade = mixed(pale, colour(rng), rng.uniform(0.1, 0.5))
            pen.oval((rng.random(), rng.random()), rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.3), shade)
        image.paste(image.filter(ImageFilter.GaussianBlur(side * 0.02)))
    return image


def _outdoors(pen: Pen, rng: random.Random) -> None:
    sky, horizon = mixed((120, 180, 235), (250, 235, 215), rng.random()), rng.uniform(0.2, 0.5)
    pen.rectangle((0, 0), (1, 1), sky)
    for _ in range(rng.randint(0, 4)):
        hill = mixed((70, 120, 70), sky, rng.uniform(0.1, 0.6))
        pen.oval((rng.random(), horizon), rng.uniform(0.2, 0.5), rng.uniform(0.05, 0.2), hill)
    pen.rectangle((0, 0), (1, horizon), mixed((80, 150, 60), (190, 170, 120), rng.random()))
    for _ in range(rng.randint(0, 3)):
        x, height = rng.random(), rng.uniform(0.15, 0.4)
        pen.rectangle((x - 0.012, horizon - 0.05), (x + 0.012, horizon + height), (100, 75, 50))
        pen.disc(
            (x, horizon + height),
            rng.uniform(0.07, 0.15),
            mixed((40, 110, 50), (120, 160, 60), rng.random()),
        )


def _street(pen: Pen, rng: random.Random) -> None:
    kerb, x = rng.uniform(0.22, 0.4), -0.1
    pen.rectangle((0, 0), (1, 1), mixed((140, 190, 235), (225, 225, 225), rng.random()))
    while x < 1:
        width, front = rng.uniform(0.15, 0.35), colour(rng, (0.4, 0.95), (0.05, 0.4))
        top = rng.uniform(0.6, 1.0)
        pen.rectangle((x, kerb), (x + width, top), front)
        for column in (0.2, 0.6):
            for row in range(3):
                left, low = x + width * column, kerb + 0.1 + row * 0.16
                pen.rectangle((left, low), (left + width * 0.2, low + 0.09), mixed(front, (50, 70, 100), 0.6))
        x += width
    pen.rectangle((0, 0), (1, kerb), grey(rng, 90, 190))


def _wall(pen: Pen, rng: random.Random, paint: Colour) -> None:
    rows, joint = rng.randint(7, 14), mixed(paint, grey(rng, 60, 250), 0.45)
    for row in range(rows + 1):
        pen.line([(0, row / rows), (1, row / rows)], 0.006, joint)
        for column in range(6):
            x = (column + 0.5 * (row % 2)) / 5
            pen.line([(x, row / rows), (x, (row + 1) / rows)], 0.006, joint)
    pen.rectangle((0, 0), (1, rng.uniform(0.1, 0.25)), grey(rng, 90, 210))
