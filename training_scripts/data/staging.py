"""Stages labelled pictures: the chosen classes, at the model's size, in the place where training reads.

    train/<class>/<file>.png   test/<class>/<file>.png   train.lst   test.lst   manifest.json

A staged set is a folder, or is in the bucket under training/data/<name>/. Other classes of the source become
the class `neither`: every second one to train on, those between them (of both splits) to judge by, so that no
class of foreign pictures in the test split was ever trained on.
"""

import difflib
import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from functions.common.picture import encode_png
from functions.common.shown import shown
from training_scripts import artifact
from training_scripts.data import dataset, readers
from training_scripts.data.dataset import NEITHER
from training_scripts.data.readers import INCOMPLETE, DataSourceError, LabelledPicture
from training_scripts.data.stores import Store
from training_scripts.progress import Progress

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
# Of a source without a test split, one picture in this many is kept for evaluation; its own pixels decide which.
_KEPT_FOR_TEST = 10
_AT_ONCE = 8
# A class becomes the name of a folder and a part of S3 keys.
_CLASS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,63}")

Item = TypeVar("Item")


@dataclass(frozen=True)
class Staged:
    """What a run of `stage_pictures` left behind: pictures by (split, label), and files written this time.

    `left_out` says what is wrong with files that could not be read.
    """

    place: str
    counts: dict[tuple[str, str], int]
    copied: int
    there_already: int
    left_out: list[str]


@dataclass(frozen=True)
class _Picture:
    """One picture of the set: its path in it, its PNG file, and where it comes from."""

    path: str
    split: str
    label: str
    content: bytes
    source: str

    def row(self) -> dict[str, str]:
        digest = hashlib.sha256(self.content).hexdigest()
        return {
            "path": self.path,
            "split": self.split,
            "label": self.label,
            "sha256": digest,
            "source": self.source,
        }


def stage_pictures(  # noqa: PLR0913 - what, for whom, to where, how much and how large
    sources: Sequence[Path],
    classes: Sequence[str],
    store: Store,
    *,
    neither: int,
    side: int = readers.SIDE,
    progress: Progress,
) -> Staged:
    """Extract, transform and load; a run that was cut off continues, a second one copies nothing.

    Args:
        sources: archives or folders as training_scripts.data.readers reads them.
        classes: the classes of interest, in the order of the model's labels.
        neither: the most pictures of other classes in each split, evenly over those classes.
        side: width and height of the pictures, in pixels.

    Raises:
        DataSourceError: a class that no source has, an unreadable source, or another set at that place.
        OSError, botocore.exceptions.ClientError: the place cannot be written.
    """
    known = sorted({name for source in sources for name in readers.class_names(source)})
    _check_classes(classes, known)
    progress("Reading the pictures", None)
    left_out: list[str] = []
    pictures = _collect(sources, classes, known, neither, _Reader(side, left_out))
    return _load(store, pictures, _documents(pictures, classes, sources, side), left_out, progress)


def _check_classes(classes: Sequence[str], known: list[str]) -> None:
    for name in classes:
        if name not in known or not _CLASS_NAME.fullmatch(name):
            near = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
            near += [other for other in known if (name in other or other in name) and other not in near]
            hint = f"near it: {', '.join(near)}" if near else f"there are: {', '.join(known)}"
            raise DataSourceError(f"no class {shown(name)} among the {len(known)} of the data; {hint}")
    if len(set(classes)) < max(2, len(classes)) or NEITHER in classes:
        raise DataSourceError(
            f"name at least two different classes to tell apart, not {shown(', '.join(classes))}"
        )


def _collect(
    sources: Sequence[Path], classes: Sequence[str], known: list[str], neither: int, reader: "_Reader"
) -> list[_Picture]:
    trained, held_out = _foreign(known, classes)
    wanted = {*classes, *(trained + held_out if neither else ())}
    chosen: list[_Picture] = []
    foreign: dict[tuple[str, str], list[tuple[Path, LabelledPicture]]] = {}
    for source in sources:
        for split, picture in reader.by_split(source, wanted):
            if picture.label in classes:
                chosen.append(_picture(source, split, picture, picture.label))
            elif picture.label in held_out:  # with the pictures of both splits: none was trained on
                foreign.setdefault(("test", picture.label), []).append((source, picture))
            elif split == "train" or picture.label == NEITHER:
                foreign.setdefault((split, picture.label), []).append((source, picture))
    for name in classes:
        if not any(picture.label == name and picture.split == "train" for picture in chosen):
            raise DataSourceError(
                f"the data knows the class {shown(name)} but has no picture of it to train on"
            )
    for split in ("train", "test"):
        groups = [group for (home, _), group in sorted(foreign.items()) if home == split]
        chosen += [_picture(source, split, picture, NEITHER) for source, picture in _evenly(groups, neither)]
    # two of one path have the same pixels
    return [picture for _, picture in sorted({picture.path: picture for picture in chosen}.items())]


def _foreign(known: Sequence[str], classes: Sequence[str]) -> tuple[list[str], list[str]]:
    """(classes of "neither" to train on, those to judge by) by the rule of training; "neither" itself is both."""
    nothing = np.zeros((0, 0, 3), np.uint8)
    names = [LabelledPicture(nothing, name, "") for name in known if name != NEITHER]
    trained, held_out = dataset.foreign_classes(names, classes)
    return [*trained, *({NEITHER} & set(known))], held_out


@dataclass(frozen=True)
class _Reader:
    """Reads pictures at one size, and collects what is wrong with those that cannot be read."""

    side: int
    left_out: list[str]

    def by_split(self, source: Path, labels: set[str]) -> Iterator[tuple[str, LabelledPicture]]:
        if readers.has_split(source, "test"):
            for split in ("train", "test"):
                # a source may have only pictures to test with
                if readers.has_split(source, split):
                    yield from ((split, p) for p in self._some(source, split, labels))
            return
        for picture in self._some(source, "train", labels):
            kept = int(_fingerprint(picture), 16) % _KEPT_FOR_TEST == 0
            yield ("test" if kept else "train"), picture

    def _some(self, source: Path, split: str, labels: set[str]) -> Iterator[LabelledPicture]:
        """The pictures of these classes. It may find none, because another source may have them."""
        if labels & set(readers.class_names(source)):
            for picture in readers.read_pictures(source, split, self.side, self.left_out):
                if picture.label in labels:
                    yield picture


def _fingerprint(picture: LabelledPicture) -> str:
    return hashlib.sha256(picture.pixels.tobytes()).hexdigest()[:12]


def _picture(source: Path, split: str, picture: LabelledPicture, label: str) -> _Picture:
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(picture.filename).stem)[:48]
    # the pixels' fingerprint distinguishes files with the same name, and shows if a staged file is right
    path = f"{split}/{label}/{stem}-{_fingerprint(picture)}.png"
    content = encode_png(Image.fromarray(picture.pixels))
    return _Picture(path, split, label, content, f"{source.name}:{picture.label}/{picture.filename}")


def _evenly(groups: list[list[Item]], count: int) -> list[Item]:
    """The first `count` when the groups are asked in turn."""
    turns = itertools.chain.from_iterable(itertools.zip_longest(*groups))
    return list(itertools.islice((item for item in turns if item is not None), count))


def _documents(
    pictures: list[_Picture], classes: Sequence[str], sources: Sequence[Path], side: int
) -> dict[str, bytes]:
    """The manifest and, as the workflow's first version wrote them, the .lst files: index, class number, path."""
    labels = [*classes, NEITHER]
    documents = {}
    for split in ("train", "test"):
        rows = [p for p in pictures if p.split == split]
        lines = [
            f"{index}\t{labels.index(p.label)}\t{p.path.removeprefix(f'{split}/')}\n"
            for index, p in enumerate(rows)
        ]
        documents[f"{split}.lst"] = "".join(lines).encode()
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "labels": labels,
        "input_size": side,
        "sources": [{"name": source.name, "sha256": _digest(source)} for source in sources],
    }
    listed = ",\n".join(json.dumps(picture.row()) for picture in pictures)
    head = json.dumps(manifest, indent=1).removesuffix("\n}")
    documents[MANIFEST] = f'{head},\n "pictures": [\n{listed}\n]\n}}\n'.encode()
    return documents


def _digest(source: Path) -> str:
    return dataset.digest(source) if source.is_dir() else artifact.sha256(source)


def _load(
    store: Store,
    pictures: list[_Picture],
    documents: dict[str, bytes],
    left_out: list[str],
    progress: Progress,
) -> Staged:
    there = store.sizes()
    planned = {picture.path: picture.content for picture in pictures} | documents
    strange = sorted(set(there) - set(planned) - {INCOMPLETE})
    if strange or (MANIFEST in there and store.read(MANIFEST) != documents[MANIFEST]):
        what = f"such as {strange[0]}" if strange else f"its {MANIFEST} says so"
        raise DataSourceError(
            f"{store.place} holds another set of pictures ({what}): stage under another name, or remove it first"
        )
    missing = [path for path, content in planned.items() if there.get(path) != len(content)]
    if missing or INCOMPLETE in there:
        store.put(INCOMPLETE, b"Staging has not come to its end: run the same `scones stage` again.\n")
        _put_all(store, {path: planned[path] for path in missing}, progress)
        store.remove(INCOMPLETE)
    counts = Counter((picture.split, picture.label) for picture in pictures)
    return Staged(store.place, dict(counts), len(missing), len(planned) - len(missing), left_out)


def _put_all(store: Store, files: dict[str, bytes], progress: Progress) -> None:
    """Several at a time; the manifest and the lists come last."""
    last = [path for path in files if "/" not in path]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        jobs = [pool.submit(store.put, path, files[path]) for path in files if path not in last]
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                job.result()
                progress(f"Copying: {done} of {len(files)} files", done / len(files))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for path in last:
        store.put(path, files[path])
