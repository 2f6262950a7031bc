"""Reads labelled pictures: CIFAR archives, archives of picture files, folders of picture files.

The official CIFAR files are pickles, and a pickle can name any code to run. This module reads them with
its own stand-ins for the three names that the format needs, and admits no other name. Members of an
archive are read, never extracted, so no path inside one reaches the file system.
"""

import hashlib
import io
import lzma
import pickle
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from functions.common.errors import ImageRejected
from functions.common.picture import read_picture
from functions.common.shown import shown
from training_scripts.errors import UserError

OFFICIAL_MD5 = "eb9058c3a382ffc7106e4002c42a8d85"
SIDE = 32
# Is in a staged folder until its last file is there, see training_scripts.data.staging.
INCOMPLETE = "INCOMPLETE"
_LARGEST_MEMBER = 400_000_000
# Of a folder's files, as many may be unreadable before something is wrong with all of them.
_UNREADABLE_SHARE = 0.1
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_UNREADABLE = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


class DataSourceError(UserError):
    """The source cannot be read as labelled pictures; the message names the file and the reason."""


@dataclass(frozen=True)
class LabelledPicture:
    """One picture: uint8 [S, S, 3], RGB, with the name of its class and of its file."""

    pixels: NDArray[np.uint8]
    label: str
    filename: str


def read_pictures(
    source: Path, split: str, side: int = SIDE, left_out: list[str] | None = None
) -> Iterator[LabelledPicture]:
    """Yield the pictures of one split ("train" or "test").

    Args:
        source: an archive in the format of cifar-100-python.tar.gz (complete or cut down), an archive of
            picture files `.../<split>/<class>/<file>`, or a folder of `<class>/<file>` or
            `<split>/<class>/<file>`; a folder without splits is all "train".
        split: "train" or "test".
        side: width and height of the arrays that picture files are reduced to, in pixels.
        left_out: collects what is wrong with files of a folder that cannot be read, up to a tenth of them;
            without it, one is an error.

    Raises:
        DataSourceError: missing, damaged, tampered with, no pictures in it, or a picture that cannot be read.
    """
    _check_is_there(source)
    if source.is_dir():
        found = _folder(source, split, side, left_out)
    else:
        found = _cifar(source, split) if _is_cifar(source) else _picture_archive(source, split, side)
    empty = True
    for picture in found:
        empty = False
        yield picture
    if empty:
        raise DataSourceError(f"{source}: no pictures of the split {shown(split)} in it")


def has_split(source: Path, split: str) -> bool:
    """Whether the source holds a picture of this split.

    Raises:
        DataSourceError: it cannot be read.
    """
    _check_is_there(source)
    if source.is_dir():
        return bool(labelled_files(source, split))
    return _is_cifar(source) or next(_picture_archive(source, split, SIDE), None) is not None


def class_names(source: Path) -> list[str]:
    """The classes of a source in alphabetical order; of a CIFAR archive all that it has names for.

    Raises:
        DataSourceError: it cannot be read.
    """
    _check_is_there(source)
    if source.is_dir():
        return sorted({label for split in ("train", "test") for label, _ in labelled_files(source, split)})
    if _is_cifar(source):
        meta = dict(_members(source, "cifar-100-python/meta".__eq__))
        if not meta:
            raise DataSourceError(f"{source}: the member cifar-100-python/meta is missing")
        ((name, data),) = meta.items()
        return sorted(_texts(source, _table(source, name, data), b"fine_label_names"))
    return sorted({Path(name).parent.name for name in _names(source) if _is_picture_of(name, None)})


def _check_is_there(source: Path) -> None:
    if not source.exists():
        raise DataSourceError(f"{source}: no such file or folder")


def is_official(archive: Path) -> bool:
    """Whether the file has the md5 that its authors publish for cifar-100-python.tar.gz."""
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == OFFICIAL_MD5


def _members(archive: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(archive, "r|*") as tar:
            for member in tar:
                if not (member.isreg() and wanted(member.name)):
                    continue
                if member.size > _LARGEST_MEMBER:
                    raise DataSourceError(
                        f"{archive}: {shown(member.name)} claims {member.size} bytes, too many to read"
                    )
                file = tar.extractfile(member)
                assert file is not None  # a regular member always has content
                yield member.name, file.read()
    except _UNREADABLE as error:
        raise DataSourceError(f"{archive}: not a readable tar archive ({error})") from error


def _names(archive: Path) -> Iterator[str]:
    """The names of the regular members; none is read."""
    try:
        with tarfile.open(archive, "r|*") as tar:
            yield from (member.name for member in tar if member.isreg())
    except _UNREADABLE as error:
        raise DataSourceError(f"{archive}: not a readable tar archive ({error})") from error


def _is_cifar(archive: Path) -> bool:
    for name in _names(archive):
        return Path(name).parent.name == "cifar-100-python"
    return False


def _cifar(archive: Path, split: str) -> Iterator[LabelledPicture]:
    wanted = {f"cifar-100-python/{name}": name for name in ("meta", split)}
    tables = {
        wanted[name]: _table(archive, name, data) for name, data in _members(archive, wanted.__contains__)
    }
    for name in wanted.values():
        if name not in tables:
            raise DataSourceError(f"{archive}: the member cifar-100-python/{name} is missing")
    names = _texts(archive, tables["meta"], b"fine_label_names")
    table = tables[split]
    labels, files, data = table.get(b"fine_labels"), _texts(archive, table, b"filenames"), table.get(b"data")
    if not (
        isinstance(data, _Array)
        and data.values is not None
        and isinstance(labels, list)
        and data.values.shape == (len(labels), 3 * SIDE * SIDE)
        and len(files) == len(labels)
        and all(type(label) is int and 0 <= label < len(names) for label in labels)
    ):
        raise DataSourceError(
            f"{archive}: the labels, file names and pictures of {split} do not fit each other"
        )
    pixels = data.values.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    for picture, label, filename in zip(pixels, labels, files, strict=True):
        yield LabelledPicture(np.ascontiguousarray(picture), names[label], filename)


def _texts(archive: Path, table: dict[Any, Any], key: bytes) -> list[str]:
    values = table.get(key)
    if not (isinstance(values, list) and all(isinstance(value, bytes) for value in values)):
        raise DataSourceError(f"{archive}: {key.decode()} is not a list of names")
    return [value.decode("utf-8", "replace") for value in values]


def _table(archive: Path, member: str, data: bytes) -> dict[Any, Any]:
    try:
        table = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    # a damaged pickle can raise nearly any exception out of the unpickling machine
    except Exception as error:
        raise DataSourceError(
            f"{archive}: {member} is damaged or was tampered with ({shown(str(error))})"
        ) from error
    if not isinstance(table, dict):
        raise DataSourceError(f"{archive}: {member} holds a {type(table).__name__}, not a table")
    return table


class _Dtype:
    """Stand-in for numpy.dtype: unsigned bytes and nothing else."""

    def __init__(self, code: Any) -> None:
        if code not in (b"u1", "u1"):
            raise pickle.UnpicklingError(f"an array of {shown(code)}, only bytes are expected")

    def __setstate__(self, state: Any) -> None:
        """Byte order and flags mean nothing for bytes."""


class _Array:
    """Stand-in for numpy.ndarray: a C-ordered array of bytes, built from the pickled state alone."""

    values: NDArray[np.uint8] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        if fortran or not isinstance(dtype, _Dtype) or not isinstance(raw, bytes):
            raise pickle.UnpicklingError("an array in an unexpected layout")
        self.values = np.frombuffer(raw, np.uint8).reshape(shape)


class _Unpickler(pickle.Unpickler):
    """Knows three names. Each look-up makes a new object, so a pickle cannot change a shared one."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct"):
                return lambda *_: _Array()
            case ("numpy", "ndarray"):
                return object()
            case ("numpy", "dtype"):
                return lambda code, *_: _Dtype(code)
        raise pickle.UnpicklingError(
            f"the format does not need {shown(f'{module}.{name}')}, which it asks for"
        )


def _picture_archive(archive: Path, split: str, side: int) -> Iterator[LabelledPicture]:
    for name, data in _members(archive, lambda name: _is_picture_of(name, split)):
        path = Path(name)
        yield _decoded(f"{archive}: {shown(name)}", data, path.parent.name, path.name, side)


def _is_picture_of(name: str, split: str | None) -> bool:
    path = Path(name)
    splits = ("train", "test") if split is None else (split,)
    return path.suffix.lower() in SUFFIXES and path.parent.parent.name in splits


def _folder(
    folder: Path, split: str, side: int, left_out: list[str] | None = None
) -> Iterator[LabelledPicture]:
    files = labelled_files(folder, split)
    for label, path in files:
        try:
            yield _decoded(str(path), path.read_bytes(), label, path.name, side)
        except (DataSourceError, OSError) as error:
            if left_out is None:
                raise
            left_out.append(str(error))
    check_share_read(left_out or [], len(files))


def split_root(folder: Path, split: str) -> Path | None:
    """Where the classes' folders of one split are; None where the folder has no such split.

    Raises:
        DataSourceError: no folder, or one that was not staged to the end.
    """
    if not folder.is_dir():
        raise DataSourceError(f"{folder}: no such folder; give one that holds a folder for each class")
    if (folder / INCOMPLETE).exists():
        raise DataSourceError(f"{folder}: it was not staged to the end; run the same `scones stage` again")
    if (folder / "train").is_dir() or (folder / "test").is_dir():
        return folder / split
    return folder if split == "train" else None


def labelled_files(folder: Path, split: str) -> list[tuple[str, Path]]:
    """(class, path) of each picture file of one split, in the order of their paths.

    A class has a folder, and what lies deeper belongs to it, too. Hidden files are not pictures.

    Raises:
        DataSourceError: no folder, or one that was not staged to the end.
    """
    root = split_root(folder, split)
    if root is None:
        return []
    return [
        (path.relative_to(root).parts[0], path)
        for path in sorted(root.glob("*/**/*"))
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]


def check_share_read(left_out: list[str], files: int) -> None:
    """Raises DataSourceError where so many files could not be read that something is wrong with all of them."""
    if len(left_out) > _UNREADABLE_SHARE * files:
        raise DataSourceError(
            f"{len(left_out)} of {files} files cannot be read, the first is {shown(left_out[0])}"
        )


def _decoded(place: str, data: bytes, label: str, filename: str, side: int) -> LabelledPicture:
    try:
        pixels = np.asarray(read_picture(data, side).image)
    except ImageRejected as error:
        raise DataSourceError(f"{place}: {error.reason}") from error
    return LabelledPicture(pixels, label, filename)
