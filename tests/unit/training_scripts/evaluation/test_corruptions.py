"""The damages that robustness is measured by."""

import numpy as np
import pytest

from training_scripts.evaluation import corruptions
from training_scripts.synthetic import generator


@pytest.fixture
def picture():
    return np.asarray(generator.draw("bicycle", 1, 32))


@pytest.mark.parametrize("name", corruptions.CORRUPTIONS)
def test_a_damage_changes_pixels_and_is_repeatable(picture, name):
    """The shape stays, and the same picture is always damaged in the same way."""
    once, again = (corruptions.CORRUPTIONS[name](picture, 7) for _ in range(2))

    assert once.shape == picture.shape
    assert once.dtype == np.uint8
    assert np.array_equal(once, again)
    assert not np.array_equal(once, picture)


def test_noise_has_the_standard_deviation_it_is_named_for():
    grey = np.full((200, 200, 3), 128, np.uint8)

    assert corruptions.noise(grey, 1).astype(float).std() == pytest.approx(25, rel=0.02)


def test_blur_evens_out_and_grey_leaves_no_colour(picture):
    assert (
        np.abs(np.diff(corruptions.blur(picture, 0).astype(float), axis=0)).mean()
        < np.abs(np.diff(picture.astype(float), axis=0)).mean()
    )
    assert np.ptp(corruptions.grey(picture, 0), axis=2).max() == 0
