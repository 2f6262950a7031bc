"""The pictures that an artifact is judged on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from functions.common.shown import shown
from training_scripts.data import out_of_distribution, readers
from training_scripts.data.readers import DataSourceError


@dataclass(frozen=True)
class Pictures:
    """What an artifact is judged on: pixels uint8 [N, S, S, 3], labels, and the kind of each foreign picture."""

    pixels: NDArray[np.uint8]
    labels: list[str]
    kinds: list[str | None]

    def digest(self) -> str:
        """Hex SHA-256 of labels and pixels in any order, whatever file or folder they come from."""
        rows = (
            label.encode() + b"\0" + row.tobytes()
            for label, row in zip(self.labels, self.pixels, strict=True)
        )
        return hashlib.sha256(b"".join(sorted(hashlib.sha256(row).digest() for row in rows))).hexdigest()


def read(source: Path, split: str, interest: Sequence[str], side: int) -> Pictures:
    """The pictures of the classes of interest in that split, and the foreign ones that may judge.

    Raises:
        DataSourceError: unreadable, or no picture of a class of interest.
    """
    ours = [p for p in readers.read_pictures(source, split, side) if p.label in interest]
    if not ours:
        raise DataSourceError(f"{source}: no picture of {' or '.join(interest)} in the split {shown(split)}")
    others, kinds = out_of_distribution.ood_pictures(source, split, interest, side)
    pixels = np.stack([p.pixels for p in [*ours, *others]])
    return Pictures(pixels, [p.label for p in [*ours, *others]], [*(None for _ in ours), *kinds])
