"""The frozen network that turns a picture into 1,280 numbers: EfficientNet-Lite0, as ImageNet taught it.

lite0.onnx is made by training_scripts.quick.convert and is never changed or downloaded afterwards.
"""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training_scripts.errors import UserError

NAME = "lite0"
FILE = Path(__file__).with_name("lite0.onnx")
SHA256 = "4e251831a9d6b263c1af2c40a0431b9ed88d53ec3fdf23d60505cfc0d0274d50"
INPUT, OUTPUT = "pixels", "features"
FEATURES = 1280
SIDE = 224
# The scaling that it was trained with, (value - 127) / 128, in the form of model.json: of values from 0 to 1.
MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3


class BackboneError(UserError):
    """lite0.onnx is missing or is not the pinned file; the message says what to do."""


def content() -> bytes:
    """The pinned ONNX file.

    Raises:
        BackboneError: it is missing, or its SHA-256 is another.
    """
    try:
        network = FILE.read_bytes()
    except OSError as error:
        raise BackboneError(f"{FILE} cannot be read ({error}): restore it with git checkout") from error
    if hashlib.sha256(network).hexdigest() != SHA256:
        raise BackboneError(
            f"{FILE} is not the file with SHA-256 {SHA256[:12]}...: restore it with git checkout"
        )
    return network


class Backbone:
    """A loaded backbone; each call works on one core."""

    def __init__(self) -> None:
        """Raises BackboneError."""
        import onnxruntime  # noqa: PLC0415 - commands need the constants of this module alone

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(content(), options, providers=["CPUExecutionProvider"])

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features [FEATURES] of one picture, uint8 [SIDE, SIDE, 3], RGB."""
        scaled = (pixels.astype(np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
        return self._session.run([OUTPUT], {INPUT: scaled.transpose(2, 0, 1)[None]})[0][0]
