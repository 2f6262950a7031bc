"""Draws what is neither bicycle nor motorcycle. Units: the picture is about 1.2 wide, and the ground is at y = 0."""

import math
import random
from collections.abc import Callable

from training_scripts.synthetic.canvas import Pen, colour, grey, mixed


def _car(pen: Pen, rng: random.Random) -> None:
    paint, glass, tall = (
        colour(rng),
        mixed((170, 210, 235), (50, 60, 80), rng.random()),
        rng.uniform(0.2, 0.32),
    )
    pen.polygon([(-0.3, 0.3), (-0.18, 0.3 + tall), (0.14, 0.3 + tall), (0.32, 0.3)], paint)
    pen.polygon([(-0.24, 0.31), (-0.15, 0.27 + tall), (-0.03, 0.27 + tall), (-0.03, 0.31)], glass)
    pen.polygon([(0.0, 0.31), (0.0, 0.27 + tall), (0.12, 0.27 + tall), (0.25, 0.31)], glass)
    pen.rectangle((-0.5, 0.1), (0.5, 0.32), paint)
    for x in (-0.3, 0.3):
        pen.disc((x, 0.1), 0.11, grey(rng, 5, 50))
        pen.disc((x, 0.1), 0.055, grey(rng, 120, 220))


def _bus(pen: Pen, rng: random.Random) -> None:
    paint, glass = colour(rng), mixed((170, 210, 235), (50, 60, 80), rng.random())
    pen.rectangle((-0.5, 0.1), (0.5, 0.65), paint)
    for i in range(5):
        pen.rectangle((-0.46 + i * 0.19, 0.38), (-0.32 + i * 0.19, 0.58), glass)
    for x in (-0.3, 0.3):
        pen.disc((x, 0.1), 0.1, grey(rng, 5, 50))


def _house(pen: Pen, rng: random.Random) -> None:
    wall, roof = colour(rng, (0.6, 1.0), (0.1, 0.5)), colour(rng, (0.3, 0.7))
    pen.rectangle((-0.4, 0), (0.4, 0.5), wall)
    pen.polygon([(-0.47, 0.5), (0, rng.uniform(0.75, 0.95)), (0.47, 0.5)], roof)
    pen.rectangle((-0.07, 0), (0.09, 0.28), colour(rng, (0.2, 0.6)))
    for x in (-0.26, 0.26):
        pen.rectangle((x - 0.08, 0.22), (x + 0.08, 0.38), (180, 215, 240))


def _tree(pen: Pen, rng: random.Random) -> None:
    green = mixed((30, 110, 40), (150, 170, 50), rng.random())
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
        pen.disc(spot, rng.uniform(0.12, 0.22), mixed(green, (20, 60, 20), rng.uniform(0, 0.4)))


def _face(pen: Pen, rng: random.Random) -> None:
    skin = mixed((245, 210, 180), (95, 60, 40), rng.random())
    pen.oval((0, 0.5), 0.3, 0.4, colour(rng, (0.1, 0.6)))
    pen.oval((0, 0.45), 0.27, 0.36, skin)
    for x in (-0.11, 0.11):
        pen.oval((x, 0.53), 0.05, 0.035, (250, 250, 250))
        pen.disc((x, 0.53), 0.025, colour(rng, (0.2, 0.5)))
        if rng.random() < 0.3:
            pen.ring((x, 0.53), 0.09, 0.015, (30, 30, 30))
    pen.line([(0, 0.5), (0.03, 0.4), (0, 0.39)], 0.015, mixed(skin, (60, 30, 20), 0.4))
    pen.arc((0, 0.33), 0.1, (200, 340), 0.025, (170, 50, 60))


def _flower(pen: Pen, rng: random.Random) -> None:
    petal, count = colour(rng, (0.6, 1.0), (0.3, 1.0)), rng.randint(5, 9)
    pen.line([(0, 0), (rng.uniform(-0.1, 0.1), 0.3), (0, 0.6)], 0.035, (50, 130, 50))
    pen.oval((0.12, 0.25), 0.14, 0.05, (60, 145, 60), tilt=0.5)
    for i in range(count):
        turn = math.tau * i / count
        pen.oval((0.17 * math.cos(turn), 0.65 + 0.17 * math.sin(turn)), 0.15, 0.08, petal, tilt=turn)
    pen.disc((0, 0.65), 0.09, (240, 200, 50))


def _boat(pen: Pen, rng: random.Random) -> None:
    pen.rectangle((-2, -1), (2, 0.12), mixed((40, 100, 170), (110, 190, 210), rng.random()))
    pen.polygon([(-0.45, 0.24), (0.48, 0.24), (0.32, 0.06), (-0.34, 0.06)], colour(rng))
    pen.line([(0, 0.24), (0, 0.85)], 0.025, (90, 65, 45))
    pen.polygon([(0.03, 0.3), (0.03, 0.83), (0.38, 0.32)], colour(rng, (0.8, 1.0), (0.0, 0.5)))
    pen.polygon([(-0.03, 0.32), (-0.03, 0.75), (-0.28, 0.34)], colour(rng, (0.8, 1.0), (0.0, 0.5)))


def _fish(pen: Pen, rng: random.Random) -> None:
    body = colour(rng, (0.4, 1.0), (0.3, 1.0))
    pen.polygon([(-0.28, 0.42), (-0.5, 0.6), (-0.47, 0.42), (-0.5, 0.24)], mixed(body, (20, 20, 60), 0.3))
    pen.oval((0, 0.42), 0.36, rng.uniform(0.14, 0.24), body)
    for x in (-0.1, 0.02, 0.12):
        pen.line([(x, 0.34), (x + 0.03, 0.42), (x, 0.5)], 0.025, mixed(body, (255, 255, 255), 0.4))
    pen.disc((0.24, 0.47), 0.04, (250, 250, 250))
    pen.disc((0.25, 0.47), 0.02, (20, 20, 20))


def _cat(pen: Pen, rng: random.Random) -> None:
    fur = mixed(grey(rng, 30, 230), (200, 130, 60), rng.random() * 0.7)
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
    wood = colour(rng, (0.3, 0.8), (0.2, 0.7))
    for x in (-0.25, 0.22):
        pen.line([(x, 0), (x, 0.4)], 0.045, wood)
    pen.line([(-0.25, 0.4), (-0.3, 0.9)], 0.045, wood)
    pen.line([(-0.14, 0.1), (-0.12, 0.4)], 0.035, mixed(wood, (0, 0, 0), 0.3))
    pen.line([(-0.28, 0.4), (0.28, 0.4)], 0.07, wood)
    for y in (0.6, 0.72, 0.84):
        pen.line([(-0.29, y), (-0.12, y + 0.02)], 0.035, wood)


def _clock(pen: Pen, rng: random.Random) -> None:
    pen.disc((0, 0.45), 0.4, colour(rng))
    pen.disc((0, 0.45), 0.34, (245, 245, 240))
    for i in range(12):
        turn = math.tau * i / 12
        pen.line([(0.28 * math.cos(turn), 0.45 + 0.28 * math.sin(turn)),
                  (0.32 * math.cos(turn), 0.45 + 0.32 * math.sin(turn))], 0.02, (30, 30, 30))  # fmt: skip
    for length in (0.16, 0.25):
        turn = rng.uniform(0, math.tau)
        pen.line([(0, 0.45), (length * math.cos(turn), 0.45 + length * math.sin(turn))], 0.03, (20, 20, 20))


def _racket(pen: Pen, rng: random.Random) -> None:
    string, frame = grey(rng, 120, 240), colour(rng)
    for i in range(-4, 5):
        half = math.sqrt(1 - (i / 5) ** 2)
        pen.line([(i * 0.045, 0.65 - 0.3 * half), (i * 0.045, 0.65 + 0.3 * half)], 0.006, string)
        pen.line([(-0.23 * half, 0.65 + i * 0.06), (0.23 * half, 0.65 + i * 0.06)], 0.006, string)
    turns = [math.tau * i / 40 for i in range(41)]
    pen.line([(0.23 * math.cos(t), 0.65 + 0.31 * math.sin(t)) for t in turns], 0.03, frame)
    pen.line([(0, 0.34), (0, 0.0)], 0.045, frame)


def _glasses(pen: Pen, rng: random.Random) -> None:
    frame, radius = grey(rng, 10, 120) if rng.random() < 0.6 else colour(rng), rng.uniform(0.15, 0.2)
    for x in (-0.24, 0.24):
        pen.disc((x, 0.45), radius - 0.02, mixed((200, 220, 235), (60, 60, 70), rng.random()))
        pen.ring((x, 0.45), radius, 0.03, frame)
        pen.line([(x * 1.75, 0.5), (x * 2.1, 0.58)], 0.03, frame)
    pen.arc((0, 0.44), 0.09, (20, 160), 0.03, frame)


def _stick_figure(pen: Pen, rng: random.Random) -> None:
    ink, arm = colour(rng, (0.1, 0.6)), rng.uniform(-0.1, 0.25)
    pen.ring((0, 0.85), 0.1, 0.035, ink)
    pen.line([(0, 0.75), (0, 0.38)], 0.04, ink)
    pen.line([(-0.2, 0.0), (0, 0.38), (0.2, 0.0)], 0.04, ink)
    pen.line([(-0.25, 0.55 + arm), (0, 0.65), (0.25, 0.55 - arm)], 0.04, ink)


def _shapes(pen: Pen, rng: random.Random) -> None:
    for _ in range(rng.randint(3, 8)):
        spot, reach, paint = (
            (rng.uniform(-0.4, 0.4), rng.uniform(0, 0.9)),
            rng.uniform(0.05, 0.25),
            colour(rng),
        )
        kind = rng.randrange(4)
        if kind == 0:
            pen.disc(spot, reach, paint)
        elif kind == 1:
            pen.rectangle(spot, (spot[0] + reach, spot[1] + reach * rng.uniform(0.3, 1.5)), paint)
        elif kind == 2:
            pen.polygon(
                [(spot[0] + rng.uniform(-reach, reach), spot[1] + rng.uniform(-reach, reach)) for _ in "abc"],
                paint,
            )
        else:
            pen.ring(spot, reach, rng.uniform(0.02, 0.06), paint)


def _scribble(pen: Pen, rng: random.Random) -> None:
    for _ in range(rng.randint(2, 5)):
        path = [(rng.uniform(-0.45, 0.45), rng.uniform(0.0, 0.9)) for _ in range(rng.randint(3, 8))]
        pen.line(path, rng.uniform(0.008, 0.05), colour(rng))


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
