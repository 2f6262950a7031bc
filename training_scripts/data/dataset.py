"""Turns labelled and drawn pictures into what a training run needs: rows, targets, folds."""

import hashlib
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from functions.common.picture import read_picture
from functions.common.shown import shown
from training_scripts.data import readers
from training_scripts.errors import UserError
from training_scripts.synthetic import generator

NEITHER = "neither"
# The class number of a picture between the classes of interest: a kind of "neither" of its own, the last one.
AMBIGUOUS = -1
# Seeds from here on are trained on; demo and tests draw with lower ones.
DRAWN_SEEDS = 1_000_000
# With at least this correlation, two pictures show the same.
_NEAR = 0.95
_DRAWN_SIZES = (32, 64, 96, 128, 256, 384)


class DataError(UserError):
    """The data cannot be trained on; the message says why and what to do."""


@dataclass(frozen=True)
class LabelledImages:
    """Pictures uint8 [N, S, S, 3], class numbers [N], or AMBIGUOUS."""

    pixels: NDArray[np.uint8]
    truth: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pixels)

    def subset(self, chosen: NDArray[np.bool_]) -> "LabelledImages":
        return LabelledImages(self.pixels[chosen], self.truth[chosen])


def rows_of(pictures: Sequence[readers.LabelledPicture], truth: Sequence[int]) -> LabelledImages:
    pixels = (
        np.stack([p.pixels for p in pictures])
        if pictures
        else np.zeros((0, readers.SIDE, readers.SIDE, 3), np.uint8)
    )
    return LabelledImages(pixels, np.asarray(truth, np.int64))


def concatenate(parts: Sequence[LabelledImages]) -> LabelledImages:
    return LabelledImages(np.concatenate([p.pixels for p in parts]), np.concatenate([p.truth for p in parts]))


def foreign_classes(
    pictures: Sequence[readers.LabelledPicture], interest: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The other classes in the alphabet's order, taken in turn: (trained on as "neither", held out for evaluation)."""
    others = sorted({p.label for p in pictures} - set(interest))
    return others[0::2], others[1::2]


def split_rows(
    pictures: Sequence[readers.LabelledPicture], interest: Sequence[str]
) -> tuple[LabelledImages, LabelledImages, LabelledImages]:
    """(the classes of interest, "neither" to train on, foreign pictures that only judge).

    Raises:
        DataError: fewer than two classes of interest, or one without pictures.
    """
    if len(interest) < 2:
        raise DataError(
            f"only {len(interest)} class to tell apart ({', '.join(interest)}): name at least two"
        )
    trained, held_out = foreign_classes(pictures, interest)
    neither = len(interest)
    targets = [p for p in pictures if p.label in interest]
    for name in interest:
        if not any(p.label == name for p in targets):
            known = ", ".join(sorted({p.label for p in pictures})[:8])
            raise DataError(f"the data has no picture of the class {shown(name)} (it has: {known} ...)")
    outliers, foreign = ([p for p in pictures if p.label in names] for names in (set(trained), set(held_out)))
    return (
        rows_of(targets, [list(interest).index(p.label) for p in targets]),
        rows_of(outliers, [neither] * len(outliers)),
        rows_of(foreign, [neither] * len(foreign)),
    )


def drawn_rows(interest: Sequence[str], count: int, first_seed: int) -> LabelledImages:
    """Drawn pictures for the classes of interest that the generator knows, for "neither" and for in between."""
    shares = {label: 0.3 for label in interest if label in ("bicycle", "motorcycle")}
    numbers = {label: number for number, label in enumerate(interest)} | {"other": len(interest)}
    shares["other"] = 0.27
    if set(interest) == {"bicycle", "motorcycle"}:
        shares["ambiguous"], numbers["ambiguous"] = 0.13, AMBIGUOUS
    drawn = [
        (drawn_pixels(label, seed), numbers[label])
        for label, share in shares.items()
        for seed in range(first_seed, first_seed + round(count * share))
    ]
    pixels = np.zeros((len(drawn), readers.SIDE, readers.SIDE, 3), np.uint8)
    for place, (picture, _) in enumerate(drawn):
        pixels[place] = picture
    return LabelledImages(pixels, np.array([number for _, number in drawn], np.int64))


def drawn_pixels(label: str, seed: int) -> NDArray[np.uint8]:
    """One drawn picture as the model sees it: through a file and the product's decoder, uint8 [S, S, 3]."""
    rng = random.Random(seed)  # noqa: S311 - reproducible on purpose
    picture, buffer = generator.draw(label, seed, rng.choice(_DRAWN_SIZES)), io.BytesIO()
    if rng.random() < 0.5:
        picture.save(buffer, "PNG", compress_level=1)
    else:
        picture.save(buffer, "JPEG", quality=rng.randint(60, 95))
    return np.asarray(read_picture(buffer.getvalue(), readers.SIDE).image)


def targets(
    truth: NDArray[np.int64], labels: int, kinds: int = 0, smoothing: float = 0.0
) -> NDArray[np.float32]:
    """Target distributions [N, labels + kinds]; numbers from `labels` on are kinds of the last label.

    The smoothed part is spread evenly over the labels, and the last label's share over it and its kinds: many kinds
    do not make "neither" more likely.
    """
    even = np.full(labels + kinds, 1 / labels, np.float32)
    even[labels - 1 :] /= 1 + kinds
    return (1 - smoothing) * np.eye(labels + kinds, dtype=np.float32)[truth] + smoothing * even


def folds(rows: LabelledImages, count: int, seed: int) -> NDArray[np.int64]:
    """A fold number per row, balanced by class; near-duplicates share a fold.

    Raises:
        DataError: fewer pictures of some class than folds.
    """
    groups = near_duplicates(rows.pixels)
    assigned = np.zeros(len(rows), np.int64)
    rng = np.random.default_rng(seed)
    for number in np.unique(rows.truth):
        of_class = rng.permutation(np.unique(groups[rows.truth == number]))
        if len(of_class) < count:
            raise DataError(
                f"only {len(of_class)} different pictures of class number {number} for {count} folds"
            )
        for place, group in enumerate(of_class):
            assigned[groups == group] = place % count
    return assigned


def near_duplicates(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """A group number per picture [N]: pictures that correlate, mirrored or not, at 8 x 8 pixels share one."""
    grey = pixels.mean(3)
    side = grey.shape[1] // 8
    small = grey[:, : side * 8, : side * 8].reshape(-1, 8, side, 8, side).mean((2, 4))

    def standard(pictures: NDArray) -> NDArray:
        flat = pictures.reshape(len(pictures), -1)
        flat = flat - flat.mean(1, keepdims=True)
        return flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9)

    likeness = np.maximum(
        standard(small) @ standard(small).T, standard(small) @ standard(small[:, :, ::-1]).T
    )
    groups = np.arange(len(pixels))
    for left, right in np.argwhere(np.triu(likeness > _NEAR, 1)):
        groups[groups == groups[right]] = groups[left]
    return groups


def digest(*sources: Path) -> str:
    """Hex SHA-256 over the sources' contents (files of a folder in the order of their names)."""
    whole = hashlib.sha256()
    for source in sources:
        for file in sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]:
            with file.open("rb") as opened:
                whole.update(hashlib.file_digest(opened, "sha256").digest())
    return whole.hexdigest()
