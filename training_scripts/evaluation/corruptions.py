"""Damages pictures the way cameras and senders do, at the model's input size, to see what accuracy it costs."""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]
_NOISE_SD = 25
_BLUR_RADIUS = 1
_JPEG_QUALITY = 50


def noise(pixels: Pixels, seed: int) -> Pixels:
    """Gaussian noise, standard deviation 25 of 255, on every channel of every pixel by itself."""
    added = np.random.default_rng(seed).normal(0, _NOISE_SD, pixels.shape)
    return np.clip(pixels + added, 0, 255).round().astype(np.uint8)


def blur(pixels: Pixels, _seed: int) -> Pixels:
    """Gaussian blur with a radius of 1 pixel."""
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(_BLUR_RADIUS)))


def jpeg(pixels: Pixels, _seed: int) -> Pixels:
    """JPEG at quality 50."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return np.asarray(Image.open(buffer))


def grey(pixels: Pixels, _seed: int) -> Pixels:
    """Luma alone (ITU-R 601)."""
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


CORRUPTIONS: dict[str, Callable[[Pixels, int], Pixels]] = {
    "noise (sd 25)": noise,
    "blur (radius 1)": blur,
    "JPEG quality 50": jpeg,
    "grey": grey,
}
