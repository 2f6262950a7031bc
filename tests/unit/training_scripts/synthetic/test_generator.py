"""The generator of pictures: what a seed promises, and that its pictures are worth looking at."""

import random

import numpy as np
import pytest
from PIL import Image

from training_scripts.synthetic import generator
from training_scripts.synthetic.canvas import Pen
from training_scripts.synthetic.distractors import THINGS


def pixels(label: str, seed: int, size: int = 64) -> np.ndarray:
    return np.asarray(generator.draw(label, seed, size), np.float64)


@pytest.mark.parametrize("label", generator.LABELS)
def test_the_same_seed_draws_the_same_pixels(label):
    assert np.array_equal(pixels(label, 5), pixels(label, 5))


@pytest.mark.parametrize("label", generator.LABELS)
def test_other_seeds_draw_other_pictures(label):
    drawn = {pixels(label, seed).tobytes() for seed in range(12)}

    assert len(drawn) == 12


@pytest.mark.parametrize("size", [8, 33, 256, 1000])
def test_a_picture_is_rgb_of_the_size_asked_for(size):
    picture = generator.draw("motorcycle", 1, size)

    assert (picture.mode, picture.size) == ("RGB", (size, size))


def test_the_size_changes_the_resolution_and_not_the_scene():
    small = pixels("bicycle", 4, 32)
    large = np.asarray(generator.draw("bicycle", 4, 512).resize((32, 32), resample=1), np.float64)

    assert np.abs(small - large).mean() < 12


def test_a_small_picture_is_smooth_because_it_is_drawn_larger_first():
    assert len(np.unique(pixels("bicycle", 3, 64).reshape(-1, 3), axis=0)) > 200


def test_vehicles_stand_out_from_their_background():
    spreads = [pixels(label, seed).std() for label in ("bicycle", "motorcycle") for seed in range(20)]

    assert min(spreads) > 8


@pytest.mark.parametrize("thing", sorted(set(THINGS) - {"nothing"}))
def test_every_other_thing_leaves_its_mark(thing):
    canvas = Image.new("RGB", (200, 200), (255, 255, 255))

    THINGS[thing](Pen(canvas, (100.0, 180.0), 140.0), random.Random(2))  # noqa: S311 - reproducible on purpose

    assert (np.asarray(canvas) != 255).any(axis=2).mean() > 0.01


@pytest.mark.parametrize(
    ("label", "size"), [("tricycle", 64), ("bicycle", 7), ("bicycle", generator.MAX_SIZE + 1)]
)
def test_an_unknown_label_or_an_impossible_size_is_a_clear_error(label, size):
    with pytest.raises(ValueError, match="choose"):
        generator.draw(label, 1, size)
