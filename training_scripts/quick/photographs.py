"""Reads a folder of photographs, FOLDER/<class>/<any file>, as the backbone sees them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from functions.common.errors import ImageRejected
from functions.common.picture import read_picture
from functions.common.shown import shown
from training_scripts.data import dataset, readers
from training_scripts.data.dataset import DataError, LabelledImages
from training_scripts.quick.backbone import SIDE, Backbone

_FOLDS = 5
# A class needs a neighbour for each of its pictures in every fold.
_FEWEST = 3
# Of the files, as many as may be unreadable before something is wrong with all of them.
_UNREADABLE = 0.1
# Near-duplicates are looked for in small copies.
_THUMBNAIL_STEP = 7


@dataclass(frozen=True)
class Photographs:
    """N pictures with features [N, FEATURES] and paths; `unread` says which files were left out, and why."""

    classes: list[str]
    rows: LabelledImages
    features: NDArray[np.float32]
    paths: list[Path]
    unread: list[str]


def read(
    folders: Sequence[Path], split: str, classes: Sequence[str], on_picture: Callable[[int, int], None]
) -> Photographs:
    """Read, shrink and describe all pictures; those of other folders than the classes' are "neither".

    Args:
        folders: each holds a folder for each class, or train/ and test/ with these; what lies deeper belongs to
            the class, too.
        split: "train" or "test"; a folder without splits is all "train".
        classes: those to tell apart.
        on_picture: is called with (files done, files).

    Raises:
        DataSourceError: no folder, or more than a tenth of the files cannot be read.
        DataError: to train, fewer than two classes, or too few pictures of one.
        BackboneError: the backbone's file is missing or another.
    """
    files = [file for folder in folders for file in readers.labelled_files(folder, split)]
    if split == "train":
        _check_counts(folders[0], classes, Counter(label for label, _ in files))
    network, read_files, pixels, features, unread = Backbone(), [], [], [], []
    for number, (label, path) in enumerate(files):
        try:
            picture = np.asarray(read_picture(path.read_bytes(), SIDE).image)
        except (ImageRejected, OSError) as error:
            unread.append(f"{path}: {error.reason if isinstance(error, ImageRejected) else error}")
            continue
        read_files.append((label, path))
        pixels.append(picture)
        features.append(network.features(picture))
        on_picture(number + 1, len(files))
    readers.check_share_read(unread, len(files))
    if split == "train":
        _check_counts(folders[0], classes, Counter(label for label, _ in read_files))
    truth = [classes.index(label) if label in classes else len(classes) for label, _ in read_files]
    rows = LabelledImages(np.stack(pixels), np.array(truth))
    return Photographs(list(classes), rows, np.stack(features), [path for _, path in read_files], unread)


def folds(photographs: Photographs) -> NDArray[np.int64]:
    """A fold number per picture, balanced by class; near-duplicates share one.

    Raises:
        DataError: one picture has two labels, or all pictures of a class look the same.
    """
    rows, paths = photographs.rows, photographs.paths
    _check_labels(rows, paths)
    groups = dataset.near_duplicates(rows.pixels[:, ::_THUMBNAIL_STEP, ::_THUMBNAIL_STEP])
    assigned = np.zeros(len(rows), np.int64)
    generator = np.random.default_rng(0)
    for number in np.unique(rows.truth):
        of_class = rows.truth == number
        different = generator.permutation(np.unique(groups[of_class]))
        if len(different) < 2 and number < len(photographs.classes):
            raise DataError(
                f"all pictures of the class {shown(photographs.classes[number])} look the same: add different ones"
            )
        for place, group in enumerate(different):
            assigned[(groups == group) & of_class] = place % _FOLDS
    return assigned


def _check_counts(folder: Path, classes: Sequence[str], counts: Counter[str]) -> None:
    if len(classes) < 2:
        raise DataError(
            f"{folder} holds pictures of {len(classes)} class ({', '.join(map(shown, classes)) or 'none'}): make a "
            "folder for each of at least two classes"
        )
    for name in classes:
        if counts[name] < _FEWEST:
            raise DataError(
                f"{folder} has {counts[name]} readable pictures of the class {shown(name)}: {_FEWEST} are the least, "
                "20 make a useful model"
            )


def _check_labels(rows: LabelledImages, paths: list[Path]) -> None:
    first: dict[bytes, int] = {}
    for place, pixels in enumerate(rows.pixels):
        other = first.setdefault(pixels.tobytes(), place)
        if rows.truth[other] != rows.truth[place]:
            raise DataError(
                f"{paths[other]} and {paths[place]} show the same picture in two classes: remove it from one"
            )
