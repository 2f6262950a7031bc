"""Reads a folder of photographs, FOLDER/<class>/<any file>, as the backbone sees them."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from functions.common.errors import ImageRejected
from functions.common.picture import read_picture
from functions.common.shown import shown
from training_scripts.data import dataset, readers
from training_scripts.data.dataset import NEITHER, DataError, LabelledImages
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
    """N pictures with features [N, FEATURES], fold numbers [N] and paths; `unread` says which files were left out."""

    classes: list[str]
    rows: LabelledImages
    features: NDArray[np.float32]
    folds: NDArray[np.int64]
    paths: list[Path]
    unread: list[str]


def read(folder: Path, classes: Sequence[str], on_picture: Callable[[int, int], None]) -> Photographs:
    """Read, shrink and describe all pictures; those of other folders than the classes' are "neither".

    Args:
        folder: holds a folder for each class; what lies deeper belongs to that class, too.
        classes: those to tell apart; all folders but "neither" where none is named.
        on_picture: hears of (pictures read, files).

    Raises:
        DataSourceError: no folder, or more than a tenth of the files cannot be read.
        DataError: fewer than two classes, too few pictures of one, or one picture in two classes.
        BackboneError: the backbone's file is missing or another.
    """
    if not folder.is_dir():
        raise readers.DataSourceError(
            f"{folder}: no such folder; give one that holds a folder for each class"
        )
    files = list(_files(folder))
    names = list(classes) or sorted({label for label, _ in files} - {NEITHER})
    _check_classes(folder, names, [label for label, _ in files])
    network, pixels, features, truth, paths, unread = Backbone(), [], [], [], [], []
    for number, (label, path) in enumerate(files):
        try:
            picture = np.asarray(read_picture(path.read_bytes(), SIDE).image)
        except (ImageRejected, OSError) as error:
            unread.append(f"{path}: {error.reason if isinstance(error, ImageRejected) else error}")
            continue
        pixels.append(picture)
        features.append(network.features(picture))
        truth.append(names.index(label) if label in names else len(names))
        paths.append(path)
        on_picture(number + 1, len(files))
    if len(unread) > _UNREADABLE * len(files):
        raise readers.DataSourceError(
            f"{len(unread)} of {len(files)} files cannot be read, the first is {shown(unread[0])}"
        )
    rows = LabelledImages(np.stack(pixels), np.array(truth))
    _check_classes(folder, names, [names[number] for number in truth if number < len(names)])
    return Photographs(names, rows, np.stack(features), _folds(rows, paths), paths, unread)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """(class, path) of each picture file, in the order of their names."""
    for path in sorted(folder.glob("*/**/*")):
        if path.is_file() and path.suffix.lower() in readers.SUFFIXES and not path.name.startswith("."):
            yield path.relative_to(folder).parts[0], path


def _check_classes(folder: Path, names: Sequence[str], labels: list[str]) -> None:
    if len(names) < 2:
        raise DataError(
            f"{folder} holds pictures of {len(names)} class ({', '.join(map(shown, names)) or 'none'}): make a folder "
            "for each of at least two classes"
        )
    for name in names:
        if (count := labels.count(name)) < _FEWEST:
            raise DataError(
                f"{folder} has {count} readable pictures of the class {shown(name)}: {_FEWEST} are the least, "
                "20 make a useful model"
            )


def _folds(rows: LabelledImages, paths: list[Path]) -> NDArray[np.int64]:
    """A fold number per picture, balanced by class; near-duplicates share one.

    Raises:
        DataError: the same picture has two labels, or a class has fewer than two different pictures.
    """
    groups = dataset.near_duplicates(rows.pixels[:, ::_THUMBNAIL_STEP, ::_THUMBNAIL_STEP])
    members: dict[bytes, list[int]] = defaultdict(list)
    for place, pixels in enumerate(rows.pixels):
        members[pixels.tobytes()].append(place)
    for places in members.values():
        if len({int(rows.truth[place]) for place in places}) > 1:
            these = " and ".join(str(paths[place]) for place in places[:2])
            raise DataError(f"{these} show the same picture in two classes: remove it from one")
    assigned = np.zeros(len(rows), np.int64)
    generator = np.random.default_rng(0)
    for number in np.unique(rows.truth):
        of_class = generator.permutation(np.unique(groups[rows.truth == number]))
        if len(of_class) < 2:
            raise DataError(
                f"all pictures beside {paths[int(np.flatnonzero(rows.truth == number)[0])]} look the same: "
                "add different ones"
            )
        for place, group in enumerate(of_class):
            assigned[(groups == group) & (rows.truth == number)] = place % _FOLDS
    return assigned
