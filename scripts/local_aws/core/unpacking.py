"""Unpacks archives that somebody uploaded, member by member: nothing is written outside their folder.

AWS unpacks in a container or a microVM of its own; here the folder is among a developer's files. So links
are not made: a link to another member becomes a copy of it, and one that leads outside is refused.
"""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

# What a Lambda function may unpack to: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
LARGEST_PACKAGE = 262_144_000
# SageMaker's limit is the instance's disk. Here one archive must not fill this machine's disk.
LARGEST_ARCHIVE = 1_000_000_000
BLOCK = 1 << 20
# What tarfile, zipfile and the file system raise for damaged archives and impossible names.
UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(ArithmeticError, LookupError, RuntimeError, ValueError),
)


class NotUnpacked(Exception):
    """The archive is damaged, too large, or would leave its folder."""


def tar(content: bytes, folder: Path) -> None:
    """Unpack a tar archive, compressed or not. Raises NotUnpacked."""
    _write(_members_of_tar(content), folder, LARGEST_ARCHIVE)


def package(content: bytes, folder: Path) -> None:
    """Unpack a function's zip. Raises NotUnpacked."""
    _write(_members_of_zip(content), folder, LARGEST_PACKAGE)


def _members_of_tar(content: bytes) -> Iterator[tuple[str, IO[bytes] | None]]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:*") as archive:
        for member in archive:
            if member.isdir():
                yield member.name, None
                continue
            try:
                file = archive.extractfile(member)
            except KeyError:
                raise NotUnpacked(f"the link {member.name[:200]!r} leads outside the archive") from None
            if file is None:
                raise NotUnpacked(f"{member.name[:200]!r} is neither a file nor a folder")
            yield member.name, file


def _members_of_zip(content: bytes) -> Iterator[tuple[str, IO[bytes] | None]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            yield member.filename, None if member.is_dir() else archive.open(member)


def _write(members: Iterator[tuple[str, IO[bytes] | None]], folder: Path, largest: int) -> None:
    room = largest
    try:
        folder.mkdir(parents=True)
        for name, file in members:
            path = _inside(folder, name)
            if file is None:
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with file, path.open("wb") as written:
                while block := file.read(BLOCK):
                    room -= len(block)
                    if room < 0:
                        raise NotUnpacked(f"it unpacks to more than {largest} bytes")
                    written.write(block)
    except UNREADABLE as error:
        raise NotUnpacked(str(error)[:200]) from error


def _inside(folder: Path, name: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise NotUnpacked(f"{name[:200]!r} leaves its folder")
    return folder / path
