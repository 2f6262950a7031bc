"""Draws bicycles, motorcycles, and mopeds that are half of each. Units: metres, wheels standing at y = 0."""

import random
from typing import NamedTuple

from training_scripts.synthetic.canvas import Colour, Pen, Point, colour, grey, mixed


class Posture(NamedTuple):
    """Where a vehicle holds its rider."""

    seat: Point
    hands: Point
    foot: Point


class Style(NamedTuple):
    """What the parts of one motorcycle share."""

    kind: str
    base: float
    wheel: float
    head: Point
    paint: Colour
    dark: Colour
    metal: Colour


def _rider(pen: Pen, rng: random.Random, posture: Posture, *, helmet: bool) -> None:
    seat, hands, foot = posture
    shirt, trousers, skin = (
        colour(rng),
        colour(rng, (0.1, 0.6)),
        mixed((245, 210, 180), (95, 60, 40), rng.random()),
    )
    hip = seat[0], seat[1] + 0.06
    lean = rng.uniform(0.35, 0.7)
    shoulder = hip[0] + 0.42 * (hands[0] - hip[0]) * lean + 0.08, hip[1] + 0.42
    knee = (hip[0] + foot[0]) / 2 + 0.2, (hip[1] + foot[1]) / 2 + 0.1
    pen.line([hip, knee, foot], 0.11, trousers)
    pen.line([foot, (foot[0] + 0.1, foot[1] - 0.01)], 0.06, grey(rng, 10, 90))
    pen.line([hip, shoulder], 0.2, shirt)
    elbow = (shoulder[0] + hands[0]) / 2, (shoulder[1] + hands[1]) / 2 - 0.06
    pen.line([shoulder, elbow, hands], 0.075, mixed(shirt, skin, rng.choice((0.0, 1.0))))
    head = shoulder[0] + 0.08, shoulder[1] + 0.19
    pen.disc(head, 0.105, skin)
    if helmet:
        pen.disc((head[0] - 0.01, head[1] + 0.02), 0.125, colour(rng))
        pen.oval((head[0] + 0.07, head[1]), 0.06, 0.045, grey(rng, 20, 90))
    else:
        pen.arc((head[0], head[1] + 0.01), 0.09, (20, 200), 0.06, colour(rng, (0.1, 0.5)))


def bicycle(pen: Pen, rng: random.Random) -> None:
    wheel, base = rng.uniform(0.31, 0.38), rng.uniform(0.98, 1.14)
    rear, front = (-base / 2, wheel), (base / 2, wheel)
    tube, paint, dark = rng.uniform(0.028, 0.05), colour(rng), grey(rng, 5, 70)
    metal, tyre = grey(rng, 110, 220), rng.uniform(0.022, 0.05)
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
    pen.line([low_head, front], tube * 0.9, mixed(paint, metal, rng.choice((0.0, 0.8))))
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
        basket = colour(rng, (0.4, 0.8), (0.3, 0.6))
        pen.polygon([(head[0] + 0.06, head[1] + 0.1), (head[0] + 0.36, head[1] + 0.1),
                     (head[0] + 0.32, head[1] - 0.1), (head[0] + 0.1, head[1] - 0.1)], basket)  # fmt: skip
    if rng.random() < 0.22:
        _rider(pen, rng, Posture(saddle, hands, pedal), helmet=rng.random() < 0.4)


def _handlebar(pen: Pen, rng: random.Random, head: Point, dark: Colour) -> Point:
    grip = head[0] + rng.uniform(0.0, 0.1), head[1] + rng.uniform(0.08, 0.16)
    pen.line([head, (head[0] - 0.02, grip[1]), grip], 0.025, dark)
    if rng.random() < 0.4:
        pen.arc((grip[0], grip[1] - 0.07), 0.07, (90, -90), 0.028, dark)
    else:
        pen.line([grip, (grip[0] - rng.uniform(0.05, 0.2), grip[1] + 0.03)], 0.032, dark)
    return grip


def motorcycle(pen: Pen, rng: random.Random) -> None:
    wheel, base = rng.uniform(0.27, 0.33), rng.uniform(1.15, 1.32)
    rear, front = (-base / 2, wheel), (base / 2, wheel)
    paint, dark, metal = colour(rng), grey(rng, 5, 55), grey(rng, 120, 225)
    for hub, tyre in ((rear, rng.uniform(0.1, 0.14)), (front, rng.uniform(0.08, 0.12))):
        pen.disc(hub, wheel, dark)
        pen.disc(hub, wheel - tyre, grey(rng, 90, 200) if rng.random() < 0.6 else grey(rng, 40, 110))
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
    kind = rng.choice(("road", "sport", "cruiser"))
    seat = _motorcycle_body(pen, Style(kind, base, wheel, head, paint, dark, metal))
    grip = head[0] - rng.uniform(0.05, 0.16), head[1] + rng.uniform(0.18, 0.3)
    pen.line([head, (head[0], head[1] + 0.12), grip], 0.045, dark)
    pen.disc((head[0] + 0.13, head[1] + 0.04), 0.085, metal)
    pen.disc((head[0] + 0.16, head[1] + 0.04), 0.06, (250, 245, 200))
    pen.arc(front, wheel + 0.04, (35, 145), 0.06, paint)
    if rng.random() < 0.3:
        _rider(pen, rng, Posture(seat, grip, (0.0, wheel - 0.1)), helmet=True)


def _engine(pen: Pen, rng: random.Random, wheel: float, metal: Colour) -> None:
    pen.disc((-0.1, wheel - 0.02), 0.14, metal)
    pen.disc((-0.1, wheel - 0.02), 0.08, mixed(metal, (30, 30, 30), 0.4))
    tilt = rng.uniform(-0.05, 0.12)
    for i in range(5):
        y = wheel + 0.06 + i * 0.045
        pen.line([(0.02 + tilt * i * 0.3, y), (0.2 + tilt * i * 0.3, y)], 0.028, metal)


def _motorcycle_body(pen: Pen, style: Style) -> Point:
    kind, base, wheel, head, paint, dark, metal = style
    tail = -base / 2 - (0.05 if kind == "cruiser" else 0.15)
    rise = {"road": 0.02, "sport": 0.16, "cruiser": -0.06}[kind]
    seat_y = wheel + (0.28 if kind == "cruiser" else 0.38)
    pen.polygon([(0.0, seat_y - 0.1), (-0.1, seat_y + 0.06), (-0.35, seat_y + 0.06), (tail, seat_y + rise + 0.1),
                 (tail - 0.02, seat_y + rise), (-0.3, seat_y - 0.1)], dark)  # fmt: skip
    pen.line([(tail, seat_y + rise), (-base / 2 + 0.25, seat_y - 0.04)], 0.07, paint)
    pen.oval((0.13, wheel + 0.42), 0.27, 0.135, paint, tilt=0.22)
    pen.oval((0.1, wheel + 0.47), 0.14, 0.04, mixed(paint, (255, 255, 255), 0.4), tilt=0.22)
    if kind == "sport":
        pen.polygon([(head[0] + 0.24, head[1] - 0.02), (head[0] + 0.06, head[1] + 0.26), (head[0] - 0.06, head[1] + 0.1),
                     (0.0, wheel + 0.2), (0.1, wheel - 0.08), (head[0] + 0.04, wheel + 0.18)], paint)  # fmt: skip
    if kind == "cruiser":
        pen.arc((-base / 2, wheel), wheel + 0.05, (20, 165), 0.07, paint)
        pen.line([(-0.02, wheel - 0.02), (-base / 2 - 0.2, wheel - 0.02)], 0.07, metal)
    return -0.2, seat_y + 0.06


def moped(pen: Pen, rng: random.Random) -> None:
    """A bicycle's wheels, frame and pedals with a motorcycle's tank, motor and exhaust."""
    wheel, base = rng.uniform(0.3, 0.34), rng.uniform(1.06, 1.18)
    rear, front = (-base / 2, wheel), (base / 2, wheel)
    paint, dark, metal = colour(rng), grey(rng, 5, 60), grey(rng, 110, 220)
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
